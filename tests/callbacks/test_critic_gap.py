"""The held-out gap of D."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gantry.callbacks.critic_gap import CriticGap, gap, spread
from gantry.data.images import Images
from tiny import Recorder, TinyG, TinyGan, play, trainer


class MeanD(nn.Module):
    """The logit is the mean of the image, plus ten times its class; BatchNorm would remember a training pass."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        self.norm(x.flatten(1).mean(1, keepdim=True))
        return x.flatten(1).mean(1) + 10 * c


def flat(*levels: int, c: int = 0) -> Images:
    x = torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    return Images(x.contiguous(), torch.full((len(levels),), c))


def tiny_gan() -> Any:
    gan: Any = TinyGan(TinyG(num_classes=2))
    gan.G, gan.D = gan.G_ema, MeanD().train()
    return gan


def played(train: Images, held_out: Images, rank: int = 0) -> tuple[Recorder, Any]:
    logger, gan = Recorder(), tiny_gan()
    data = SimpleNamespace(data=SimpleNamespace(train=train, test=held_out, name="few"))
    callback = CriticGap(every=2, num_samples=5, batch_size=2, seed=3)
    play(callback, trainer(logger, rank=rank, datamodule=data), gan, 4)
    return logger, gan


def test_the_means_are_those_of_the_three_kinds_of_images() -> None:
    logger, gan = played(flat(255, 0, 255), flat(51, 51, c=1))
    assert [turn for turn, _ in logger.rows] == [2, 4]
    row = logger.rows[-1][1]
    assert row["critic/train"] == pytest.approx(1 / 3)
    assert row["critic/held_out"] == pytest.approx(51 / 127.5 - 1 + 10)
    from gantry.training.sampling import labels, latents

    c = labels(0, 5, 2)
    fake = (torch.tanh(latents(3, 0, 5, 4)[:, 0] / 4 + c) + 10 * c).mean()
    assert row["critic/fake"] == pytest.approx(float(fake), rel=1e-5)
    assert gan.D.training
    assert gan.D.norm.num_batches_tracked == 0


def test_overfitting_is_the_share_of_the_way_from_real_to_fake() -> None:
    assert gap(2.0, 2.0, -2.0)["critic/overfitting"] == 0.0
    assert gap(2.0, 1.0, -2.0)["critic/overfitting"] == 0.25
    assert gap(2.0, -2.0, -2.0)["critic/overfitting"] == 1.0
    assert gap(0.0, 1.0, 0.0)["critic/overfitting"] == 0.0


def test_images_are_spread_over_a_sorted_split() -> None:
    assert spread(flat(*range(100)), 5).x[:, 0, 0, 0].tolist() == [0, 25, 50, 74, 99]
    assert spread(flat(1, 2), 5).x[:, 0, 0, 0].tolist() == [1, 2]


def test_without_held_out_images_it_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logger, _ = played(flat(1, 2), Images(torch.empty(0, 1, 8, 8, dtype=torch.uint8), torch.empty(0).long()))
    assert logger.rows == []
    assert "few holds no images apart" in caplog.text


def test_one_process_does_it() -> None:
    assert played(flat(1, 2), flat(3, 4), rank=1)[0].rows == []
