"""Two-dimensional mixtures of Gaussians: small enough to see every mode that a generator covers or misses."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gantry.data.images import DataSource, InMemoryImages, RealData
from gantry.rng import derive_seed


@dataclass(frozen=True)
class GaussianMixture(DataSource):
    """Equally likely round Gaussians at `centres` [K, 2], all divided by `scale` so that they fit in [-1, 1].

    The class of a point is its mode. The points do not depend on the seed of a run.
    """

    name: str
    centres: Tensor
    sigma: float
    scale: float
    train: int
    test: int

    def load(self) -> RealData:
        classes = tuple(f"({x:.3g}, {y:.3g})" for x, y in self.centres.tolist())
        return RealData(self.name, self._draw_points(self.train, 1), self._draw_points(self.test, 2), classes)

    def _draw_points(self, n: int, split: int) -> InMemoryImages:
        generator = torch.Generator().manual_seed(derive_seed(split))
        c = torch.randint(len(self.centres), (n,), generator=generator)
        x = self.centres[c] + self.sigma * torch.randn(n, 2, generator=generator)
        return InMemoryImages((x / self.scale).clamp(-1, 1), c)


def make_ring(train: int, test: int) -> GaussianMixture:
    """Return eight modes on a circle of radius 2, sigma 0.02 (Metz et al. 2017, appendix A)."""
    angles = torch.arange(8) * (2 * torch.pi / 8)
    centres = 2 * torch.stack([angles.cos(), angles.sin()], dim=1)
    return GaussianMixture("ring", centres, sigma=0.02, scale=2.5, train=train, test=test)


def make_grid(train: int, test: int) -> GaussianMixture:
    """Return 25 modes on {-4, -2, 0, 2, 4} squared, sigma 0.05 (Lin et al. 2018, section 4.1)."""
    side = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0])
    return GaussianMixture("grid", torch.cartesian_prod(side, side), sigma=0.05, scale=5.0, train=train, test=test)
