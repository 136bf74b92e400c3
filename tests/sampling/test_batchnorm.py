"""How BatchNorm normalises when samples are drawn for an evaluation."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gantry.evaluation.generator_samples import make_image_source, make_sample_source
from gantry.rng import derive_seed
from gantry.sampling.batchnorm import (
    NUM_STATISTICS_BATCHES,
    STATISTICS_BATCH_SIZE,
    STATISTICS_SEED_KEY,
    describe_batchnorm,
    prepare_generator,
)
from gantry.sampling.generate import generate
from gantry.sampling.latents import sample_latents

CPU = torch.device("cpu")


class NormG(nn.Module):
    """Points: z through one BatchNorm."""

    z_dim, num_classes, shape = 2, 0, (2,)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.norm.running_mean.fill_(0.5)  # type: ignore[union-attr, operator]
        self.norm.running_var.fill_(4.0)  # type: ignore[union-attr, operator]

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return self.norm(3 * z + 1)


def normed(x: Tensor, mean: Any, var: Any) -> Tensor:
    return (x - mean) / (var + 1e-5) ** 0.5


def test_running_uses_what_training_left() -> None:
    G = NormG()
    assert prepare_generator(G, "running", 0) is G
    z = sample_latents(0, 0, 5, 2)
    torch.testing.assert_close(make_image_source(G, 0, CPU)(0, 5), normed(3 * z + 1, 0.5, 4.0).detach())


def test_standing_uses_the_mean_statistics_of_fresh_batches() -> None:
    G = NormG()
    z = sample_latents(derive_seed(7, STATISTICS_SEED_KEY), 0, STATISTICS_BATCH_SIZE * NUM_STATISTICS_BATCHES, 2)
    batches = (3 * z + 1).view(NUM_STATISTICS_BATCHES, STATISTICS_BATCH_SIZE, 2)
    mean, var = batches.mean((0, 1)), batches.var(1).mean(0)
    x = make_image_source(prepare_generator(G, "standing", 7), 0, CPU)(0, 5)
    torch.testing.assert_close(x, normed(3 * sample_latents(0, 0, 5, 2) + 1, mean, var).detach())
    assert G.norm.running_mean is not None
    assert G.norm.running_mean.tolist() == [0.5, 0.5]  # G is left as it was
    again = make_image_source(prepare_generator(G, "standing", 8), 0, CPU)(0, 5)
    assert not torch.equal(x, again)


def test_batch_uses_the_same_neighbours_whatever_range_is_asked_for() -> None:
    ready = prepare_generator(NormG(), "batch", 0)
    images = make_image_source(ready, 0, CPU, STATISTICS_BATCH_SIZE)
    whole = images(0, 200)
    assert len(whole) == 200
    first = 3 * sample_latents(0, 0, STATISTICS_BATCH_SIZE, 2) + 1
    torch.testing.assert_close(
        whole[:STATISTICS_BATCH_SIZE], normed(first, first.mean(0), first.var(0, correction=0)).detach()
    )
    for start, stop in [(0, 1), (60, 70), (130, 200), (64, 128)]:
        torch.testing.assert_close(images(start, stop), whole[start:stop])


def test_a_generator_without_batchnorm_is_told_apart_from_one_with_it() -> None:
    G: Any = nn.Linear(2, 2)
    assert [describe_batchnorm(G, mode) for mode in ("running", "standing", "batch")] == ["none in G"] * 3
    assert prepare_generator(G, "standing", 0) is G
    assert len({describe_batchnorm(NormG(), mode) for mode in ("running", "standing", "batch")}) == 3


@pytest.mark.parametrize("mode", ["running", "standing", "batch"])
def test_the_protocol_says_the_mode_and_the_samples_follow_it(mode: Any) -> None:
    from gantry.evaluation.evaluation import Evaluation

    G = NormG().train()
    drawn = make_sample_source(Evaluation({}, 10, None, "min", seed=2, batchnorm=mode), G, "last", CPU)
    assert drawn.facts.batchnorm == describe_batchnorm(G, mode)
    assert drawn.labels is None
    block = STATISTICS_BATCH_SIZE if mode == "batch" else 1
    torch.testing.assert_close(
        drawn.images(3, 9), make_image_source(prepare_generator(G, mode, 2), 2, CPU, block)(3, 9)
    )
    assert generate(G, sample_latents(0, 0, 3, 2), None).shape == (3, 2)
    assert G.training
