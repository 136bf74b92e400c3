"""The parts of docs/extending.md, as a user would write them: trained, resumed, evaluated, sampled and compared."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from compose_config import compose_config
from gantry.commands.compare import compare
from gantry.commands.evaluate import evaluate
from gantry.commands.resume import expand_resume, split_options
from gantry.commands.sample import write_samples
from gantry.compare.find_runs import read_runs
from gantry.runs.status import RunStatus

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
TRAIN, EVALUATE, SAMPLE, RESUME = (
    shlex.split(line) for line in TEXT.splitlines() if line.startswith("    python src/")
)
(WORDS,) = (shlex.split(block.replace("\\\n", "")) for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL))
FEWER_CALLBACKS = ["callbacks.samples=false", "callbacks.curves=false"]  # they take time to import and to write
SHORT = ["turns=2", "metrics.num_samples=50", "metrics.report=null", "logger=csv"]
REFUSED = r"must be under gantry, torch or lightning, or in a trusted package \(trust=\[my_gan\]"


def start(folder: Path, command: list[str]) -> subprocess.Popen[str]:
    """Start a command of the page in a folder in which `my_gan` can be imported."""
    own = {"GANTRY_LOGS": str(folder / "logs"), "GANTRY_CACHE_DIR": str(folder / "cache"), "WANDB_MODE": "offline"}
    _, script, *words = command
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *words],
        cwd=folder,
        env=os.environ | own | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a command, which must succeed."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the user's module and YAMLs, and a run of all YAMLs, of the data set, and of words alone."""
    folder = tmp_path_factory.mktemp("extending")
    (folder / "my_gan.py").write_text("\n\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)))
    for body, name in re.findall(r"```yaml\n((?:# @.*\n)?# (my_configs/\S+)\n[\s\S]*?)```", TEXT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body)
    words = start(folder, [*WORDS, *FEWER_CALLBACKS])
    finish(start(folder, [*TRAIN, "logger=csv", *FEWER_CALLBACKS]))
    finish(words)
    squares = start(folder, [*TRAIN[:3], "data=squares", "run.name=squares", *SHORT, *FEWER_CALLBACKS])
    finish(start(folder, [*RESUME, "trainer=ddp_cpu"]))
    finish(squares)
    return folder


@pytest.fixture
def folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the place of this process."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    monkeypatch.setenv("GANTRY_LOGS", "logs")
    monkeypatch.setenv("GANTRY_CACHE_DIR", "cache")
    monkeypatch.delenv("GANTRY_TRUST", raising=False)
    return project


def test_all_parts_train_together_and_are_resumed_by_two_processes(folder: Path) -> None:
    header, *rows = (folder / "logs/train/mine/metrics.csv").read_text().splitlines()
    assert {"weights/G", "lr/G", "score/fd_own", "score/mean_distance", "loss/D/logit"} <= set(header.split(","))
    assert rows[-1].startswith("6,")


def test_words_alone_name_the_same_parts(folder: Path) -> None:
    header, *rows = (folder / "logs/train/words/metrics.csv").read_text().splitlines()
    assert {"weights/G", "score/mean_distance", "loss/D/logit"} <= set(header.split(","))
    assert rows[-1].startswith("2,")
    assert list((folder / "logs/train/words/wandb").glob("offline-run-*/*.wandb"))


def test_the_data_set_trains_by_itself_with_scores_of_the_shipped_network(folder: Path) -> None:
    header, *rows = (folder / "logs/train/squares/metrics.csv").read_text().splitlines()
    assert "score/fd_digits" in header.split(",")
    assert rows[-1].startswith("2,")


def test_what_a_run_names_is_refused_without_trust(folder: Path) -> None:
    for task, name, (_, _, run, _) in ((evaluate, "evaluate", EVALUATE), (write_samples, "sample", SAMPLE)):
        with pytest.raises(ValueError, match=rf"^[\w.]+ {REFUSED}[^\n]*$"):
            task(compose_config(run, config_name=name))
    with pytest.raises(ValueError, match=rf"^loss\.d\._target_ {REFUSED}[^\n]*$"):
        expand_resume(["resume=logs/train/words"])


def test_with_trust_it_is_evaluated_and_sampled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = evaluate(compose_config(*EVALUATE[2:], "device=cpu", config_name="evaluate"))
    assert scores.keys() == {"fd_own", "mean_distance"}
    assert write_samples(compose_config(*SAMPLE[2:], "device=cpu", config_name="sample")).is_file()
    assert "loss.d._target_=my_gan.loss_d" in expand_resume(["resume=logs/train/words", "trust=[my_gan]"])
    monkeypatch.setenv("GANTRY_TRUST", "my_gan")
    assert "loss.d._target_=my_gan.loss_d" in expand_resume(["resume=logs/train/words"])


def test_comparing_needs_no_trust(folder: Path) -> None:
    result = read_runs(["logs/train"])
    assert [(run.name, run.status.state) for run in result.runs] == [
        ("mine", RunStatus.FINISHED),
        ("squares", RunStatus.FINISHED),
        ("words", RunStatus.FINISHED),
    ]
    page = compare(compose_config("runs=[logs/train]", config_name="compare")).read_text()
    assert "mean_distance" in page


def test_options_are_split_from_overrides() -> None:
    words = ["a=1", "--cfg", "job", "b=2", "-m", "--package=data"]
    assert split_options(words) == (["--cfg", "job", "-m", "--package=data"], ["a=1", "b=2"])
