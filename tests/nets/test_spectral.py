import copy

import torch
from safetensors.torch import load, save
from torch import nn
from torch.linalg import matrix_norm
from torch.testing import assert_close

from gantry.nets.spectral import SpectralNorm, spectral_norm_


def converge(layer: nn.Module) -> nn.Module:
    """Run enough power iterations for any test and return the layer."""
    for _ in range(300):
        _ = layer.weight
    return layer


def test_largest_singular_value_becomes_one() -> None:
    torch.manual_seed(0)
    layers = nn.ModuleList([nn.Linear(7, 5), nn.Conv2d(3, 6, 3), nn.Embedding(4, 9)])
    before = [layer.weight.detach().clone() for layer in layers]
    spectral_norm_(layers)
    for layer, weight in zip(layers, before):
        converge(layer)
        sigma = matrix_norm(weight.flatten(1), 2)
        assert_close(layer.weight.detach(), weight / sigma)


def test_first_use_is_already_close() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3)
    spectral_norm_(layer)
    assert_close(matrix_norm(layer.weight.detach().flatten(1), 2), torch.tensor(1.0), rtol=0.02, atol=0)


def test_forward_pass_in_training_is_one_power_iteration() -> None:
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


def test_length_of_u_does_not_matter() -> None:
    """An average over time has a shorter u than the averaged nets."""
    torch.manual_seed(0)
    layer = nn.Linear(7, 5)
    spectral_norm_(layer)
    layer.eval()
    weight = layer.weight.detach().clone()
    layer.parametrizations.weight[0].u.mul_(0.3)
    assert_close(layer.weight.detach(), weight)


def test_gradient_equals_that_of_an_svd() -> None:
    """d(w / sigma)/dw with dsigma = u v^T (Miyato et al. 2018, eq. 10), against an SVD."""
    torch.manual_seed(0)
    layer = nn.Linear(7, 5, dtype=torch.float64)
    spectral_norm_(layer)
    converge(layer)
    direction = torch.randn(5, 7, dtype=torch.float64)
    original = layer.parametrizations.weight.original
    (ours,) = torch.autograd.grad((layer.weight * direction).sum(), original)
    (exact,) = torch.autograd.grad((original / matrix_norm(original, 2) * direction).sum(), original)
    assert_close(ours, exact)


def test_two_forward_passes_before_one_backward_pass() -> None:
    """D processes real and fake images before its update, with a power iteration in between."""
    torch.manual_seed(0)
    layer = nn.Linear(7, 1)
    spectral_norm_(layer)
    (layer(torch.randn(4, 7)) - layer(torch.randn(4, 7))).sum().backward()
    assert layer.parametrizations.weight.original.grad.isfinite().all()


def test_copies_and_loaded_states_compute_the_same() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 7)
    layer = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 1))
    spectral_norm_(layer)
    layer(x)
    twin = copy.deepcopy(layer)
    other = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 1))
    spectral_norm_(other)
    other.load_state_dict(load(save(layer.state_dict())), strict=True)
    for _ in range(3):  # in training mode: the states change equally
        expected = layer(x)
        assert torch.equal(twin(x), expected)
        assert torch.equal(other(x), expected)
    twin[0].parametrizations.weight.original.data.zero_()
    assert not torch.equal(twin[0].parametrizations.weight.original, layer[0].parametrizations.weight.original)


def test_autocast_does_not_change_the_weight() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 64)
    spectral_norm_(layer)
    converge(layer).eval()
    with torch.autocast("cpu", torch.bfloat16):
        weight = layer.weight
    assert torch.equal(weight, layer.weight)
    assert weight.dtype == torch.float32
