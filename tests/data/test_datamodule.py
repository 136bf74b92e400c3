"""The data module: checks of its arguments, its batches under a trainer, and resumption."""

from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from gantry.data.datamodule import DataModule
from gantry.data.digits import Digits
from gantry.data.images import TurnBatches
from gantry.data.toys import make_ring
from gantry.errors import UserError

VALID_ARGUMENTS = {"name": "digits", "shape": [1, 8, 8], "num_classes": 10, "small_net": "digits", "batch_size": 64}


def make_datamodule(source: Any = None, batches_per_turn: int = 2, flip: bool = False, **changes: Any) -> DataModule:
    arguments = {**VALID_ARGUMENTS, "flip": flip, **changes}
    return DataModule(source or Digits(), **arguments, batches_per_turn=batches_per_turn, seed=0)


def load_turns(start: int, n: int, rank: int = 0, world_size: int = 1, **changes: Any) -> list[TurnBatches]:
    """Return the n turns from `start` on that a process loads."""
    data = make_datamodule(**changes)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    stub = SimpleNamespace(global_step=start, global_rank=rank, world_size=world_size, strategy=strategy)
    data.trainer = stub  # type: ignore[assignment]
    return list(islice(data.train_dataloader(), n))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [8, 8]}, r"data\.shape must be \[channels, height, width\] or \[2\], got \[8, 8\]"),
        ({"shape": [1, 0, 8]}, r"data\.shape must be .*, got \[1, 0, 8\]"),
        ({"shape": [2], "flip": True}, r"data\.flip must be false for points, got true"),
        ({"batch_size": 0}, r"data\.batch_size must be 1 or more, got 0"),
        ({"num_classes": -1}, r"data\.num_classes must be 0 or more, got -1"),
    ],
)
def test_wrong_arguments_are_refused_at_construction(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make_datamodule(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [3, 8, 8]}, r"data\.shape must be \[1, 8, 8\], .* digits, got \[3, 8, 8\]"),
        ({"num_classes": 9}, r"data\.num_classes must be 10, the classes of digits, or 0, got 9"),
    ],
)
def test_source_must_match_the_configuration(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        make_datamodule(**changes).setup("fit")


def test_labels_can_be_ignored() -> None:
    data = make_datamodule(num_classes=0)
    assert (data.classes, data.data.num_classes) == ((), 0)
    assert data.get_reference_split("test").c.unique().tolist() == [0]


def test_reference_splits_and_names() -> None:
    data = make_datamodule(name="mine")
    assert (data.data.name, data.classes) == ("mine", tuple("0123456789"))
    assert (len(data.get_reference_split("train")), len(data.get_reference_split("test"))) == (1437, 360)


def test_turn_has_its_batches_in_range() -> None:
    x, c = load_turns(0, 1)[0]
    assert (x.shape, c.shape) == ((2, 64, 1, 8, 8), (2, 64))
    assert (x.min().item(), x.max().item()) == (-1, 1)
    x, c = load_turns(0, 1, source=make_ring(100, 10), shape=[2], num_classes=8, batch_size=256)[0]
    assert x.shape == (2, 256, 2)


def test_flip_mirrors_half_of_the_images() -> None:
    ((plain, _),), ((flipped, _),) = load_turns(0, 1), load_turns(0, 1, flip=True)
    unchanged = (plain == flipped).flatten(2).all(2)
    mirrored = (plain == flipped.flip(-1)).flatten(2).all(2)
    assert (unchanged | mirrored).all()
    assert 40 < mirrored.sum().item() < 88  # of 128, four standard deviations


@pytest.mark.parametrize("start", [1, 11, 12, 40])
def test_resumed_turns_equal_those_of_an_uninterrupted_run(start: int) -> None:
    """12 turns of 2 x 64 images are a little more than an epoch of 1,437."""
    uninterrupted, resumed = load_turns(0, start + 3, flip=True)[start:], load_turns(start, 3, flip=True)
    for (x, c), (x_again, c_again) in zip(uninterrupted, resumed):
        assert torch.equal(x, x_again)
        assert torch.equal(c, c_again)


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_split_the_batch_of_one_process(world_size: int) -> None:
    expected = load_turns(10, 3, batch_size=66, flip=True)
    parts = [load_turns(10, 3, rank, world_size, batch_size=66, flip=True) for rank in range(world_size)]
    for turn, (x, c) in enumerate(expected):
        assert torch.equal(torch.cat([part[turn][0] for part in parts], dim=1), x)
        assert torch.equal(torch.cat([part[turn][1] for part in parts], dim=1), c)


def test_batch_size_must_be_divisible_by_the_processes() -> None:
    with pytest.raises(ValueError, match=r"^data\.batch_size must be"):
        load_turns(0, 1, world_size=3)


class LabelRecorder(LightningModule):
    """Counts one turn per step, as a GAN does, and records the labels."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[Tensor] = []

    def training_step(self, batch: TurnBatches) -> None:
        self.seen.append(batch[1])
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        (self.weight * batch[0].mean()).backward()
        optimizer.step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder: Path, steps: int, checkpoint: Path | None = None) -> tuple[list[Tensor], Trainer]:
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    recorder = LabelRecorder()
    trainer.fit(recorder, datamodule=make_datamodule(), ckpt_path=checkpoint)
    return recorder.seen, trainer


def test_trainer_resumes_at_the_turn_of_the_checkpoint(tmp_path: Path) -> None:
    uninterrupted, _ = fit(tmp_path, 8)
    first, trainer = fit(tmp_path, 5)
    trainer.save_checkpoint(tmp_path / "at5.ckpt")
    second, _ = fit(tmp_path, 8, tmp_path / "at5.ckpt")
    assert len(first + second) == len(uninterrupted) == 8
    assert torch.equal(torch.stack(first + second), torch.stack(uninterrupted))
