"""The parts of docs/extending.md, as a user would write them: trained, resumed, evaluated, sampled and compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.commands.resume import split_options

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
TRAIN = ["train", "--config-dir=my_configs", "experiment=mine", "logger=csv"]
TRUST = "trust=[my_gan]"


def run(folder: Path, command: str, *words: str, status: int = 0) -> str:
    """Run a command in a folder in which `my_gan` can be imported: -> its output."""
    own = {"GANTRY_LOGS": str(folder / "logs"), "GANTRY_CACHE_DIR": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "src" / f"{command}.py"), *words],
        cwd=folder,
        env=os.environ | own | {"PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the user's module and YAMLs, and a run of them."""
    folder = tmp_path_factory.mktemp("extending")
    (folder / "my_gan.py").write_text("\n\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)))
    for name, body in re.findall(r"`(my_configs/[\w/]+\.yaml)`:\n\n```yaml\n(.*?)```", TEXT, re.DOTALL):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body)
    run(folder, *TRAIN, "run.name=mine")
    return folder


def test_all_parts_train_together(folder: Path) -> None:
    metrics = (folder / "logs/train/mine/metrics.csv").read_text()
    header = metrics.partition("\n")[0].split(",")
    assert {"weights/G", "score/fd_own", "score/mean_distance", "loss/D/logit"} <= set(header)
    assert metrics.splitlines()[-1].startswith("4,")


def test_two_processes_find_the_users_folder(folder: Path) -> None:
    run(folder, *TRAIN, "run.name=two", "trainer=ddp_cpu")


def test_what_a_run_names_is_refused_without_trust(folder: Path) -> None:
    output = run(folder, "evaluate", "run=logs/train/mine", status=2)
    assert "must be under gantry, torch or lightning, or in a trusted package (trust=[my_gan]" in output
    output = run(folder, "sample", "run=logs/train/mine", status=2)
    assert "generator._target_ must be under gantry, torch or lightning" in output


def test_with_trust_it_is_evaluated_sampled_and_compared(folder: Path) -> None:
    assert "mean_distance" in run(folder, "evaluate", "run=logs/train/mine", TRUST)
    run(folder, "sample", "run=logs/train/mine", TRUST)
    assert "with fd_own" in run(folder, "compare", "runs=[logs/train]")


def test_with_trust_it_is_resumed(folder: Path) -> None:
    run(folder, "train", "--config-dir=my_configs", "resume=logs/train/mine", "turns=6", TRUST)
    run(folder, "train", "resume=logs/train/mine", "turns=7", TRUST, "--config-dir", "my_configs")
    assert (folder / "logs/train/mine/metrics.csv").read_text().splitlines()[-1].startswith("7,")


def test_options_are_split_from_overrides() -> None:
    words = ["a=1", "--config-dir", "D", "b=2", "-m", "--cfg=job"]
    assert split_options(words) == (["--config-dir", "D", "-m", "--cfg=job"], ["a=1", "b=2"])
