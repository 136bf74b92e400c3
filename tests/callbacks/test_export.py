"""The last generator, and the best by a score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gantry.callbacks.export import GeneratorExporter
from gantry.nets.mlp import Generator
from gantry.runs.generator import load_saved_generator
from gantry.runs.generator_json import read_generator_info
from stubs import TinyGan, call_hooks, make_trainer_stub

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


def score(values: dict[int, float], improving: Sequence[int] = ()) -> Any:
    """Scores at some turns, of which some are the best so far."""

    def evaluate(gan: TinyGan) -> None:
        gan.G_ema.head[0].bias.data.fill_(gan.turn)
        if gan.turn in values:
            gan.run_state.scores, gan.run_state.scored_at = {"fid": values[gan.turn]}, gan.turn
        if gan.turn in improving:
            gan.run_state.improved_at = gan.turn

    return evaluate


def turns_in(folder: Path) -> dict[str, int]:
    names = sorted(path.name for path in (folder / "generator").iterdir())
    bias = {name: load_saved_generator(folder / "generator" / name).head[0].bias for name in names}
    assert all((b == b[0]).all() for b in bias.values())
    output = {name: read_generator_info(folder / "generator" / name).extra["turn"] for name in names}
    assert output == {name: int(b[0]) for name, b in bias.items()}
    return output


def test_best_and_last(tmp_path: Path) -> None:
    scores = {2: 9.0, 4: 3.0, 6: 11.0, 8: 4.0}
    call_hooks(
        GeneratorExporter(str(tmp_path), CONFIG),
        make_trainer_stub(),
        tiny_gan(),
        9,
        between=score(scores, improving=[2, 4]),
    )
    assert turns_in(tmp_path) == {"best": 4, "last": 9}
    what = read_generator_info(tmp_path / "generator" / "best")
    assert what.extra["scores"] == {"fid": 3.0}
    assert read_generator_info(tmp_path / "generator" / "last").extra["scores"] == {}


def test_what_never_improved_has_no_best(tmp_path: Path) -> None:
    call_hooks(GeneratorExporter(str(tmp_path), CONFIG), make_trainer_stub(), tiny_gan(), 3, between=score({2: 1.0}))
    assert turns_in(tmp_path) == {"last": 3}


def test_a_run_that_is_scored_at_its_end_alone_has_a_best(tmp_path: Path) -> None:
    gan = tiny_gan(turn=7)
    score({7: 1.0}, improving=[7])(gan)  # as Evaluate does when time is up between two evaluations
    GeneratorExporter(str(tmp_path), CONFIG).on_training_end(make_trainer_stub(), gan)
    assert turns_in(tmp_path) == {"best": 7, "last": 7}


def test_class_names_are_kept(tmp_path: Path) -> None:
    data = type("Data", (), {"classes": ("cat", "dog")})()
    GeneratorExporter(str(tmp_path), CONFIG).on_training_end(make_trainer_stub(datamodule=data), tiny_gan())
    assert read_generator_info(tmp_path / "generator" / "last").extra["classes"] == ["cat", "dog"]


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    call_hooks(
        GeneratorExporter(str(tmp_path), CONFIG),
        make_trainer_stub(rank=1),
        tiny_gan(),
        2,
        between=score({2: 3.0}, improving=[2]),
    )
    assert not list(tmp_path.iterdir())


def test_the_same_samples(tmp_path: Path) -> None:
    gan = tiny_gan()
    GeneratorExporter(str(tmp_path), CONFIG).on_training_end(make_trainer_stub(), gan)
    z, c = torch.randn(5, 3), torch.zeros(5, dtype=torch.int64)
    again = load_saved_generator(tmp_path / "generator" / "last")
    assert torch.equal(again(z, c), gan.G_ema.eval()(z, c))
