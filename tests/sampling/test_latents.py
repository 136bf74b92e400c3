from itertools import pairwise

import torch
from torch import Tensor, nn

from gantry.figures.sample_sheet import make_fixed_sheet
from gantry.sampling.batchnorm import prepare_generator
from gantry.sampling.batchnorm_mode import BatchNormMode
from gantry.sampling.generate import generate, iter_sample_batches
from gantry.sampling.latents import LATENT_BLOCK_SIZE, balanced_labels, sample_latents


class Affine(nn.Module):
    z_dim, num_classes = 3, 4

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return self.norm(z) + 10 * c[:, None]


def test_a_sample_depends_on_its_number_alone() -> None:
    complete = sample_latents(5, 0, 3 * LATENT_BLOCK_SIZE + 7, 2)
    cuts = [0, 1, LATENT_BLOCK_SIZE - 1, LATENT_BLOCK_SIZE, LATENT_BLOCK_SIZE + 1, 3 * LATENT_BLOCK_SIZE + 7]
    assert torch.equal(torch.cat([sample_latents(5, a, b, 2) for a, b in pairwise(cuts)]), complete)
    assert sample_latents(5, 9, 9, 2).shape == (0, 2)


def test_seeds_differ_and_samples_do_not_repeat() -> None:
    assert not torch.equal(sample_latents(0, 0, 4, 2), sample_latents(1, 0, 4, 2))
    assert (
        len(sample_latents(0, 0, 4 * LATENT_BLOCK_SIZE, 1).unique()) > 4 * LATENT_BLOCK_SIZE - 5
    )  # float32 may collide


def test_latents_are_standard_normal() -> None:
    z = sample_latents(0, 0, 50_000, 2)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=0.02, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.eye(2), atol=0.02, rtol=0)


def test_labels_are_balanced() -> None:
    assert balanced_labels(2, 7, 3).tolist() == [2, 1, 2, 0, 2]
    assert balanced_labels(0, 5000, 10).bincount().tolist() == [500] * 10
    assert balanced_labels(0, 3, 0).tolist() == [0, 0, 0]


class Echo(Affine):
    """Samples are all numbers that G gets."""

    noise_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        self.seen.append(z)
        return self.norm(z[:, :3])


def test_noise_is_that_of_the_sample() -> None:
    """Behind z, a function of (seed, i) as well, in samples, pictures and estimates of statistics."""
    G = Echo()
    list(iter_sample_batches(G, 1, 0, 10, 4, "cpu"))
    assert torch.equal(torch.cat(G.seen), sample_latents(1, 0, 10, 5))
    G.shape = (1, 8, 8)
    assert torch.equal(make_fixed_sheet(G, 1, 4, 3).z, sample_latents(1, 0, 12, 5))
    ready = prepare_generator(G, BatchNormMode.STANDING, 1)
    assert {z.shape[1] for z in ready.seen} == {5}


def test_batches_change_nothing_and_the_mode_is_kept() -> None:
    G = Affine().train()
    complete = generate(G, sample_latents(1, 0, 10, 3), balanced_labels(0, 10, 4))
    parts = list(iter_sample_batches(G, seed=1, start=0, stop=10, batch_size=4, device="cpu"))
    assert [len(part) for part in parts] == [4, 4, 2]
    torch.testing.assert_close(torch.cat(parts), complete)
    assert G.training
    assert int(G.norm.num_batches_tracked) == 0
