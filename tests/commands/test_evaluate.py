import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from compose_config import compose_config
from gantry.commands import evaluate as evaluate_command
from gantry.commands.evaluate import evaluate, format_earlier_scores
from gantry.commands.evaluate_job import make_file_sample_source
from gantry.config.instantiate import build
from gantry.data.digits import Digits
from gantry.errors import RunError, UserError
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.sample_files import SampleFiles
from gantry.runs.folder import write_config
from gantry.runs.generator import save_generator
from gantry.runs.summary import read_summary, write_summary

RULE = "best fd_digits (min) on 5000 samples of seed 0, every 20 turns"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GANTRY_LOGS", str(tmp_path / "logs"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of an untrained generator: `best` and last.ckpt hold one, `last` another."""
    folder = tmp_path / "run"
    cfg = compose_config("data=digits", "model=mlp", f"run.dir={folder}")
    write_config(cfg, folder)
    config: Any = OmegaConf.to_container(cfg.model.G, resolve=True)
    for seed, name in enumerate(("best", "last")):
        torch.manual_seed(seed)
        save_generator(G := build(cfg.model.G), config, folder / "generator" / name)
        if name == "best":
            (folder / "checkpoints").mkdir()
            weights = {f"G_ema.{key}": value for key, value in G.state_dict().items()}
            torch.save({"state_dict": weights}, folder / "checkpoints" / "last.ckpt")
    write_summary(folder, {"best": {"protocol": {"checkpoint": RULE}}, "turns": 20})
    return folder


def scores_of(*overrides: str) -> dict[str, float]:
    return evaluate(compose_config("num_samples=60", "device=cpu", *overrides, config_name="evaluate"))


def test_a_run_is_scored_and_scores_are_stored_with_their_protocol(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = scores_of(f"run={run}", f"output={tmp_path / 'out'}")
    assert list(scores) == ["fd_digits", "cs_digits", "cs_digits_std"]
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert record["scores"] == scores
    assert record["protocol"]["checkpoint"] == RULE
    assert record["protocol"]["num_samples"] == 60
    assert record["protocol"]["seed"] == 1
    assert record["protocol"]["real_split"] == "train"
    assert read_summary(run)["turns"] == 20
    scores_of(f"run={run}", "reference=test", "seed=5")
    first, second = read_summary(run)["evaluations"]
    assert first == record
    assert (second["protocol"]["real_split"], second["protocol"]["seed"]) == ("test", 5)
    assert first["scores"] != second["scores"]
    printed = capsys.readouterr().out
    assert f"fd_digits               {scores['fd_digits']:.6g}" in printed
    assert f"  checkpoint            {RULE}" in printed


def test_the_checkpoint_is_a_choice(run: Path) -> None:
    best, last = scores_of(f"run={run}"), scores_of(f"run={run}", "checkpoint=last")
    assert best != last
    state = run / "checkpoints" / "last.ckpt"
    assert scores_of(f"checkpoint={state}") == best
    assert scores_of(f"run={run}", f"checkpoint={run / 'generator' / 'last'}") == last
    assert read_summary(run)["evaluations"][-2]["protocol"]["checkpoint"] == "last.ckpt"


def test_a_subset_of_the_samples_of_a_folder_is_evenly_spaced() -> None:
    files = SampleFiles(6, (1, 1, 1), lambda start, stop: torch.arange(start, stop).view(-1, 1, 1, 1), torch.arange(6))
    samples = make_file_sample_source(files, Evaluation({}, 3, None, "min"))
    assert samples.images(0, 3).flatten().tolist() == [0, 2, 5]
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 2, 5]
    assert samples.images(1, 2).flatten().tolist() == [2]


def test_metrics_are_a_choice(run: Path) -> None:
    assert scores_of(f"run={run}", "metrics=small", "scores=kid", "num_samples=1000").keys() == {
        "kd_digits",
        "kd_digits_std",
    }
    assert scores_of(f"run={run}", "metrics=small", "~metrics.scores.inception_score").keys() == {"fd_digits"}


