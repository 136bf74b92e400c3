"""The last generator, and the best by a score."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gantry.callbacks.export import Export
from gantry.nets.mlp import Generator
from gantry.runs.description import read_description
from gantry.runs.generator import load_generator
from tiny import TinyGan, play, trainer

CONFIG: dict[str, Any] = {
    "_target_": "gantry.nets.mlp.Generator",
    "shape": [1, 4, 4],
    "z_dim": 3,
    "hidden": [5],
    "norm": "batch",
    "activation": "relu",
}


def tiny_gan(**more: Any) -> TinyGan:
    return TinyGan(Generator(**{k: v for k, v in CONFIG.items() if k != "_target_"}), **more)


def score(values: dict[int, float]) -> Any:
    def evaluate(gan: TinyGan) -> None:
        gan.G_ema.head[0].bias.data.fill_(gan.turn)
        if gan.turn in values:
            gan.scores, gan.scored_at = {"fid": values[gan.turn]}, gan.turn

    return evaluate


def turns_in(folder: Path) -> dict[str, int]:
    names = sorted(path.name for path in (folder / "generator").iterdir())
    bias = {name: load_generator(folder / "generator" / name).head[0].bias for name in names}
    assert all((b == b[0]).all() for b in bias.values())
    said = {name: read_description(folder / "generator" / name).extra["turn"] for name in names}
    assert said == {name: int(b[0]) for name, b in bias.items()}
    return said


@pytest.mark.parametrize(("mode", "best"), [("min", 4), ("max", 6)])
def test_best_and_last(tmp_path: Path, mode: Any, best: int) -> None:
    scores = {2: 9.0, 4: 3.0, 6: 11.0, 8: 4.0}
    play(Export(str(tmp_path), CONFIG, "fid", mode), trainer(), tiny_gan(), 9, between=score(scores))
    assert turns_in(tmp_path) == {"best": best, "last": 9}
    what = read_description(tmp_path / "generator" / "best")
    assert what.extra["scores"] == {"fid": scores[best]}
    assert read_description(tmp_path / "generator" / "last").extra["scores"] == {}


def test_without_a_monitor_the_last_one_alone(tmp_path: Path) -> None:
    play(Export(str(tmp_path), CONFIG), trainer(), tiny_gan(), 3, between=score({2: 1.0}))
    assert turns_in(tmp_path) == {"last": 3}


def test_a_score_that_is_not_a_number_is_never_the_best(tmp_path: Path) -> None:
    scores = {1: float("nan"), 2: 5.0, 3: float("nan")}
    play(Export(str(tmp_path), CONFIG, "fid"), trainer(), tiny_gan(), 3, between=score(scores))
    assert turns_in(tmp_path)["best"] == 2


def test_the_best_score_survives_a_resume(tmp_path: Path) -> None:
    before = Export(str(tmp_path), CONFIG, "fid")
    play(before, trainer(), tiny_gan(), 2, between=score({2: 3.0}))
    after = Export(str(tmp_path), CONFIG, "fid")
    after.load_state_dict(before.state_dict())
    play(after, trainer(), tiny_gan(turn=2), 4, between=score({3: 3.5}))
    assert turns_in(tmp_path) == {"best": 2, "last": 4}


def test_class_names_are_kept(tmp_path: Path) -> None:
    data = type("Data", (), {"classes": ("cat", "dog")})()
    Export(str(tmp_path), CONFIG).on_train_end(trainer(datamodule=data), tiny_gan())
    assert read_description(tmp_path / "generator" / "last").extra["classes"] == ["cat", "dog"]


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    play(Export(str(tmp_path), CONFIG, "fid"), trainer(rank=1), tiny_gan(), 2, between=score({2: 3.0}))
    assert not list(tmp_path.iterdir())


def test_the_same_samples(tmp_path: Path) -> None:
    gan = tiny_gan()
    Export(str(tmp_path), CONFIG).on_train_end(trainer(), gan)
    z, c = torch.randn(5, 3), torch.zeros(5, dtype=torch.int64)
    again = load_generator(tmp_path / "generator" / "last")
    assert torch.equal(again(z, c), gan.G_ema.eval()(z, c))
