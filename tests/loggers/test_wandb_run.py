"""A sweep as W&B gets it, offline: trained by the command, read back from W&B's files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from subprocess_runs import ROOT, make_environment, run_training
from wandb_offline import WandbRun, filter_records, find_wandb_logs, read_wandb_records, read_wandb_run

pytestmark = pytest.mark.slow
TURNS = 24
SMALL = [
    f"turns={TURNS}",
    "model=mlp_small",
    "logger=wandb",
    "tags=[a,b]",
    "metrics=small",
    "metrics.num_samples=20",
    "metrics.report.num_samples=20",
    *(f"callbacks.{name}.every=1" for name in ("scalars", "evaluate", "critic_gap")),
    "callbacks.samples={_target_:gantry.callbacks.samples.SampleWriter,folder:'${run.dir}',every:1,rows:3,columns:3}",
]
SCALARS = {"loss/D", "loss/G", "logits/real", "logits/fake", "grad/D", "grad/G", "speed/images_per_second"}
SCALARS |= {"memory/process_gib", "score/fd_digits", "critic/train", "critic/held_out", "critic/fake", "kimg"}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep over two seeds."""
    folder = tmp_path_factory.mktemp("wandb")
    run_training("-m", "run.name=S", "seed=1,2", *SMALL, folder=folder)
    return folder / "train" / "sweeps" / "S"


def read(folder: Path) -> WandbRun:
    return read_wandb_run(find_wandb_logs(folder))


def test_the_jobs_are_runs_of_a_group_that_can_be_filtered(sweep: Path) -> None:
    runs = [read(sweep / number) for number in ("0", "1")]
    assert [(run.name, run.group, run.job_type, run.tags) for run in runs] == [
        (f"S/{number}", "S", "train", ("a", "b")) for number in (0, 1)
    ]
    assert runs[0].id != runs[1].id
    for run, seed in zip(runs, (1, 2)):
        chosen = {"model": "mlp_small", "loss": "nonsaturating", "optim": "adam", "data": "digits", "seed": seed}
        assert run.config | chosen == run.config
        assert run.config["optim/G/lr"] == 4e-4
        assert run.config["protocol/num_samples"] == 20
        assert run.config["report/protocol/seed"] == 1
        assert run.exit_code == 0


def test_every_number_is_logged_at_every_turn(sweep: Path) -> None:
    metrics = read(sweep / "0").metrics
    assert set(metrics) >= SCALARS
    for name in SCALARS:
        assert np.isfinite(metrics[name]).sum() >= TURNS, name
    np.testing.assert_allclose(metrics["kimg"][1:], metrics["turn"][1:] * 0.008)


def test_samples_and_histograms_are_logged_at_every_turn(sweep: Path) -> None:
    run = read(sweep / "0")
    assert sorted(run.images) == list(range(TURNS + 1))
    pixels = np.asarray(Image.open(run.images[TURNS]))
    assert pixels.std() > 20  # neither black nor grey
    np.testing.assert_array_equal(pixels, Image.open(sweep / "0" / "samples" / f"{TURNS:06d}.png"))
    for kind in ("train", "held_out", "fake"):
        counts = [sum(row.get(f"logits/histogram/{kind}.values", [])) for row in run.rows.values()]
        assert sum(count > 0 for count in counts) == TURNS


def test_the_summary_has_the_final_scores(sweep: Path) -> None:
    run, output = read(sweep / "0"), json.loads((sweep / "0" / "summary.json").read_text())
    for place in ("best", "last"):
        assert run.summary[f"{place}/fd_digits"] == output[place]["scores"]["fd_digits"]
        assert run.summary[f"report/{place}/fd_digits"] == output["report"][place]["scores"]["fd_digits"]
    weights = load_file(sweep / "0" / "generator" / "last" / "model.safetensors")
    assert run.summary["parameters/G"] == run.config["parameters/G"] <= sum(w.numel() for w in weights.values())
    assert run.summary["parameters/G"] > 0 < run.summary["parameters/D"]
    assert run.summary["seconds"] == output["seconds"]


def artifact(folder: Path) -> Any:
    """The one that the run logged."""
    (result,) = [
        one for log in find_wandb_logs(folder) for one in filter_records("artifact", list(read_wandb_records(log)))
    ]
    return result


def test_the_best_generator_is_an_artifact_with_its_protocol(sweep: Path) -> None:
    result, output = artifact(sweep / "0"), json.loads((sweep / "0" / "summary.json").read_text())["report"]["best"]
    about = json.loads(result.metadata)
    assert (about["checkpoint"], about["turn"]) == ("best", output["turn"])
    assert about["scores/fd_digits"] == output["scores"]["fd_digits"]
    assert about["protocol/extractor"] == output["protocol"]["extractor"]
    files = {entry.path: Path(entry.local_path) for entry in result.manifest.contents}
    weights, best = load_file(files["model.safetensors"]), load_file(sweep / "0/generator/best/model.safetensors")
    assert weights.keys() == best.keys()
    assert all(torch.equal(weights[name], best[name]) for name in best)


def command(name: str, *words: str, folder: Path) -> None:
    """Run evaluate.py or sample.py."""
    line = [sys.executable, str(ROOT / "src" / f"{name}.py"), *words]
    done = subprocess.run(line, env=make_environment(folder), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_scores_and_samples_are_runs_of_the_same_group(sweep: Path, tmp_path: Path) -> None:
    command("evaluate", f"run={sweep / '0'}", "log_to=wandb", "num_samples=30", "output=E", folder=tmp_path)
    command("sample", f"run={sweep / '0'}", "log_to=wandb", "n=4", f"out={tmp_path / 'grid.png'}", folder=tmp_path)
    scored, shown = read(tmp_path / "E"), read(tmp_path / "grid-wandb")
    for run, task in ((scored, "evaluate"), (shown, "sample")):
        assert (run.name, run.group, run.job_type, run.tags) == ("S/0", "S", task, ("a", "b"))
        assert (run.config["model"], run.config["of"]) == ("mlp_small", str(sweep / "0"))
        assert run.exit_code == 0
    record = json.loads((tmp_path / "E" / "scores.json").read_text())
    assert scored.summary["evaluation/fd_digits"] == record["scores"]["fd_digits"]
    assert scored.config["evaluation/protocol/num_samples"] == 30
    (picture,) = shown.images.values()
    np.testing.assert_array_equal(Image.open(picture), Image.open(tmp_path / "grid.png"))


def test_a_job_resumes_as_the_same_run(sweep: Path) -> None:
    before = read(sweep / "1")
    run_training(f"resume={sweep / '1'}", f"turns={TURNS + 2}", *SMALL[1:], folder=sweep.parents[2])
    after = read(sweep / "1")
    assert len(find_wandb_logs(sweep / "1")) == 2
    assert (after.id, after.name, after.group) == (before.id, before.name, before.group)
    runs = [run for log in find_wandb_logs(sweep / "1") for run in filter_records("run", list(read_wandb_records(log)))]
    assert {(run.run_id, run.display_name, run.run_group) for run in runs} == {(before.id, "S/1", "S")}
    assert sorted(after.rows) == list(range(TURNS + 3))
