"""Every pair of model and loss builds and trains two turns."""

from typing import Any, get_args

import pytest
import torch
from lightning import Callback, Trainer

from compose_config import SMALL_WIDTHS, compose_config, list_choices
from gantry.commands.train import build_gan
from gantry.nets.heads import HeadKind
from gantry.training.gan import GAN
from in_process_training import make_bare_trainer, train_in_process


class Losses(Callback):
    """Remembers what each turn returned."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: Trainer, gan: Any, outputs: Any, *_: Any) -> None:
        self.seen.append(outputs["losses"])


def trained(*overrides: str) -> tuple[GAN, Losses, dict[str, torch.Tensor]]:
    cfg = compose_config("turns=2", "data.batch_size=4", *overrides)
    gan, losses = build_gan(cfg), Losses()
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    return train_in_process(gan, cfg, make_bare_trainer(cfg, losses)), losses, before


def moved(gan: GAN, net: str, before: dict[str, torch.Tensor]) -> bool:
    parameters = getattr(gan, net).named_parameters()
    return any(not torch.equal(value, before[f"{net}.{name}"]) for name, value in parameters)


@pytest.mark.parametrize("loss", list_choices("loss"))
@pytest.mark.parametrize("model", list_choices("model"))
def test_two_turns(model: str, loss: str) -> None:
    gan, losses, before = trained(f"model={model}", f"loss={loss}", *SMALL_WIDTHS.get(model, []))
    assert gan.turn == len(losses.seen) == 2
    assert all(value.isfinite() for scalars in losses.seen for value in scalars.values())
    assert all(moved(gan, net, before) for net in ("G", "D", "G_ema"))
    assert all(value.isfinite().all() for value in gan.state_dict().values())


@pytest.mark.parametrize("model", list_choices("model"))
def test_with_classes(model: str) -> None:
    gan, losses, before = trained(
        f"model={model}", "loss=hinge", "model.conditional=true", *SMALL_WIDTHS.get(model, [])
    )
    assert gan.G.num_classes == 10
    assert all(moved(gan, net, before) for net in ("G", "D"))


@pytest.mark.parametrize("model", ["dcgan_small", "mlp_small", "sagan", "biggan"])
@pytest.mark.parametrize("head", get_args(HeadKind))
def test_with_each_head(model: str, head: str) -> None:
    words = ["loss=hinge", "model.conditional=true", f"model.D.head={head}", *SMALL_WIDTHS.get(model, [])]
    gan, losses, before = trained(f"model={model}", *words)
    assert all(moved(gan, net, before) for net in ("G", "D"))
    assert all(value.isfinite() for scalars in losses.seen for value in scalars.values())
    with pytest.raises(ValueError, match=r"^model\.D\.head must be one of .*, got ensemble$"):
        compose_config(f"model={model}", "model.D.head=ensemble")


@pytest.mark.parametrize("model", ["dcgan_small", "mlp_small"])
def test_latents_times_an_embedding(model: str) -> None:
    words = ["model.conditional=true", "model.G.condition=product", *SMALL_WIDTHS.get(model, [])]
    gan, _, before = trained(f"model={model}", *words)
    assert not torch.equal(gan.G.condition.weight, before["G.condition.weight"])


@pytest.mark.parametrize("model", list_choices("model"))
def test_in_bfloat16(model: str) -> None:
    """Whose fakes may be bfloat16 where real images are float32."""
    words = [f"model={model}", "loss=wgan_gp", "augment=diffaugment", "trainer.precision=bf16-mixed"]
    gan, losses, before = trained(*words, *SMALL_WIDTHS.get(model, []))
    assert all(moved(gan, net, before) for net in ("G", "D", "G_ema"))
    assert all(value.isfinite() for scalars in losses.seen for value in scalars.values())


@pytest.mark.parametrize("loss", list_choices("loss"))
def test_points_of_the_plane(loss: str) -> None:
    gan, _, before = trained("model=mlp", "data=ring", "data.source.train=100", f"loss={loss}")
    assert moved(gan, "G", before)