def test_the_real_images_as_samples_are_perfect(tmp_path: Path) -> None:
    train = Digits().load().train
    np.savez(tmp_path / "real.npz", train.load_range(0, len(train)).x.permute(0, 2, 3, 1).numpy())
    complete = evaluate(compose_config(f"samples={tmp_path}/real.npz", "data=digits", config_name="evaluate"))
    assert complete["fd_digits"] == pytest.approx(0, abs=1e-6)
    (path,) = (tmp_path / "logs" / "evaluate").glob("*/scores.json")
    protocol = json.loads(path.read_text())["protocol"]
    assert (protocol["num_samples"], protocol["seed"], protocol["generator"]) == (len(train), None, None)


def test_scores_of_samples_can_be_logged_without_a_run(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "noise.npz", pixels)
    out = tmp_path / "out"
    scores = scores_of(f"samples={tmp_path}/noise.npz", "data=digits", "log_to=tensorboard", f"output={out}")
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    (event,) = events.Scalars("evaluation/fd_digits")
    assert event.value == pytest.approx(scores["fd_digits"])


def test_mistakes_name_their_key(run: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", np.zeros((12, 8, 8, 1), np.uint8))
    files = f"samples={tmp_path}/few.npz"
    (tmp_path / "other.ckpt").write_bytes(b"half")
    for overrides, message in [
        ([], "run or samples must be given"),
        ([f"run={run}", files], "run or samples must be given, and not both"),
        ([f"run={tmp_path}/none"], "run must be the folder of a run"),
        ([f"run={run}", f"checkpoint={tmp_path}/other.ckpt"], "checkpoint must be whole"),
        (
            [f"run={run}", "checkpoint=first"],
            "checkpoint must be best, last, .* got first, which does not exist",
        ),
        ([f"run={run}", "device=cpu:foo"], "device must be"),
        ([f"run={run}", "batchnorm=stading"], "batchnorm must be one of running, standing, batch"),
        (
            [f"run={run}", "reference=all"],
            "reference must be train, test, or a folder, .* got all",
        ),
        ([f"run={run}", "device=abacus"], "device must be"),
        ([f"run={run}", "log_to=csv"], "log_to must be null or one of mlflow, tensorboard, wandb, got csv"),
        ([f"run={run}", "metrics=none"], "metrics must be a choice with scores"),
        ([files], "data must be the data set to compare the samples with"),
        ([files, "data=digits"], "num_samples must be at most 12, all that there are, got 60"),
        ([files, "data=ring"], "samples must be like"),
    ]:
        with pytest.raises(ValueError, match=message):
            scores_of(*overrides)


def test_earlier_scores_are_printed_with_the_differences_of_their_protocol(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores_of(f"run={run}")
    record = read_summary(run)["evaluations"][0]
    otherwise = record["protocol"] | {"num_samples": 5000, "seed": 0}
    best = {"scores": {"fd_digits": 1.5}, "protocol": otherwise}
    write_summary(run, {"best": best, "report": {"best": record, "last": {"scores": {"fid": 1.0}, "protocol": {}}}})
    capsys.readouterr()
    scores_of(f"run={run}")
    output = [line for line in capsys.readouterr().out.splitlines() if "of the run" in line]
    assert output[0].startswith("best of the run: fd_digits 1.5 (measured otherwise, by ")
    assert output[0].endswith("num_samples: 5000 and 60; seed: 0 and 1)")
    assert output[1].startswith(f"report/best of the run: fd_digits {record['scores']['fd_digits']:.6g}")
    assert output[1].endswith("(measured alike)")
    assert len(output) == 2


def test_earlier_scores_with_other_settings_are_told_apart_from_the_others(tmp_path: Path) -> None:
    first, second = ({"extractor": "inception", "scores": {"frechet": {}, "kid": {"seed": seed}}} for seed in (0, 1))
    entry = {"scores": {"fid": 2.0, "kid": 1.0}, "protocol": first}
    write_summary(tmp_path, {"best": entry})
    assert list(format_earlier_scores(entry | {"protocol": second}, tmp_path)) == [
        "best of the run: fid 2 (measured alike)",
        "best of the run: kid 1 (measured otherwise, by scores.kid: {'seed': 0} and {'seed': 1})",
    ]


def test_real_images_can_be_read_from_a_folder(run: Path, tmp_path: Path) -> None:
    train = Digits().load().train
    np.savez(tmp_path / "real.npz", train.load_range(0, 500).x.permute(0, 2, 3, 1).numpy())
    scores_of(f"run={run}", f"reference={tmp_path}/real.npz")
    protocol = read_summary(run)["evaluations"][0]["protocol"]
    assert (protocol["real"], protocol["real_split"], protocol["real_count"]) == ("real.npz", "folder", 500)
    complete = evaluate(
        compose_config(
            f"samples={tmp_path}/real.npz", f"reference={tmp_path}/real.npz", "data=digits", config_name="evaluate"
        )
    )
    assert complete["fd_digits"] == pytest.approx(0, abs=1e-6)
    np.savez(tmp_path / "points.npz", np.zeros((12, 2), np.float32))
    with pytest.raises(UserError, match=r"^reference must hold real images like \[1, 8, 8\], got \[2\]"):
        scores_of(f"run={run}", f"reference={tmp_path}/points.npz")


def test_batchnorm_is_a_choice(run: Path) -> None:
    scores = [scores_of(f"run={run}", f"batchnorm={mode}")["fd_digits"] for mode in ("running", "standing", "batch")]
    output = [entry["protocol"]["batchnorm"] for entry in read_summary(run)["evaluations"]]
    assert len(set(output)) == len(set(scores)) == 3


def test_two_folders_are_compared_without_a_data_set(tmp_path: Path) -> None:
    train = Digits().load().train
    for name, rows in (("a", range(100)), ("b", range(100, 260))):
        for i in rows:
            folder = tmp_path / name / str(int(train.c[i]))
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(train.load_range(i, i + 1).x[0, 0].numpy()).save(folder / f"{i:03d}.png")
    files = [f"samples={tmp_path}/a", f"reference={tmp_path}/b"]

    def score(*words: str) -> dict[str, float]:
        return evaluate(compose_config("device=cpu", *files, *words, config_name="evaluate"))

    without = score("data.small_net=digits", "scores=[frechet,per_class]", "data.num_classes=10")
    assert without == score("data=digits", "scores=[frechet,per_class]")
    assert without["fd_digits"] > 0
    with pytest.raises(
        UserError, match=r"^metrics must be one for any images without data= .*, got that of a data set"
    ):
        score()
    with pytest.raises(
        UserError, match=r"^data\.num_classes must be at least 1 for a distance within each class, got 0"
    ):
        score("data.small_net=digits", "scores=per_class")


def test_a_run_that_cannot_be_written_is_scored_all_the_same(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be somebody else's; the file of the scores has them."""

    def refuse(*_: object) -> None:
        raise RunError("summary.json cannot be written: Read-only file system")

    monkeypatch.setattr(evaluate_command, "add_evaluation", refuse)
    scores = scores_of(f"run={run}", f"output={tmp_path / 'out'}")
    path = tmp_path / "out" / "scores.json"
    assert json.loads(path.read_text())["scores"] == scores
    line = f"summary.json cannot be written: Read-only file system. The scores are in {path} alone"
    assert line in caplog.messages


def test_scores_that_cannot_be_written_are_printed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, _: str) -> None:
        raise RunError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr(evaluate_command, "write_text", refuse)
    with pytest.raises(RunError, match=r"scores\.json cannot be written"):
        scores_of(f"run={run}", f"output={tmp_path / 'out'}")
    assert "fd_digits" in capsys.readouterr().out
