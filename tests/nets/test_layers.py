import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gantry.nets.layers import ConditionalBatchNorm, ProjectionHead, concat_one_hot, init_dcgan_, init_he_, init_xavier_


def test_concat_one_hot_appends_the_class_to_z() -> None:
    z, c = torch.randn(2, 3), torch.tensor([1, 0])
    assert_close(concat_one_hot(z, c, 2), torch.cat([z, torch.tensor([[0.0, 1.0], [1.0, 0.0]])], 1))
    assert concat_one_hot(z, None, 0) is z


def test_projection_head_is_linear_plus_inner_product() -> None:
    torch.manual_seed(0)
    h, c = torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    head = ProjectionHead(5, 3)
    expected = [
        head.linear.weight[0] @ h[i] + head.linear.bias[0] + head.embedding.weight[c[i]] @ h[i] for i in range(4)
    ]
    assert_close(head(h, c), torch.stack(expected))


def test_projection_head_without_classes_is_linear() -> None:
    head = ProjectionHead(5, 0)
    h = torch.randn(4, 5)
    assert_close(head(h, None), head.linear(h)[:, 0])
    assert [name for name, _ in head.named_parameters()] == ["linear.weight", "linear.bias"]


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
