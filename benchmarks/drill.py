"""The fault drill: runs are killed, damaged, starved of disk and poisoned; resumed, each must equal the unbroken one.

make drill                                 # everything: 20 runs that are killed, and the other faults
python benchmarks/drill.py --kills 3 --ranks 1

Each run is a process of its own, forked from this one, which has imported torch already. What equal means: the same
weights and moments of the optimisers bit for bit, the same metrics.csv but for speeds, the same scores in summary.json.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATHS = [str(ROOT / "src"), str(ROOT / "benchmarks")]
sys.path[:0] = PATHS
os.environ |= {
    "OMP_NUM_THREADS": "1",
    "GANTRY_TRUST": "faults",
    "PYTHONPATH": os.pathsep.join(PATHS),
}  # of further ranks, too

from run_differences import find_run_differences  # noqa: E402

import gantry.commands.train  # noqa: E402  what takes seconds to import, before any run is forked
from gantry.commands.entry import command  # noqa: E402

KILL_MOMENTS = ("turn", "half a checkpoint", "unnamed checkpoint", "between the names", "evaluation", "half a row")
EXIT_LIMIT = 60  # seconds from a fault to the end of all processes
TURNS, CALLBACK_INTERVALS = 40, {"checkpoints": 6, "evaluate": 8, "scalars": 4, "critic_gap": 8}
GP = "loss.d_terms.gp.penalty"
DRILL_OVERRIDES = [
    *("model=mlp", "loss=wgan_gp", "loss.n_critic=2", f"turns={TURNS}", "data.batch_size=8", "logger=csv"),
    *("metrics.num_samples=50", "metrics.report.num_samples=60", "+callbacks.critic_gap.num_samples=50"),
    *("callbacks.samples=null", "callbacks.curves=null"),
    *(f"callbacks.{name}.every={every}" for name, every in CALLBACK_INTERVALS.items()),
]
NAN_PENALTY_OVERRIDES = [
    f"{GP}._target_=faults.NanPenalty",
    f"{GP}._partial_=false",
    f"+{GP}.at=45",
]  # the first update of turn 23


@dataclass(frozen=True)
class RunResult:
    """A run that has ended: folder, exit status, stderr, and the seconds from its fault, if any, to its end."""

    folder: Path
    status: int
    stderr: str
    seconds: float


def run_train_command(folder: Path, *words: str) -> RunResult:
    """Run the train command with these words and wait for it."""
    log = folder.with_suffix(".log")
    child = os.fork()
    if child == 0:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(2, 1)
        os._exit(call_train_command([str(ROOT / "src" / "train.py"), *words]))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seconds = time.time() - (folder / "fault").stat().st_mtime if (folder / "fault").exists() else 0.0
    return RunResult(folder, status, log.read_text(), seconds)


def call_train_command(argv: list[str]) -> int:
    """The exit status of a command in this process."""
    sys.argv = argv
    try:
        command("train")(gantry.commands.train.train)()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 70
    return 0


def start_run(folder: Path, *words: str) -> RunResult:
    """Begin a run."""
    return run_train_command(folder, *DRILL_OVERRIDES, *words, f"run.dir={folder}")


def resume_run(folder: Path, *words: str) -> RunResult:
    """Resume a run without its fault; one that had no checkpoint yet had nothing to lose, and begins anew."""
    if not any((folder / "checkpoints").glob("*.ckpt")):
        shutil.rmtree(folder)
        return start_run(folder, *words)
    return run_train_command(folder, f"resume={folder}", "++callbacks.fault=null")


def make_fault_overrides(turn: int, moment: str, rank: int = 0) -> list[str]:
    """The words that order a fault."""
    values = {"_target_": "faults.FaultInjector", "turn": turn, "moment": f"'{moment}'", "rank": rank}
    return [f"+callbacks.fault.{name}={value}" for name, value in values.items()]


def flip_byte(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


class FaultDrill:
    """Runs one after another in a folder; prints a row of a table for each, and counts those that did not pass."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random, self.count, self.num_failed = folder, random.Random(seed), 0, 0

    def run_unbroken(self, name: str, *words: str) -> Path:
        """The folder of a run to which nothing happens."""
        ended = start_run(self.folder / name, *words)
        assert ended.status == 0, ended.stderr
        return ended.folder

    def check_fault(self, what: str, unbroken: Path, status: int, said: str, words: list[str], *how: str) -> Path:
        """A fault, which must end the run with a status and these words; then the run is resumed and compared."""
        self.count += 1
        ended = start_run(self.folder / f"run{self.count}", *how, *words)
        fine = ended.status == status and said in ended.stderr and ended.seconds < EXIT_LIMIT
        fine = fine and "Traceback" not in ended.stderr
        outcome = f"exit status {ended.status} in {ended.seconds:.0f} s" + (f", `{said}`" if said else "")
        self.print_row(what, outcome, *self.resume_and_compare(ended.folder, unbroken, *how), fine)
        return ended.folder

    def resume_and_compare(self, folder: Path, unbroken: Path, *how: str) -> tuple[str, bool]:
        """How a run that is resumed compares with the unbroken one, and whether that is well."""
        again = resume_run(folder, *how)
        if again.status:
            return f"exit status {again.status}: {again.stderr.strip()[-200:]}", False
        unlike = find_run_differences(folder, unbroken) + [path.name for path in folder.rglob("*.part")]
        return ("differs in " + ", ".join(unlike), False) if unlike else ("equal", True)

    def print_row(self, what: str, outcome: str, resumed: str, *fine: bool) -> None:
        """A row of the table."""
        self.num_failed += not all(fine)
        print(f"| {what} | {outcome} | {resumed} | {'yes' if all(fine) else 'NO'} |", flush=True)

    def check_kill(self, unbroken: Path, *how: str) -> Path:
        """SIGKILL at a random turn and moment."""
        turn, moment = self.random.randint(1, TURNS), self.random.choice(KILL_MOMENTS)
        what = f"SIGKILL, turn {turn}, {moment}" + (", two ranks" if how else "")
        return self.check_fault(what, unbroken, -9, "", make_fault_overrides(turn, moment), *how)

    def check_damaged_checkpoints(self, unbroken: Path) -> None:
        """One damaged checkpoint costs turns, two the run."""
        folder = start_run(self.folder / "damaged", *make_fault_overrides(21, "turn")).folder
        last, before = (folder / "checkpoints" / name for name in ("last.ckpt", "before.ckpt"))
        shutil.copytree(folder, both := folder.with_name("both"))
        flip_byte(last)
        again, warning = resume_run(folder), "going on from the one before"
        unlike = find_run_differences(folder, unbroken)
        fine = again.status == 0 and warning in again.stderr
        self.print_row(
            "last.ckpt damaged", f"`{warning}`", "equal" if not unlike else f"differs in {unlike}", fine, not unlike
        )
        for path in (last, before):
            flip_byte(both / "checkpoints" / path.name)
        refused = resume_run(both)
        fine = refused.status == 2 and refused.stderr.count("\n") == 1
        self.print_row("both checkpoints damaged", f"exit status {refused.status}", "refused in one line", fine)


