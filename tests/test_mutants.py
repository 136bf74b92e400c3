"""The mutation check of benchmarks/: its list fits the sources, and it tells caught from surviving mutants."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import mutants  # noqa: E402
from mutations import MUTATIONS, Mutation  # noqa: E402


def test_every_mutation_changes_one_place_and_compiles() -> None:
    for mutation in MUTATIONS:
        text = (mutants.ROOT / mutants.PACKAGE / mutation.file).read_text()
        changed = mutants.mutate(text, mutation)
        assert changed != text
        ast.parse(changed)
    assert len({(mutation.file, mutation.old, mutation.new) for mutation in MUTATIONS}) == len(MUTATIONS) >= 60


def test_every_mutated_file_has_tests_that_mirror_it() -> None:
    assert [mutation.file for mutation in MUTATIONS if not mutants.find_mirror_tests(mutation.file)] == []


def test_a_choice_of_no_file_and_a_file_without_tests_are_errors(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mutants.py", "--only", "nosuch"])
    with pytest.raises(SystemExit, match="2"):
        mutants.main()
    assert "--only must be beginnings of files that mutations.py has, got nosuch" in capsys.readouterr().err
    (repository / "tests/test_sums.py").unlink()
    with pytest.raises(SystemExit, match=r"^no tests mirror sums\.py"):
        mutants.try_all([Mutation("sums.py", "a + b", "a - b", "add")], jobs=1, with_suite=True)


def test_a_mutation_of_no_place_or_of_two_is_refused() -> None:
    for old in ("c", "x"):
        with pytest.raises(ValueError, match="must occur once"):
            mutants.mutate("x = x", Mutation("rng.py", old, "y", "none"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one module, whose tests see its sum but not its sign."""
    files = {
        "src/gantry/__init__.py": "",
        "src/gantry/sums.py": "def add(a, b):\n    return a + b\n\n\ndef sign(a):\n    return -1 if a < 0 else 1\n",
        "tests/test_sums.py": "from gantry.sums import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['src']\n",
    }
    for name, text in files.items():
        (tmp_path / "repository" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "repository" / name).write_text(text)
    subprocess.run(["git", "init", "-q", tmp_path / "repository"], check=True)
    monkeypatch.setattr(mutants, "ROOT", tmp_path / "repository")
    return tmp_path / "repository"


def test_a_mutant_is_caught_by_the_test_that_fails_or_survives(repository: Path) -> None:
    caught, survived = mutants.try_all(
        [Mutation("sums.py", "a + b", "a - b", "add"), Mutation("sums.py", "a < 0", "a <= 0", "sign")],
        jobs=1,
        with_suite=True,
    )
    assert (caught.stage, caught.caught_by) == ("mirror", "tests/test_sums.py::test_add")
    assert (survived.stage, survived.caught_by) == ("none", "")
    assert "a + b" in (repository / "src/gantry/sums.py").read_text()


def test_tests_that_fail_without_a_mutation_prove_nothing(repository: Path) -> None:
    (repository / "tests/test_sums.py").write_text("def test_add():\n    assert False\n")
    with pytest.raises(SystemExit, match=r"tests fail without a mutation: tests/test_sums\.py::test_add"):
        mutants.try_all([Mutation("sums.py", "a + b", "a - b", "add")], jobs=1, with_suite=False)
