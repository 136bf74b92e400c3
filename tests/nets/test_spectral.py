import copy

import torch
from safetensors.torch import load, save
from torch import nn
from torch.linalg import matrix_norm
from torch.testing import assert_close

from gantry.nets.spectral import SpectralNorm, spectral_norm_


def converged(layer: nn.Module) -> nn.Module:
    """The layer after power iterations enough for any test."""
    for _ in range(300):
        _ = layer.weight
    return layer


def test_the_largest_singular_value_becomes_one() -> None:
    torch.manual_seed(0)
    layers = nn.ModuleList([nn.Linear(7, 5), nn.Conv2d(3, 6, 3), nn.Embedding(4, 9)])
    before = [layer.weight.detach().clone() for layer in layers]
    spectral_norm_(layers)
    for layer, weight in zip(layers, before):
        converged(layer)
        sigma = matrix_norm(weight.flatten(1), 2)
        assert_close(layer.weight.detach(), weight / sigma)


def test_the_first_use_is_close_already() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3)
    spectral_norm_(layer)
    assert_close(matrix_norm(layer.weight.detach().flatten(1), 2), torch.tensor(1.0), rtol=0.02, atol=0)


def test_each_use_in_training_is_one_power_iteration() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 7)
    norm = SpectralNorm(weight)
    u = norm.u.clone()
    norm(weight)
    wv = weight @ nn.functional.normalize(weight.T @ u, dim=0)
    assert_close(norm.u, wv / wv.norm())


def test_evaluation_does_not_iterate() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(7, 5)
    spectral_norm_(layer)
    layer.eval()
    before = copy.deepcopy(layer.state_dict())
    first, second = layer.weight, layer.weight
    assert torch.equal(first, second)
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


def test_the_length_of_the_state_does_not_matter() -> None:
    """An average over time has a shorter u than the nets it averages."""
    torch.manual_seed(0)
    layer = nn.Linear(7, 5)
    spectral_norm_(layer)
    layer.eval()
    weight = layer.weight.detach().clone()
    layer.parametrizations.weight[0].u.mul_(0.3)
    assert_close(layer.weight.detach(), weight)


def test_its_gradient_is_that_of_the_singular_value() -> None:
    """d(w / sigma)/dw with dsigma = u v^T (Miyato et al. 2018, eq. 10), against an SVD."""
    torch.manual_seed(0)
    layer = nn.Linear(7, 5, dtype=torch.float64)
    spectral_norm_(layer)
    converged(layer)
    direction = torch.randn(5, 7, dtype=torch.float64)
    original = layer.parametrizations.weight.original
    (mine,) = torch.autograd.grad((layer.weight * direction).sum(), original)
    (exact,) = torch.autograd.grad((original / matrix_norm(original, 2) * direction).sum(), original)
    assert_close(mine, exact)


def test_two_uses_go_into_one_backward() -> None:
    """D sees real and fake images before it descends, and iterates in between."""
    torch.manual_seed(0)
    layer = nn.Linear(7, 1)
    spectral_norm_(layer)
    (layer(torch.randn(4, 7)) - layer(torch.randn(4, 7))).sum().backward()
    assert layer.parametrizations.weight.original.grad.isfinite().all()


def test_copies_and_saved_states_are_the_same_net() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 7)
    layer = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 1))
    spectral_norm_(layer)
    layer(x)
    twin = copy.deepcopy(layer)
    other = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 1))
    spectral_norm_(other)
    other.load_state_dict(load(save(layer.state_dict())), strict=True)
    for _ in range(3):  # in training mode: the states move alike
        expected = layer(x)
        assert torch.equal(twin(x), expected)
        assert torch.equal(other(x), expected)
    twin[0].parametrizations.weight.original.data.zero_()
    assert not torch.equal(twin[0].parametrizations.weight.original, layer[0].parametrizations.weight.original)


def test_bfloat16_around_it_does_not_reach_it() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 64)
    spectral_norm_(layer)
    converged(layer).eval()
    with torch.autocast("cpu", torch.bfloat16):
        weight = layer.weight
    assert torch.equal(weight, layer.weight)
    assert weight.dtype == torch.float32
