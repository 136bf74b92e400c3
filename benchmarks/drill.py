"""The fault drill: inject faults into runs, resume them, and compare each with an uninterrupted run.

make drill                                 # everything: 20 runs that are killed, and the other faults
python benchmarks/drill.py --kills 3 --ranks 1

The faults are SIGKILL, SIGTERM, damaged checkpoints, a full disk and NaN. Each run is a separate process, forked from
this one, which has already imported torch. Two runs are equal if weights and optimiser states are equal bit for bit,
and so are metrics.csv (except speeds) and the scores in summary.json.
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
os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(PATHS)}  # for other ranks
os.environ["GANTRY_TRUST"] = "faults"  # resumed runs name its parts

from run_differences import find_run_differences  # noqa: E402

import gantry.commands.train  # noqa: E402  slow to import, so before any run is forked
from gantry.commands.entry import command  # noqa: E402

KILL_MOMENTS = ("turn", "half a checkpoint", "before the rename", "between the renames", "evaluation", "half a row")
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
    """A run that has ended; `seconds` is the time from its fault to its end, 0 without a fault."""

    folder: Path
    status: int
    stderr: str
    seconds: float


def run_train_command(folder: Path, *overrides: str) -> RunResult:
    """Run the train command in a forked process and wait for its end."""
    log = folder.with_suffix(".log")
    child = os.fork()
    if child == 0:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(2, 1)
        os._exit(call_train_command([str(ROOT / "src" / "train.py"), *overrides]))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seconds = time.time() - (folder / "fault").stat().st_mtime if (folder / "fault").exists() else 0.0
    return RunResult(folder, status, log.read_text(), seconds)


def call_train_command(argv: list[str]) -> int:
    """Run the train command in this process and return its exit status."""
    sys.argv = argv
    try:
        command("train")(gantry.commands.train.train)()
    except SystemExit as error:
        return int(error.code or 0)
    except BaseException:
        traceback.print_exc()
        return 70
    return 0


def start_run(folder: Path, *overrides: str) -> RunResult:
    """Start a new run."""
    return run_train_command(folder, *DRILL_OVERRIDES, *overrides, f"run.dir={folder}")


def resume_run(folder: Path, *overrides: str) -> RunResult:
    """Resume a run without its fault; start it again if it has no checkpoint yet."""
    if not any((folder / "checkpoints").glob("*.ckpt")):
        shutil.rmtree(folder)
        return start_run(folder, *overrides)
    return run_train_command(folder, f"resume={folder}", "++callbacks.fault=null")


def make_fault_overrides(turn: int, moment: str, rank: int = 0) -> list[str]:
    """Return the overrides that inject a fault."""
    values = {"_target_": "faults.FaultInjector", "turn": turn, "moment": f"'{moment}'", "rank": rank}
    return [f"+callbacks.fault.{name}={value}" for name, value in values.items()]


def flip_byte(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


class FaultDrill:
    """Runs the faults one after another in a folder, prints a table row for each, and counts the failures.

    `reference` is the folder of an uninterrupted run, `trainer` the override of the trainer, if any.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random, self.count, self.num_failed = folder, random.Random(seed), 0, 0

    def run_reference(self, name: str, *trainer: str) -> Path:
        """Run without a fault and return the folder."""
        result = start_run(self.folder / name, *trainer)
        assert result.status == 0, result.stderr
        return result.folder

    def check_fault(
        self, fault: str, reference: Path, status: int, message: str, overrides: list[str], *trainer: str
    ) -> Path:
        """Run with a fault, which must end the run with a status and a message; then resume and compare."""
        self.count += 1
        result = start_run(self.folder / f"run{self.count}", *trainer, *overrides)
        passed = result.status == status and message in result.stderr and result.seconds < EXIT_LIMIT
        passed = passed and "Traceback" not in result.stderr
        outcome = f"exit status {result.status} in {result.seconds:.0f} s" + (f", `{message}`" if message else "")
        self.print_row(fault, outcome, *self.resume_and_compare(result.folder, reference, *trainer), passed)
        return result.folder

    def resume_and_compare(self, folder: Path, reference: Path, *trainer: str) -> tuple[str, bool]:
        """Resume a run and return how it compares with the reference run, and True if they are equal."""
        result = resume_run(folder, *trainer)
        if result.status:
            return f"exit status {result.status}: {result.stderr.strip()[-200:]}", False
        differences = find_run_differences(folder, reference) + [path.name for path in folder.rglob("*.part")]
        return ("differs in " + ", ".join(differences), False) if differences else ("equal", True)

    def print_row(self, fault: str, outcome: str, resumed: str, *passed: bool) -> None:
        """Print a row of the table and count a failure."""
        self.num_failed += not all(passed)
        print(f"| {fault} | {outcome} | {resumed} | {'yes' if all(passed) else 'NO'} |", flush=True)

    def check_kill(self, reference: Path, *trainer: str) -> Path:
        """Check SIGKILL at a random turn and moment."""
        turn, moment = self.random.randint(1, TURNS), self.random.choice(KILL_MOMENTS)
        fault = f"SIGKILL, turn {turn}, {moment}" + (", two ranks" if trainer else "")
        return self.check_fault(fault, reference, -9, "", make_fault_overrides(turn, moment), *trainer)

    def check_damaged_checkpoints(self, reference: Path) -> None:
        """Check that a run resumes from before.ckpt if last.ckpt is damaged, and is refused if both are."""
        folder = start_run(self.folder / "damaged", *make_fault_overrides(21, "turn")).folder
        shutil.copytree(folder, both := folder.with_name("both"))
        flip_byte(folder / "checkpoints" / "last.ckpt")
        result = resume_run(folder)
        differences = find_run_differences(folder, reference)
        passed = result.status == 0 and "before.ckpt" in result.stderr and not differences
        comparison = f"differs in {differences}" if differences else "equal"
        self.print_row("last.ckpt damaged", "warning names `before.ckpt`", comparison, passed)
        for name in ("last.ckpt", "before.ckpt"):
            flip_byte(both / "checkpoints" / name)
        result = resume_run(both)
        passed = result.status == 2 and result.stderr.count("\n") == 1
        self.print_row("both checkpoints damaged", f"exit status {result.status}", "refused in one line", passed)


