"""Compiled nets against the same nets run eagerly."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from compose_config import SMALL_WIDTHS, compose_config, list_choices
from gantry.commands.train import build_gan
from gantry.training.gan import GAN
from in_process_training import make_bare_trainer, train_in_process


def train_three_turns(model: str, compiled: Callable[[Any], Any], *words: str) -> GAN:
    """Train a GAN for three turns in float64, in which rounding errors stay small."""
    small = [*SMALL_WIDTHS.get(model, []), "data.batch_size=8", "turns=3", "trainer.precision=64-true"]
    cfg = compose_config(f"model={model}", *small, *words)
    gan = build_gan(cfg)
    gan.compile_nets(compiled)
    return train_in_process(gan, cfg, make_bare_trainer(cfg))


def assert_compiled_equals_eager(model: str, backend: str, *words: str) -> None:
    torch.compiler.reset()
    plain, compiled = (
        train_three_turns(model, c, *words) for c in (lambda net: net, partial(torch.compile, backend=backend))
    )
    torch.testing.assert_close(dict(compiled.state_dict()), dict(plain.state_dict()), rtol=1e-6, atol=1e-8)


def test_spectral_norm_is_used_twice_before_the_gradients() -> None:
    """D sees real images, then fakes, and iterates at both: the second must not change what the first one keeps."""
    assert_compiled_equals_eager("mlp_small", "aot_eager_decomp_partition", "model.D.norm=spectral", "loss=hinge")


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["hinge", "wgan_gp"])
@pytest.mark.parametrize("model", list_choices("model"))
def test_compiled_models_equal_eager_ones(model: str, loss: str) -> None:
    assert_compiled_equals_eager(model, "inductor", f"loss={loss}")
