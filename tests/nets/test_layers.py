import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gantry.nets.layers import (
    ConditionalBatchNorm,
    LatentCondition,
    concat_one_hot,
    init_dcgan_,
    init_he_,
    init_xavier_,
)


def test_concat_one_hot_appends_the_class_to_z() -> None:
    z, c = torch.randn(2, 3), torch.tensor([1, 0])
    assert_close(concat_one_hot(z, c, 2), torch.cat([z, torch.tensor([[0.0, 1.0], [1.0, 0.0]])], 1))
    assert concat_one_hot(z, None, 0) is z


def test_latents_times_an_embedding() -> None:
    torch.manual_seed(0)
    z, c = torch.randn(4, 3), torch.tensor([1, 0, 1, 1])
    condition = LatentCondition(3, 2, "product")
    assert condition.dim == 3
    assert_close(condition(z, c), torch.stack([z[i] * condition.weight[c[i]] for i in range(4)]))
    assert_close(condition(z, torch.eye(2)[c]), condition(z, c))
    assert condition.weight.std() > 0.3
    for how, num_classes in (("product", 0), ("concat", 0), ("concat", 2)):
        condition = LatentCondition(3, num_classes, how)
        assert (condition.dim, dict(condition.named_parameters())) == (3 + num_classes, {})
        assert_close(condition(z, c), concat_one_hot(z, c, num_classes))


def test_conditional_batch_norm_starts_as_batch_norm() -> None:
    x, c = torch.randn(6, 4, 3, 3) * 2 + 1, torch.arange(6) % 2
    expected = nn.BatchNorm2d(4, affine=False)(x)
    assert_close(ConditionalBatchNorm(4, 0)(x, None), expected)
    assert_close(ConditionalBatchNorm(4, 2)(x, c), expected)


def test_conditional_batch_norm_has_a_gain_and_bias_per_class() -> None:
    norm = ConditionalBatchNorm(1, 2)
    norm.gain.data = torch.tensor([[2.0], [3.0]])
    norm.bias.data = torch.tensor([[5.0], [-1.0]])
    x = torch.randn(4, 1, 8, 8)
    h = nn.BatchNorm2d(1, affine=False)(x)
    out = norm(x, torch.tensor([0, 1, 1, 0]))
    assert_close(out[[0, 3]], 2 * h[[0, 3]] + 5)
    assert_close(out[[1, 2]], 3 * h[[1, 2]] - 1)


@pytest.mark.parametrize(
    ("init", "std"),
    [
        (init_dcgan_, 0.02),
        (init_he_, (2 / (1.04 * 32 * 9)) ** 0.5),
        (lambda net: init_xavier_(net, 2.0), 2 * (2 / (32 * 9 + 64 * 9)) ** 0.5),
    ],
)
def test_initial_weights_have_the_published_standard_deviation(init: object, std: float) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(32, 64, 3))
    init(net)
    assert_close(net[0].weight.std(), torch.tensor(std), rtol=0.03, atol=0)
    assert net[0].bias.abs().max() == 0