def run_drill(folder: Path, kills: int, ranks: int, seed: int) -> int:
    """The whole drill; -> how many rows did not pass."""
    drill = FaultDrill(folder, seed)
    print("| fault | outcome | resumed | as it should be |\n|---|---|---|---|", flush=True)
    one = drill.run_unbroken("one")
    for _ in range(kills - ranks):
        drill.check_kill(one)
    drill.check_fault("SIGTERM, turn 27", one, 143, "interrupted at turn 27", make_fault_overrides(27, "SIGTERM"))
    drill.check_fault("full disk from turn 14 on", one, 1, "cannot be written", make_fault_overrides(14, "full disk"))
    drill.check_fault("NaN in a penalty, turn 23", one, 1, "error: loss/D/gp is nan at turn 23", NAN_PENALTY_OVERRIDES)
    drill.check_damaged_checkpoints(one)
    if ranks:
        how = "trainer=ddp_cpu"
        two = drill.run_unbroken("two", how)
        for _ in range(ranks):
            drill.check_kill(two, how)
        drill.check_fault(
            "SIGTERM, turn 27, two ranks", two, 143, "interrupted at turn 27", make_fault_overrides(27, "SIGTERM"), how
        )
        said = "a process of this run ended with exit status -9"
        drill.check_fault("rank 1 dies, turn 20", two, 1, said, make_fault_overrides(20, "turn", rank=1), how)
        drill.check_fault("NaN on two ranks", two, 1, "error: loss/D/gp is nan at turn 23", NAN_PENALTY_OVERRIDES, how)
        drill.check_fault(
            "full disk, two ranks", two, 1, "cannot be written", make_fault_overrides(14, "full disk"), how
        )
    return drill.num_failed


def main() -> None:
    parser = argparse.ArgumentParser(description="the fault drill")
    parser.add_argument("--kills", type=int, default=20, help="runs that are killed by SIGKILL")
    parser.add_argument("--ranks", type=int, default=4, help="those of them on two ranks; 0 leaves two ranks out")
    parser.add_argument("--seed", type=int, default=0)
    arguments, started = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        failed = run_drill(Path(folder), arguments.kills, arguments.ranks, arguments.seed)
    print(f"\n{failed} not as they should be; {time.monotonic() - started:.0f} s")
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
