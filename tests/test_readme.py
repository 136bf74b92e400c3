"""Every command of the README: all compose, and those that this machine has everything for run, in small."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from compose_config import compose_config

ROOT = Path(__file__).parents[1]
LINES = [line.strip() for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("    ")]
PYTHON = [line for line in LINES if line.startswith("python src/")]
TINY = {
    "train": [
        "turns=2",
        "data.batch_size=8",
        "metrics.num_samples=20",
        "metrics.report.num_samples=20",
        "callbacks.samples.every=1",
    ],
    "evaluate": ["num_samples=20"],
    "sample": [],
    "compare": [],
}


def parts(line: str) -> tuple[str, list[str]]:
    """The command's name and its overrides; of a sweep, those of its first job, of a search those that are fixed."""
    _, script, *words = shlex.split(line)
    words = [word for word in words if "interval(" not in word and not word.startswith("hydra.sweeper.")]
    return Path(script).stem, [word.split(",")[0] if "-m" in words and "[" not in word else word for word in words]


def test_the_readme_was_read() -> None:
    assert {parts(line)[0] for line in PYTHON} == {"train", "evaluate", "sample", "compare", "workspace"}
    assert {"make train", "make test"} <= set(LINES)


def test_the_turn_of_the_readme_is_the_code() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block in (ROOT / "src/gantry/training/gan.py").read_text()


@pytest.mark.parametrize("line", [line for line in PYTHON if "my_" not in line])
def test_every_command_composes(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config.checks.count_cuda_devices", lambda: 1)
    name, words = parts(line)
    words = [word for word in words if not word.startswith(("-", "resume="))]
    if "launcher=ray" in words and not find_spec("hydra_plugins.hydra_ray_launcher"):  # heavy, and so no part of .venv
        words = [word for word in words if "launcher" not in word]
    compose_config(*words, config_name=name)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("torchrun ")])
def test_what_torchrun_starts_composes(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config.checks.count_cuda_devices", lambda: 4)
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    cfg = compose_config(*shlex.split(line.partition("src/train.py")[2]), "run.name=any")
    assert (cfg.trainer.devices, cfg.trainer.num_nodes) == (4, 1)


def test_every_table_row_is_a_choice() -> None:
    text = (ROOT / "README.md").read_text()
    for group in ("model", "loss", "data", "metrics"):
        table = text.split(f"| `{group}=` |")[1].split("\n\n")[0]
        named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        files = {path.stem for path in (ROOT / "configs" / group).glob("*.yaml")} - {"none"}
        assert named == files, group


def run(line: str, folder: Path) -> None:
    """Run a command in small, in a folder of its own."""
    name, _ = parts(line)
    _, script, *words = shlex.split(line)
    own = {name: value for name, value in os.environ.items() if name != "GANTRY_LOGS"}  # the README's is logs/
    environment = own | {"OMP_NUM_THREADS": "1", "GANTRY_CACHE_DIR": str(folder / "cache")}
    few = ["hydra.sweeper.n_trials=2"] if "hparams_search=" in line else []
    command = [sys.executable, str(ROOT / script), *words, *TINY[name], *few]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run logs/train/RUN and a FOLDER of samples."""
    folder = tmp_path_factory.mktemp("readme")
    run("python src/train.py run.name=RUN", folder)
    run("python src/sample.py run=logs/train/RUN what=png n=20 out=FOLDER", folder)
    return folder


ELSEWHERE = (
    "my_",
    "inception",
    "mnist",
    "cifar10",
    "trainer=ddp ",
    "trainer=gpu",
    "workspace",
)  # download, GPU, server
RUNNABLE = [line for line in PYTHON if not any(word in line for word in ELSEWHERE)]
QUICK = [line for line in RUNNABLE if parts(line)[0] != "train"]


@pytest.mark.parametrize("line", QUICK)
def test_commands_on_a_run(line: str, folder: Path) -> None:
    run(line, folder)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in RUNNABLE if line not in QUICK and not line.endswith("ddp")])
def test_training_commands(line: str, folder: Path) -> None:
    if " resume=" in line:
        copy = folder / "logs" / "train" / "COPY"
        shutil.copytree(folder / "logs" / "train" / "RUN", copy)
        run(f"python src/train.py resume={copy} turns=3", folder)
    else:
        run(line, folder)


@pytest.mark.data
@pytest.mark.parametrize("line", [line for line in PYTHON if "data=mnist" in line])
def test_training_commands_on_mnist(line: str, folder: Path) -> None:
    run(line, folder)
