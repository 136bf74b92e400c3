"""The train command as a user runs it: what a run leaves, resuming, two processes."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from compose_config import compose_config
from gantry.commands import train as train_command
from gantry.commands.train import build_gan, build_trainer, report_choices
from gantry.errors import UserError
from subprocess_runs import wait_until

ROOT = Path(__file__).parents[2]
SMALL = [
    "model=mlp",
    "logger=csv",
    "metrics.num_samples=50",
    "data.batch_size=8",
    "callbacks.samples=null",
]


def command(*overrides: str, folder: Path) -> list[str]:
    return [sys.executable, str(ROOT / "src" / "train.py"), *SMALL, *overrides, f"run.dir={folder}"]


def environment(folder: Path) -> dict[str, str]:
    own = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "tests" / "helpers"),
        "GANTRY_TRUST": "pausing_callback",
        "GANTRY_CACHE_DIR": str(folder.parent / "cache"),
    }
    return os.environ | own


def train(*overrides: str, folder: Path, status: int = 0) -> str:
    done = subprocess.run(
        command(*overrides, folder=folder),
        capture_output=True,
        text=True,
        env=environment(folder),
        cwd=folder.parent,
    )
    assert done.returncode == status, done.stderr
    return done.stderr


def state(folder: Path, name: str = "last") -> dict[str, Tensor]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def rows(folder: Path) -> list[str]:
    """The rows of metrics.csv without speed and memory, which differ by nature."""
    lines = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    columns = [i for i, name in enumerate(lines[0]) if not name.startswith(("speed/", "memory/"))]
    return [",".join(line[i] for i in columns) for line in lines]


def report(folder: Path) -> list[dict[str, float]]:
    entries = json.loads((folder / "summary.json").read_text())["report"]
    return [entries[place]["scores"] for place in ("best", "last")]


def test_an_interrupted_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    every = ["callbacks.scalars.every=5", "callbacks.checkpoints.every=4", "callbacks.evaluate.every=4"]
    turns = ["turns=10", "model=dcgan_small", "loss=wgan_gp", *every]
    train(*turns, folder=unbroken)
    process = subprocess.Popen(
        command(*turns, "++callbacks.scalars._target_=pausing_callback.PausingScalars", folder=broken),
        env=environment(broken),
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    wait_until((broken / "paused").exists, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert 0 < torch.load(broken / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] < 10
    train(f"resume={broken}", "model=dcgan_small", folder=broken)
    for name, value in state(unbroken).items():
        assert torch.equal(state(broken)[name], value), name
    assert rows(broken) == rows(unbroken)
    assert report(broken) == report(unbroken)
    scores = [json.loads((folder / "summary.json").read_text())["last"]["scores"] for folder in (broken, unbroken)]
    assert scores[0] == scores[1]
    again = train("turns=10", folder=broken, status=2)
    assert "run.name must be new" in again


def test_channels_last_is_a_layout_alone(tmp_path: Path) -> None:
    config = ["model=dcgan_small", f"run.dir={tmp_path}"]
    last = build_gan(compose_config(*config))
    first = build_gan(compose_config(*config, "hardware.channels_last=false"))
    assert compose_config("trainer=cpu").hardware.channels_last
    for net, other in ((last.G, first.G), (last.D, first.D), (last.G_ema, first.G_ema)):
        for (name, weight), plain in zip(net.named_parameters(), other.parameters(), strict=True):
            assert torch.equal(weight, plain)
            if weight.ndim == 4:
                assert weight.is_contiguous(memory_format=torch.channels_last), name
                assert plain.is_contiguous(), name
    with pytest.raises(ValueError, match=r"^hardware\.channels_last must be true or false, got 2$"):
        compose_config("hardware.channels_last=2")


COUPLED = [  # what a loss may want of a batch: a mean over it, pairs in it, penalties, now and then
    "loss=wgan_gp",
    pytest.param("loss=nonsaturating", marks=pytest.mark.slow),
    pytest.param("loss=relativistic_average", marks=pytest.mark.slow),
    pytest.param("loss=r1 loss.d_terms.r1.every=4", marks=pytest.mark.slow),
    pytest.param("loss=r3 optim.accumulate=2", marks=pytest.mark.slow),
]


def one_and_two(tmp_path: Path, *words: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The states of one process and of two with half of each batch, after 20 turns.

    In float64, since Adam makes large of small: where a gradient is all rounding, so is the direction of its step.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, trainer in ((one, "cpu"), (two, "ddp_cpu")):
        train("turns=20", *words, "metrics=none", "trainer.precision=64-true", f"trainer={trainer}", folder=folder)
    assert len(list(two.rglob("last.ckpt"))) == 1
    return state(one), state(two)


@pytest.mark.parametrize("loss", COUPLED)
def test_two_processes_equal_one(tmp_path: Path, loss: str) -> None:
    one, two = one_and_two(tmp_path, *loss.split(), "model.G.norm=none")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-8, atol=1e-10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.slow
def test_batchnorm_sees_the_global_batch(tmp_path: Path) -> None:
    """In both nets: running statistics, too, are those of one process."""
    one, two = one_and_two(tmp_path, "model=dcgan_small", "loss=nonsaturating")
    assert any("running_var" in name and name.startswith("D.") for name in one)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_dcgan_with_a_gradient_penalty_on_two_processes(tmp_path: Path) -> None:
    """G has BatchNorm here: its running statistics agree, too."""
    check = "+callbacks.agreement._target_=agreement_callback.RankAgreement"
    folder = tmp_path / "run"
    train("turns=3", "model=dcgan", "loss=wgan_gp", "trainer=ddp_cpu", check, folder=folder)
    assert (folder / "ranks").read_text() == "2 equal"
    assert all(value.isfinite().all() for value in state(folder).values())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_a_run_on_a_gpu(tmp_path: Path, precision: str) -> None:
    """Whole, with its evaluations, pictures and report; recorded turns give what plain ones give."""
    words = ["trainer=gpu", f"trainer.precision={precision}", "model=dcgan_small", "loss=wgan_gp", "turns=20"]
    output = train(*words, folder=tmp_path / "recorded")
    assert "CUDA graph" not in output
    train(*words, "hardware.capture=false", folder=tmp_path / "plain")
    for recorded, plain in zip(report(tmp_path / "recorded"), report(tmp_path / "plain")):
        assert recorded == pytest.approx(plain, rel=0.05)


def test_the_log_says_which_nets_of_how_many_parameters_are_trained(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = compose_config("model=mlp", "model.G.hidden=[4]", "model.D.hidden=[3]", "model.z_dim=2", "turns=1500")
    chosen = {"model": "mlp", "loss": "nonsaturating", "optim": "adam", "trainer": "cpu"}
    monkeypatch.setattr(train_command, "read_config_choices", lambda: chosen)
    caplog.set_level(logging.INFO)
    report_choices(cfg, build_gan(cfg))
    sizes = f"G {2 * 4 + 4 + 2 * 4 + 4 * 64 + 64:,} and D {64 * 3 + 3 + 3 + 1:,} parameters"
    assert caplog.messages == [
        f"model mlp, {sizes}; loss nonsaturating, n_critic 1, terms none; data digits 1x8x8, batch size 64; "
        "budget 1,500 turns, 96.0 kimg, seed 0"
    ]


def test_a_trainer_that_lightning_cannot_build_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MisconfigurationException("`XAccelerator` can not run\non your system")

    monkeypatch.setattr(train_command, "build", refuse)
    monkeypatch.setattr(train_command, "build_all", lambda *_: {})
    line = r"^trainer must be one that Lightning can build, got: `XAccelerator` can not run on your system$"
    with pytest.raises(UserError, match=line):
        build_trainer(compose_config())
