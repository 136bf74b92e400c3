"""The Python API gives what the commands give, and `import gantry` costs nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import gantry
from compose_config import compose_config
from gantry.commands.evaluate import evaluate
from gantry.commands.sample import write_samples
from gantry.evaluation.generator_samples import make_image_source
from gantry.pixels import to_uint8
from gantry.sampling.latents import balanced_labels
from stubs import TinyG
from subprocess_runs import make_environment, run_training

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "api.md"
NOTEBOOK = ROOT / "notebooks" / "first_steps.ipynb"
SCORED = ["metrics=small", "metrics.num_samples=20", "metrics.report.num_samples=40"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run logs/train/RUN of a conditional GAN with BatchNorm in G."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "logs").mkdir()
    run_training("run.name=RUN", "model=dcgan_small", "model.G.width=4", *SCORED, folder=folder / "logs")
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of the run, from a working folder that contains logs/."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GANTRY_LOGS", raising=False)
    monkeypatch.setenv("GANTRY_CACHE_DIR", str(folder / "cache"))
    return "logs/train/RUN"


def evaluate_command(*overrides: str) -> dict[str, Any]:
    """Return the entry that evaluate.py writes."""
    cfg = compose_config(*overrides, "device=cpu", "output=evaluated", config_name="evaluate")
    evaluate(cfg)
    return json.loads(Path("evaluated/scores.json").read_text())


def test_the_import_is_light_and_quick() -> None:
    code = "import sys, time; start = time.process_time(); import gantry; print(time.process_time() - start)"
    heavy = "print([name for name in ('torch', 'hydra', 'omegaconf', 'numpy', 'typing') if name in sys.modules])"
    command = [sys.executable, "-S", "-c", f"{code}; {heavy}"]  # without the packages that site itself imports
    output = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=True).stdout
    seconds, loaded = output.splitlines()
    assert loaded == "[]"
    assert float(seconds) < 0.05


def test_the_package_names_its_functions() -> None:
    assert set(gantry.__all__) <= set(dir(gantry))
    assert all(callable(getattr(gantry, name)) for name in gantry.__all__)
    with pytest.raises(AttributeError, match="module gantry has no attribute nothing"):
        _ = gantry.nothing


def test_a_generator_is_the_best_or_the_last(run: str) -> None:
    best = gantry.load_generator(run)
    assert not best.training
    assert best.num_classes == 10
    for which in ("best", "last"):
        stored = gantry.load_generator(f"{run}/generator/{which}").state_dict()
        torch.testing.assert_close(gantry.load_generator(run, which).state_dict(), stored, rtol=0, atol=0)
    with pytest.raises(ValueError, match="run must be a folder with generator/first"):
        gantry.load_generator(run, "first")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"label": 3}, {"truncation": 0.5}])
def test_samples_are_those_of_the_write_samples(run: str, options: dict[str, Any]) -> None:
    said = {"class": options.get("label"), "truncation": options.get("truncation"), "out": "samples.npz"}
    rest = {"run": run, "which": None, "what": "npz", "n": 150, "seed": 5, "log_to": None, "device": "cpu"}
    write_samples(OmegaConf.create(rest | said))
    x = gantry.sample(gantry.load_generator(run), 150, seed=5, **options)
    with np.load("samples.npz") as file:
        np.testing.assert_array_equal(x.permute(0, 2, 3, 1).numpy(), file["arr_0"])


def test_samples_are_those_of_evaluations(run: str) -> None:
    G = gantry.load_generator(run)
    x = gantry.sample(G, 70, seed=1)
    assert (x.dtype, x.shape) == (torch.uint8, (70, 1, 8, 8))
    expected = to_uint8(make_image_source(G, 1, torch.device("cpu"))(0, 70))
    torch.testing.assert_close(x, expected, rtol=0, atol=0)
    torch.testing.assert_close(gantry.sample(G, 20, seed=1), x[:20], rtol=0, atol=1)  # rounding
    of_class_3 = balanced_labels(0, 70, 10) == 3
    torch.testing.assert_close(gantry.sample(G, 70, seed=1, label=3)[of_class_3], x[of_class_3], rtol=0, atol=1)


def test_samples_of_the_plane_are_float() -> None:
    x = gantry.sample(TinyG((2,)).train(), 5)
    assert (x.dtype, x.shape) == (torch.float32, (5, 2))


def test_a_request_for_samples_that_cannot_be_met() -> None:
    for arguments, message in [
        ({"n": 0}, "n must be an integer of at least 1, got 0"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"truncation": 0}, "truncation must be a number above 0"),
        ({"label": 3}, "class must be one of 0 to 2, got 3"),
    ]:
        with pytest.raises(ValueError, match=message):
            gantry.sample(TinyG(num_classes=3), **arguments)
    with pytest.raises(ValueError, match=r"must have the attribute shape .* got a torch.nn.modules.linear.Linear"):
        gantry.sample(torch.nn.Linear(1, 1))  # type: ignore[arg-type]


def test_scores_of_a_run_are_those_of_the_evaluate_command(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = evaluate_command(f"run={run}", "num_samples=60", "checkpoint=last", "reference=test")
    printed = capsys.readouterr().out
    entry = gantry.score(run, num_samples=60, device="cpu", overrides=["checkpoint=last", "reference=test"])
    assert {"of": run} | entry.to_dict() == record
    assert printed.startswith(f"{entry}\n")
    assert entry.scores["fd_digits"] > 0


def test_scores_of_images_are_those_of_the_evaluate_command(run: str, tmp_path: Path) -> None:
    x = torch.randint(256, (60, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    np.savez(tmp_path / "noise.npz", x.permute(0, 2, 3, 1).numpy())
    record = evaluate_command(f"samples={tmp_path}/noise.npz", "data=digits", "metrics=small")
    del record["of"]
    assert gantry.score(x, data="digits", metrics="small", device="cpu").to_dict() == record
    assert gantry.score(x, data="digits", device="cpu").to_dict() == record
    assert gantry.score(tmp_path / "noise.npz", data="digits", device="cpu").to_dict() == record
    some = evaluate_command(f"samples={tmp_path}/noise.npz", "data=digits", "num_samples=20")
    assert gantry.score(x, data="digits", num_samples=20, device="cpu").scores == some["scores"]


def test_scores_of_a_generator_in_memory(run: str) -> None:
    G = gantry.load_generator(run)
    entry = gantry.score(G, data="digits", num_samples=60, device="cpu")
    of_run = gantry.score(run, num_samples=60, device="cpu")
    assert entry.scores == of_run.scores
    assert entry.protocol.checkpoint == "in memory"
    assert entry.protocol.to_dict() | {"checkpoint": of_run.protocol.checkpoint} == of_run.protocol.to_dict()


def test_points_are_scored(run: str) -> None:
    means = torch.tensor([[0.8, 0.0], [-0.8, 0.0]], dtype=torch.float64)
    entry = gantry.score(means.repeat(20, 1), data="ring", device="cpu")
    assert entry.scores["modes"] == 2


def test_scoring_writes_nothing_and_leaves_hydra_alone(run: str, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "cache" not in path.parts}
    HydraConfig.instance().cfg = None
    gantry.score(run, num_samples=60, device="cpu", overrides=["scores=[memorisation]"])
    assert HydraConfig.instance().cfg is None
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "cache" not in path.parts} == before


def test_a_score_that_cannot_be_made(run: str) -> None:
    x = torch.zeros(12, 1, 8, 8, dtype=torch.uint8)
    subjects: list[tuple[Any, dict[str, Any], str]] = [
        (x, {}, "data must be the data set to compare the samples with"),
        (x, {"data": "digit"}, "data must be one of cifar10, .* got digit"),
        (x, {"data": "digits", "metrics": "tiny"}, "metrics must be one of .* got tiny"),
        (x, {"data": "digits", "num_samples": 13}, "num_samples must be at most 12, .* got 13"),
        (x, {"data": "ring"}, r"samples must be like \[2\], got \[1, 8, 8\]"),
        (x.float(), {"data": "digits"}, r"samples must be uint8 \[N, C, H, W\] or points .* got torch.float32"),
        (TinyG((2,)), {"data": "digits"}, r"samples must be like \[1, 8, 8\], got \[2\]"),
        (TinyG(), {"data": "digits", "device": "abacus"}, "device must be"),
        (torch.nn.Linear(1, 1), {"data": "digits"}, "must have the attribute shape"),
        ("nowhere", {"data": "digits"}, "samples must be a folder with images .* got nowhere, which does not exist"),
        (run, {"overrides": ["checkpoint=first"]}, "checkpoint must be best, last"),
        (run, {"overrides": ["checkpoints=last"]}, "checkpoints"),
    ]
    for subject, options, message in subjects:
        with pytest.raises(ValueError, match=message):
            gantry.score(subject, **options)


def test_metrics_are_columns(run: str) -> None:
    table = gantry.read_metrics(run)
    assert list(table)[:2] == ["turn", "kimg"]
    assert (table["turn"].dtype, table["turn"][-1]) == (np.float64, 6)
    assert {len(column) for column in table.values()} == {len(table["turn"])}
    with pytest.raises(ValueError, match=r"run must be the folder of a run with metrics\.csv, got nowhere"):
        gantry.read_metrics("nowhere")


def test_runs_are_found_with_scores_protocol_and_settings(
    run: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("a: [")
    (record,) = gantry.find_runs("logs", tmp_path)
    assert (record.folder, str(record.status)) == (Path(run).resolve(), "finished")
    assert record.config["model.G.width"] == 4
    entry = json.loads(Path(run, "summary.json").read_text())["report"]["best"]
    assert record.entries["best"] == entry
    assert record.get_score("best", "fd_digits") == entry["scores"]["fd_digits"]
    assert "broken is left out" in caplog.text
    with pytest.raises(ValueError, match="runs must be folders of runs, got nowhere, which does not exist"):
        gantry.find_runs("nowhere")


def test_the_example_of_the_document_runs(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    exec(example, {})
    assert "measured with" in capsys.readouterr().out
    assert 8 <= len(example.splitlines()) <= 14


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    """Run the code cells in order, as one program."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    environment = make_environment(tmp_path) | {"PYTHONPATH": str(ROOT / "src"), "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "fd_digits" in done.stdout
