"""Truncation of z, and of generators that truncate by themselves."""

import math

import pytest
import torch

import gantry
from gantry.sampling.truncation import truncate_generator, truncate_latents, truncate_normal
from stubs import NoisyG, TinyG


class Styled(NoisyG):
    """A generator with a truncation of its own."""

    psi = 1.0

    def truncate(self, psi: float) -> "Styled":
        other = Styled(self.shape, self.z_dim, self.num_classes)
        other.psi = psi
        return other

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return self.psi * super().forward(z, c)


def test_truncated_normal() -> None:
    z = truncate_normal(torch.randn(100_000, generator=torch.Generator().manual_seed(0)), 0.7)
    assert z.abs().max() <= 0.7
    assert z.abs().max() > 0.699
    phi, mass = math.exp(-0.245) / math.sqrt(2 * math.pi), math.erf(0.7 / math.sqrt(2))
    variance = 1 - 2 * 0.7 * phi / mass  # of the normal distribution cut off at +-0.7
    assert z.var().item() == pytest.approx(variance, rel=0.02)
    assert z.mean().item() == pytest.approx(0.0, abs=0.005)


def test_truncation_keeps_the_order_and_far_bounds_change_nothing() -> None:
    z = torch.linspace(-3, 3, 101)
    assert (truncate_normal(z, 1.0).diff() > 0).all()
    torch.testing.assert_close(truncate_normal(z, 30.0), z, atol=1e-4, rtol=1e-4)


def test_only_the_first_numbers_are_truncated() -> None:
    z = 3 * torch.randn(100, 6)
    truncated = truncate_latents(z, NoisyG(), 0.5)
    torch.testing.assert_close(truncated[:, :4], truncate_normal(z[:, :4], 0.5))
    assert torch.equal(truncated[:, 4:], z[:, 4:])
    assert truncate_latents(z, NoisyG(), None) is z


def test_a_generator_that_truncates_by_itself_gets_all_of_z() -> None:
    G, z = Styled(), torch.randn(5, 6)
    assert truncate_generator(G, None) is G
    assert truncate_generator(TinyG(), 0.5).z_dim == 4
    assert truncate_generator(G, 0.5).psi == 0.5
    assert truncate_latents(z, G, 0.5) is z


def test_psi_reaches_the_samples() -> None:
    x, half = gantry.sample(Styled(), 6, truncation=1.0), gantry.sample(Styled(), 6, truncation=0.5)
    torch.testing.assert_close(half.float() - 127.5, (x.float() - 127.5) / 2, rtol=0, atol=1)
