"""Terms on weights, features and styles in closed form."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from gantry import rng
from gantry.errors import UserError
from gantry.losses.regularisers import PathLength, feature_matching, orthogonal_d, orthogonal_g
from gantry.losses.update import Update
from gantry.nets.contract import Judgement
from gantry.nets.spectral import spectral_norm_
from updates import make_update


def test_the_overlap_of_filters_by_hand() -> None:
    """Rows (1, 0), (1, 1), (0, 2): products 1, 0 and 2 twice each, and nothing of an embedding or a bias."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Embedding(3, 2))
    net[0].weight.data = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    x = torch.zeros(1, 2)
    update = make_update(lambda x: x.sum(1), x, x, D=net, G=net)
    assert_close(orthogonal_d(update), torch.tensor([2 * (1.0 + 0.0 + 4.0)]))
    assert_close(orthogonal_g(update), orthogonal_d(update))
    (gradient,) = torch.autograd.grad(orthogonal_d(update), net[0].weight)
    weight = net[0].weight.detach()
    products = weight @ weight.T
    assert_close(gradient, 4 * (products - products.diagonal().diag()) @ weight)


def test_the_weights_before_spectral_normalisation_are_meant() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 2, 1))
    x = torch.zeros(1, 2)
    before = orthogonal_d(make_update(lambda x: x.sum(1), x, x, D=net))
    spectral_norm_(net)
    assert_close(orthogonal_d(make_update(lambda x: x.sum(1), x, x, D=net)), before)


def test_feature_matching_is_the_distance_of_means() -> None:
    real, fake = torch.tensor([[1.0, 0.0], [3.0, 2.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0], [3.0, 2.0]])

    def judge(x: Tensor, c: Tensor) -> Judgement:
        return Judgement(x.sum(1), x)

    update = make_update(lambda x: x.sum(1), real, fake, judge=judge, fake=judge(fake, fake))
    assert_close(feature_matching(update), torch.tensor([1.0 + 1.0]))  # means (2, 1) and (1, 2)
    with pytest.raises(UserError, match=r"^loss\.g_terms must be without feature matching unless D returns features"):
        feature_matching(make_update(lambda x: x.sum(1), real, fake))


class LinearStyles(SimpleNamespace):
    """Styles w = z in two layers, and an image a w_1 + b w_2 of one channel of 2 x 2 pixels."""

    z_dim = 4

    def map(self, z: Tensor, c: Tensor) -> Tensor:
        return torch.stack([z[:, :4], z[:, :4]], 1).requires_grad_()

    def select_noise(self, z: Tensor) -> Tensor:
        return z[:, 4:]

    def synthesize(self, w: Tensor, noise: Tensor) -> Tensor:
        assert noise.shape[1] == 1
        return (3 * w[:, 0] + 4 * w[:, 1]).view(-1, 1, 2, 2)


def make_styles_update(**changes: Any) -> Update:
    z = torch.zeros(6, 5)
    x = torch.zeros(6, 1, 2, 2)
    return make_update(lambda x: x.sum((1, 2, 3)), x, x, z=z, G=LinearStyles(), **changes)


def test_path_lengths_are_the_norms_of_the_jacobian_at_a_random_direction() -> None:
    """J^T y is 3 y and 4 y in the layers, y of variance 1 / (H W): the length is |y| sqrt((9 + 16) / 2)."""
    term = PathLength(decay=0.9, share=2)
    term.mean.fill_(0.5)
    rng.seed_turn(0, 0)
    y = rng.randn(3, 1, 2, 2) / 2
    rng.seed_turn(0, 0)
    update = make_styles_update()
    lengths = y.flatten(1).norm(dim=1) * (25 / 2) ** 0.5
    assert_close(term(update), (lengths - 0.5).square())
    assert_close(update.scalars["path/length"], lengths.mean())
    term.observe({"path/length": torch.tensor(2.5)})
    assert float(term.mean) == pytest.approx(0.7)


def test_a_generator_without_styles_has_no_path_length() -> None:
    x = torch.zeros(2, 2)
    with pytest.raises(UserError, match=r"^loss\.g_terms must be without path lengths unless G has styles"):
        PathLength()(make_update(lambda x: x.sum(1), x, x, G=object()))
