"""Break the mathematics in one place at a time, and run the tests: each mutant must make one fail.

make mutants                                    # all of mutations.py; hours on two cores
make mutants ARGS="--only losses nets --jobs 2"
make mutants ARGS="--mirror"                    # only the tests that mirror the file

Each mutant is a copy of the repository with one mutation. The tests that mirror the file are run first (of
losses/penalties.py: tests/losses/test_penalties*.py and tests/losses/penalties/), then, if these pass, the whole
default suite until its first failure. A mutant that all tests pass has survived: the exit status is 1.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src/gantry")
SECONDS_OF_MIRROR, SECONDS_OF_SUITE = 600, 3600  # a mutant that hangs is caught
NO_TESTS_RAN = 5  # pytest's exit status
FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """`caught_by` is the first test that failed, or the stage that took too long; "" if all tests passed."""

    mutation: Mutation
    stage: str
    caught_by: str
    seconds: float


def find_mirror_tests(file: str) -> list[str]:
    """Return the tests that mirror a module: test_<module>.py, test_<module>_*.py, those of its tests/<room>."""
    path = ROOT / "tests" / file
    stem = path.stem
    found = [*path.parent.glob(f"test_{stem}.py"), *path.parent.glob(f"test_{stem}_*.py")]
    extra = [ROOT / "tests" / name for name in EXTRA_MIRROR_TESTS.get(file, ())]
    return sorted(str(test.relative_to(ROOT)) for test in {*found, *extra})


# modules whose tests are named by what they test
NET_TESTS = ("nets/test_formulas.py", "nets/test_generators.py", "nets/test_critics.py")
EXTRA_MIRROR_TESTS = {
    "nets/dcgan.py": NET_TESTS,
    "nets/biggan.py": NET_TESTS,
    "nets/resnet.py": (*NET_TESTS, "nets/test_biggan.py"),
    "nets/mlp.py": NET_TESTS,
    "nets/stylegan2_blocks.py": ("nets/test_stylegan2.py",),
    "losses/term.py": ("losses/test_objective.py",),
    "compare/groups.py": ("compare/test_comparison.py", "compare/test_data_sets.py", "sweeps/test_seeds.py"),
    "evaluation/feature_pass.py": ("evaluation/test_evaluation.py",),
    "sampling/generate.py": ("sampling/test_latents.py",),
}


def copy_repository(folder: Path) -> None:
    """Copy the files under version control, and new ones, to a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())


def mutate(text: str, mutation: Mutation) -> str:
    """Return the text of a module with its mutation; raises ValueError unless `old` occurs once."""
    count = text.count(mutation.old)
    if count != 1:
        raise ValueError(f"{mutation.file}: {mutation.old!r} must occur once, got {count} times")
    return text.replace(mutation.old, mutation.new)


def run_tests(folder: Path, tests: Iterable[str], limit: float) -> str:
    """Run tests until the first failure: -> its name, "" if all pass."""
    paths = os.pathsep.join([str(folder / "src"), str(folder / "tests" / "helpers")])
    command = [sys.executable, "-m", "pytest", "-x", "-rfE", "--tb=no", "-p", "no:cacheprovider", "-n", "0", *tests]
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return f"no end within {limit} s"
    if result.returncode in (0, NO_TESTS_RAN):
        return ""
    failed = FAILED_TEST.search(result.stdout)
    return failed[1] if failed else f"exit status {result.returncode}"


def try_mutation(mutation: Mutation, folder: Path, with_suite: bool) -> Outcome:
    """Run the tests on one mutant, made in a copy of the repository that is restored afterwards."""
    path, start = folder / PACKAGE / mutation.file, time.monotonic()
    original = path.read_text()
    path.write_text(mutate(original, mutation))
    try:
        mirror = find_mirror_tests(mutation.file)
        stage, caught_by = "mirror", run_tests(folder, mirror, SECONDS_OF_MIRROR)
        if not caught_by and with_suite:
            stage, caught_by = "suite", run_tests(folder, (), SECONDS_OF_SUITE)
    finally:
        path.write_text(original)
    return Outcome(mutation, stage if caught_by else "none", caught_by, time.monotonic() - start)


def try_all(mutations: list[Mutation], jobs: int, with_suite: bool) -> list[Outcome]:
    """Try mutations, `jobs` at a time, each in its own copy; print each as it ends."""
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(jobs) as pool:
        folders: SimpleQueue[Path] = SimpleQueue()
        for job in range(jobs):
            copy_repository(Path(root, str(job)))
            folders.put(Path(root, str(job)))
        check_tests_pass(mutations, Path(root, "0"))

        def run(mutation: Mutation) -> Outcome:
            folder = folders.get()
            try:
                outcome = try_mutation(mutation, folder, with_suite)
            finally:
                folders.put(folder)
            print(format_row(outcome), flush=True)
            return outcome

        return list(pool.map(run, mutations))


def check_tests_pass(mutations: list[Mutation], folder: Path) -> None:
    """Exit unless each file has tests that mirror it, which pass without a mutation: else nothing would be proved."""
    if alone := sorted({mutation.file for mutation in mutations if not find_mirror_tests(mutation.file)}):
        sys.exit(f"no tests mirror {', '.join(alone)}: name some in EXTRA_MIRROR_TESTS")
    tests = sorted({test for mutation in mutations for test in find_mirror_tests(mutation.file)})
    if failed := run_tests(folder, tests, SECONDS_OF_SUITE):
        sys.exit(f"tests fail without a mutation: {failed}")


def format_row(outcome: Outcome) -> str:
    """Return one row of the table, in Markdown."""
    mutation = outcome.mutation
    caught_by = outcome.caught_by.removeprefix("tests/") or "**survived**"
    return f"| {mutation.file} | {mutation.effect} | {caught_by} | {outcome.stage} | {outcome.seconds:.0f} s |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of files below src/gantry")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mirror", action="store_true", help="do not run the whole suite on what survives")
    args = parser.parse_args()
    chosen = [m for m in MUTATIONS if not args.only or m.file.startswith(tuple(args.only))]
    if not chosen:
        parser.error(f"--only must be beginnings of files that mutations.py has, got {' '.join(args.only)}")
    print("| file | fault | caught by | stage | time |\n|---|---|---|---|---|")
    outcomes = try_all(chosen, args.jobs, not args.mirror)
    survived = sum(not outcome.caught_by for outcome in outcomes)
    print(f"{len(outcomes) - survived} of {len(outcomes)} mutants caught")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
