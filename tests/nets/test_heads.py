"""Each head against its formula, written out."""

import copy
from typing import get_args

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.testing import assert_close

from gantry.nets import dcgan
from gantry.nets.heads import HEADS, HeadKind, ProjectionHead, RandomOuterProduct, make_head

F, K = 5, 3
KINDS = get_args(HeadKind)
OF_CLASSES = [kind for kind in KINDS if kind not in ("linear", "projection")]


def make_inputs() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(4, F), torch.tensor([0, 2, 1, 2])


def dense(x: Tensor, layers: nn.Module) -> Tensor:
    """Return the logits of two dense layers with a leaky ReLU between them."""
    h = layers[0](x)
    return layers[2](h.clamp(min=0) + 0.2 * h.clamp(max=0))[:, 0]


def test_projection_head_is_linear_plus_inner_product() -> None:
    torch.manual_seed(0)
    h, c = torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    head = ProjectionHead(5, 3)
    expected = [
        head.linear.weight[0] @ h[i] + head.linear.bias[0] + head.embedding.weight[c[i]] @ h[i] for i in range(4)
    ]
    assert_close(head(h, c).logits, torch.stack(expected))


def test_projection_head_without_classes_is_linear() -> None:
    head = ProjectionHead(5, 0)
    h = torch.randn(4, 5)
    assert_close(head(h, None).logits, head.linear(h)[:, 0])
    assert [name for name, _ in head.named_parameters()] == ["linear.weight", "linear.bias"]


def test_every_kind_is_a_head() -> None:
    assert list(HEADS) == list(KINDS)


def test_classifier_is_linear_in_the_features() -> None:
    h, c = make_inputs()
    head = make_head("classifier", F, K)
    judgement = head(h, c)
    assert_close(judgement.logits, h @ head.linear.weight[0] + head.linear.bias)
    assert_close(judgement.class_logits, h @ head.classifier.weight.T + head.classifier.bias)
    both = make_head("projection_classifier", F, K)
    assert_close(both(h, c).logits, ProjectionHead.forward(both, h, c).logits)
    assert both(h, c).class_logits.shape == (4, K)
    assert both(h, c).logits[1] != both(h, torch.zeros_like(c)).logits[1]


def test_product_with_the_embedding() -> None:
    h, c = make_inputs()
    head = make_head("product", F, K)
    expected = [(h[i] * head.embedding.weight[c[i]]) @ head.linear.weight[0] + head.linear.bias[0] for i in range(4)]
    assert_close(head(h, c).logits, torch.stack(expected))


def test_concatenation_with_the_class() -> None:
    h, c = make_inputs()
    head = make_head("concat", F, K)
    assert_close(head(h, c).logits, dense(torch.cat([h, torch.eye(K)[c]], 1), head.layers))


def test_outer_product_with_the_class() -> None:
    h, c = make_inputs()
    head = make_head("outer", F, K)
    products = torch.stack([torch.outer(torch.eye(K)[c[i]], h[i]).flatten() for i in range(4)])
    assert_close(head(h, c).logits, dense(products, head.layers))


def test_random_outer_product_has_the_inner_products_of_the_plain_one() -> None:
    torch.manual_seed(0)
    product = RandomOuterProduct(F, K, dim=200_000)
    h, p = torch.randn(2, F), torch.rand(2, K)
    expected = [(product.of_features.T @ h[i]) * (product.of_classes.T @ p[i]) / 200_000**0.5 for i in range(2)]
    assert_close(product(h, p), torch.stack(expected), rtol=1e-4, atol=1e-6)
    assert_close(product(h, p) @ product(h, p).T, (h @ h.T) * (p @ p.T), rtol=0.05, atol=0.02)
    assert list(product.parameters()) == []
    assert set(product.state_dict()) == {"of_features", "of_classes"}


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_part_of_the_judgement(kind: HeadKind) -> None:
    h, c = make_inputs()
    judgement = make_head(kind, F, K)(h, c)
    assert judgement.features is h
    assert judgement.logits.shape == (4,)
    assert (judgement.class_logits is None) == (not kind.endswith("classifier"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_equals_the_class_that_it_names(kind: HeadKind) -> None:
    h, c = make_inputs()
    head = make_head(kind, F, K)
    assert_close(head(h, torch.eye(K)[c]).logits, head(h, c).logits)
    mixed = head(h, torch.full((4, K), 1 / K)).logits
    assert torch.allclose(mixed, head(h, c).logits) == (kind in ("linear", "classifier"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("linear", "classifier")])
def test_a_conditional_head_requires_classes(kind: HeadKind) -> None:
    with pytest.raises(AssertionError, match="needs classes"):
        make_head(kind, F, K)(make_inputs()[0], None)


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_a_head_of_classes_is_refused_without_them(kind: HeadKind) -> None:
    with pytest.raises(ValueError, match=rf"^model\.D\.head must be projection or linear without classes, got {kind}$"):
        make_head(kind, F, 0)


@pytest.mark.parametrize("norm", ["none", "spectral"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_critic_with_each_head(kind: HeadKind, norm: str) -> None:
    """Copies and loaded states compute the same, and every parameter has a gradient."""
    torch.manual_seed(0)
    D, other = (
        dcgan.Discriminator((1, 8, 8), K, width=4, max_width=8, norm=norm, head=kind)  # type: ignore[arg-type]
        for _ in range(2)
    )
    x, c = torch.rand(4, 1, 8, 8), torch.tensor([0, 2, 1, 2])
    judgement = D(x, c)
    sum(part.sum() for part in (judgement.logits, judgement.class_logits) if part is not None).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in D.parameters())
    other.load_state_dict(load(save(D.state_dict())), strict=True)
    twin, expected = copy.deepcopy(D).eval(), D.eval()(x, c)
    for net in (twin, other.eval()):
        assert all(torch.equal(a, b) for a, b in zip(net(x, c), expected) if a is not None)


def test_the_heads_of_old_states_keep_their_names() -> None:
    assert set(make_head("projection", F, K).state_dict()) == {"linear.weight", "linear.bias", "embedding.weight"}
    assert set(make_head("projection", F, 0).state_dict()) == {"linear.weight", "linear.bias"}