def run_drill(folder: Path, kills: int, ranks: int, seed: int) -> int:
    """Run the complete drill and return the number of failures."""
    drill = FaultDrill(folder, seed)
    print("| fault | outcome | resumed | passed |\n|---|---|---|---|", flush=True)
    one = drill.run_reference("one")
    for _ in range(kills - ranks):
        drill.check_kill(one)
    drill.check_fault("SIGTERM, turn 27", one, 143, "interrupted at turn 27", make_fault_overrides(27, "SIGTERM"))
    drill.check_fault("full disk from turn 14 on", one, 1, "cannot be written", make_fault_overrides(14, "full disk"))
    drill.check_fault("NaN in a penalty, turn 23", one, 1, "error: loss/D/gp is nan at turn 23", NAN_PENALTY_OVERRIDES)
    drill.check_damaged_checkpoints(one)
    if ranks:
        run_drill_on_two_ranks(drill, ranks)
    return drill.num_failed


def run_drill_on_two_ranks(drill: FaultDrill, kills: int) -> None:
    """Run the faults of two processes."""
    trainer = "trainer=ddp_cpu"
    two = drill.run_reference("two", trainer)
    for _ in range(kills):
        drill.check_kill(two, trainer)
    drill.check_fault(
        "SIGTERM, turn 27, two ranks", two, 143, "interrupted at turn 27", make_fault_overrides(27, "SIGTERM"), trainer
    )
    message = "a process of this run ended with exit status -9"
    drill.check_fault("rank 1 dies, turn 20", two, 1, message, make_fault_overrides(20, "turn", rank=1), trainer)
    drill.check_fault("NaN on two ranks", two, 1, "error: loss/D/gp is nan at turn 23", NAN_PENALTY_OVERRIDES, trainer)
    drill.check_fault(
        "full disk, two ranks", two, 1, "cannot be written", make_fault_overrides(14, "full disk"), trainer
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the fault drill.")
    parser.add_argument("--kills", type=int, default=20, help="number of runs killed by SIGKILL")
    parser.add_argument("--ranks", type=int, default=4, help="how many of them have two ranks; 0 skips two ranks")
    parser.add_argument("--seed", type=int, default=0)
    arguments, start = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        num_failed = run_drill(Path(folder), arguments.kills, arguments.ranks, arguments.seed)
    print(f"\nfailed: {num_failed}; {time.monotonic() - start:.0f} s")
    sys.exit(min(num_failed, 1))


if __name__ == "__main__":
    main()
