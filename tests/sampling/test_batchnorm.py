"""The modes of BatchNorm in an evaluation."""

from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import make_image_source, make_sample_source
from gantry.rng import derive_seed
from gantry.sampling.batchnorm import STATISTICS_SEED_KEY, describe_batchnorm, prepare_generator
from gantry.sampling.batchnorm_mode import NUM_STATISTICS_BATCHES, STATISTICS_BATCH_SIZE, BatchNormMode
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


def normalise(x: Tensor, mean: Any, var: Any) -> Tensor:
    return (x - mean) / (var + 1e-5) ** 0.5


def test_the_configuration_takes_every_mode() -> None:
    assert list(get_args(get_type_hints(Evaluation)["batchnorm"])) == list(BatchNormMode)


def test_running_uses_the_averages_of_the_training() -> None:
    G = NormG()
    assert prepare_generator(G, BatchNormMode.RUNNING, 0) is G
    z = sample_latents(0, 0, 5, 2)
    torch.testing.assert_close(make_image_source(G, 0, CPU)(0, 5), normalise(3 * z + 1, 0.5, 4.0).detach())


def test_standing_uses_the_mean_statistics_of_fresh_batches() -> None:
    G = NormG()
    z = sample_latents(derive_seed(7, STATISTICS_SEED_KEY), 0, STATISTICS_BATCH_SIZE * NUM_STATISTICS_BATCHES, 2)
    batches = (3 * z + 1).view(NUM_STATISTICS_BATCHES, STATISTICS_BATCH_SIZE, 2)
    mean, var = batches.mean((0, 1)), batches.var(1).mean(0)
    x = make_image_source(prepare_generator(G, BatchNormMode.STANDING, 7), 0, CPU)(0, 5)
    torch.testing.assert_close(x, normalise(3 * sample_latents(0, 0, 5, 2) + 1, mean, var).detach())
    assert G.norm.running_mean is not None
    assert G.norm.running_mean.tolist() == [0.5, 0.5]  # G is unchanged
    again = make_image_source(prepare_generator(G, BatchNormMode.STANDING, 8), 0, CPU)(0, 5)
    assert not torch.equal(x, again)


def test_batch_uses_the_same_blocks_for_every_range() -> None:
    ready = prepare_generator(NormG(), BatchNormMode.BATCH, 0)
    images = make_image_source(ready, 0, CPU, STATISTICS_BATCH_SIZE)
    x = images(0, 200)
    assert len(x) == 200
    first = 3 * sample_latents(0, 0, STATISTICS_BATCH_SIZE, 2) + 1
    torch.testing.assert_close(
        x[:STATISTICS_BATCH_SIZE], normalise(first, first.mean(0), first.var(0, correction=0)).detach()
    )
    for start, stop in [(0, 1), (60, 70), (130, 200), (64, 128)]:
        torch.testing.assert_close(images(start, stop), x[start:stop])


def test_the_description_of_a_generator_without_batchnorm_is_the_same_in_every_mode() -> None:
    G: Any = nn.Linear(2, 2)
    assert [describe_batchnorm(G, mode) for mode in BatchNormMode] == ["none in G"] * 3
    assert prepare_generator(G, BatchNormMode.STANDING, 0) is G
    assert len({describe_batchnorm(NormG(), mode) for mode in BatchNormMode}) == 3


@pytest.mark.parametrize("mode", BatchNormMode)
def test_the_protocol_states_the_mode_and_the_samples_follow_it(mode: BatchNormMode) -> None:
    G = NormG().train()
    source = make_sample_source(Evaluation({}, 10, None, "min", seed=2, batchnorm=mode.value), G, "last", CPU)
    assert source.facts.batchnorm == describe_batchnorm(G, mode)
    assert source.labels is None
    assert mode.block_size == (STATISTICS_BATCH_SIZE if mode == "batch" else 1)
    torch.testing.assert_close(
        source.images(3, 9), make_image_source(prepare_generator(G, mode, 2), 2, CPU, mode.block_size)(3, 9)
    )
    assert generate(G, sample_latents(0, 0, 3, 2), None).shape == (3, 2)
    assert G.training
