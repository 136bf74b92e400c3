"""When checkpoints are written, and under which names."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gantry.callbacks.checkpoints import CheckpointWriter
from stubs import TinyGan, call_hooks


class Saving:
    """A trainer whose checkpoints hold the number of the turn."""

    def __init__(self, gan: TinyGan) -> None:
        self.gan, self.is_global_zero, self.optimizers = gan, True, list[Any]()
        self.strategy = SimpleNamespace(barrier=lambda: None)

    def save_checkpoint(self, path: Path, weights_only: bool) -> None:
        assert not weights_only
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(self.gan.turn))


def turns_in(folder: Path) -> dict[str, int]:
    return {path.name: int(path.read_text()) for path in folder.iterdir()}


def improving(*turns: int) -> Any:
    def between(gan: TinyGan) -> None:
        gan.run_state.improved_at = gan.turn if gan.turn in turns else gan.run_state.improved_at

    return between


def test_last_before_and_best(tmp_path: Path) -> None:
    gan = TinyGan(turns=10)
    call_hooks(CheckpointWriter(str(tmp_path / "c"), every=4), Saving(gan), gan, 10, between=improving(2, 5))
    assert turns_in(tmp_path / "c") == {"last.ckpt": 10, "before.ckpt": 8, "best.ckpt": 5}


def test_a_run_that_ends_early_is_written_at_its_end(tmp_path: Path) -> None:
    gan = TinyGan(turns=100)
    callback = CheckpointWriter(str(tmp_path / "c"), every=50)
    call_hooks(callback, Saving(gan), gan, 7, between=improving(3))
    gan.run_state.improved_at = 7  # scored at the end, after all
    callback.on_training_end(Saving(gan), gan)  # type: ignore[arg-type]
    assert turns_in(tmp_path / "c") == {"last.ckpt": 7, "best.ckpt": 7}
