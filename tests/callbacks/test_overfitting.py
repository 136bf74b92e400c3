"""The held-out gap of D."""

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gantry.callbacks.overfitting import OverfittingMonitor, compute_overfitting, evenly_spaced_images
from gantry.data.images import InMemoryImages
from stubs import RecordingLogger, TinyG, TinyGan, call_hooks, make_trainer_stub


class MeanD(nn.Module):
    """The logit is the mean of the image, plus ten times its class; BatchNorm would remember a training pass."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        self.norm(x.flatten(1).mean(1, keepdim=True))
        return x.flatten(1).mean(1) + 10 * c


def flat(*levels: int, c: int = 0) -> InMemoryImages:
    x = torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    return InMemoryImages(x.contiguous(), torch.full((len(levels),), c))


def tiny_gan() -> Any:
    gan: Any = TinyGan(TinyG(num_classes=2))
    gan.G, gan.D = gan.G_ema, MeanD().train()
    return gan


def played(train: InMemoryImages, held_out: InMemoryImages, rank: int = 0) -> tuple[RecordingLogger, Any]:
    logger, gan = RecordingLogger(), tiny_gan()
    data = SimpleNamespace(data=SimpleNamespace(train=train, test=held_out, name="few"))
    callback = OverfittingMonitor(every=2, num_samples=5, batch_size=2, seed=3)
    call_hooks(callback, make_trainer_stub(logger, rank=rank, datamodule=data), gan, 4)
    return logger, gan


def test_the_means_are_those_of_the_three_kinds_of_images() -> None:
    logger, gan = played(flat(255, 0, 255), flat(51, 51, c=1))
    assert [turn for turn, _ in logger.rows] == [2, 4]
    row = logger.rows[-1][1]
    assert row["critic/train"] == pytest.approx(1 / 3)
    assert row["critic/held_out"] == pytest.approx(51 / 127.5 - 1 + 10)
    from gantry.sampling.latents import balanced_labels, sample_latents

    c = balanced_labels(0, 5, 2)
    fake = (torch.tanh(sample_latents(3, 0, 5, 4)[:, 0] / 4 + c) + 10 * c).mean()
    assert row["critic/fake"] == pytest.approx(float(fake), rel=1e-5)
    assert gan.D.training
    assert gan.D.norm.num_batches_tracked == 0


def overfitting(train: float, held_out: float, fake: float) -> float:
    """Return the overfitting of logits with these means."""
    means = {"train": train, "held_out": held_out, "fake": fake}
    return compute_overfitting({name: np.array([mean - 1, mean + 1]) for name, mean in means.items()})[
        "critic/overfitting"
    ]


def test_overfitting_is_the_share_of_the_way_from_real_to_fake() -> None:
    assert overfitting(2.0, 2.0, -2.0) == 0.0
    assert overfitting(2.0, 1.0, -2.0) == 0.25
    assert overfitting(2.0, -2.0, -2.0) == 1.0
    assert overfitting(0.0, 1.0, 0.0) == 0.0


def test_histograms_are_of_the_logits_behind_the_means() -> None:
    logger, _ = played(flat(255, 0, 255), flat(51, 51, c=1))
    kinds = ["train", "held_out", "fake"]
    assert [(name, turn) for name, turn, _ in logger.histograms] == [
        (f"logits/histogram/{kind}", turn) for turn in (2, 4) for kind in kinds
    ]
    values = {name.rpartition("/")[2]: values for name, _, values in logger.histograms[-3:]}
    np.testing.assert_allclose(values["train"], [1, -1, 1])
    assert {kind: len(values[kind]) for kind in kinds} == {"train": 3, "held_out": 2, "fake": 5}
    assert logger.rows[-1][1]["critic/fake"] == values["fake"].mean()


def test_images_are_spread_over_a_sorted_split() -> None:
    assert evenly_spaced_images(flat(*range(100)), 5).x[:, 0, 0, 0].tolist() == [0, 25, 50, 74, 99]
    assert evenly_spaced_images(flat(1, 2), 5).x[:, 0, 0, 0].tolist() == [1, 2]


def test_without_held_out_images_there_is_no_gap(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logger, _ = played(
            flat(1, 2), InMemoryImages(torch.empty(0, 1, 8, 8, dtype=torch.uint8), torch.empty(0).long())
        )
    assert [set(row) for _, row in logger.rows] == [{"turn", "kimg", "critic/train", "critic/fake"}] * 2
    assert "critic/held_out is left out: few has no held-out images" in caplog.text


def test_one_process_does_it() -> None:
    logger, _ = played(flat(1, 2), flat(3, 4), rank=1)
    assert logger.rows == logger.histograms == []
