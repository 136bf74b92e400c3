"""Nets that break the contract are refused in one line."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gantry.losses import adversarial
from gantry.losses.objective import Objective
from gantry.nets import mlp
from gantry.nets.contract import Judgement, check_generator, judge
from gantry.training.ema import Ema
from gantry.training.gan import GAN
from gantry.training.optim import Optim


class Bare(nn.Module):
    """A generator without the attributes of the contract, but for those that are set."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.layer(z)


@pytest.mark.parametrize(
    ("attributes", "missing"),
    [({}, "shape"), ({"shape": (2,)}, "z_dim"), ({"shape": (2,), "z_dim": 3}, "num_classes")],
)
def test_a_generator_without_an_attribute_is_refused(attributes: dict[str, object], missing: str) -> None:
    with pytest.raises(ValueError, match=rf"model\.G must have the attribute {missing} \(.*\), got a .*Bare"):
        check_generator(Bare(**attributes))


def test_a_generator_with_all_attributes_passes() -> None:
    check_generator(Bare(shape=(2,), z_dim=3, num_classes=0))
    check_generator(mlp.Generator((2,), 3, hidden=[4], norm="none", activation="relu"))


def test_the_gan_checks_its_generator() -> None:
    adam = partial(torch.optim.Adam, lr=1e-3)
    loss = Objective(adversarial.hinge_d, adversarial.hinge_g)
    with pytest.raises(ValueError, match=r"model\.G must have the attribute shape"):
        GAN(Bare(), mlp.Discriminator((2,), hidden=[4], norm="none"), loss, Optim(adam, adam), Ema(0), 1, 4, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(), (1,), (8,), (1, 4)])
def test_logits_of_another_number_of_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"model\.D must return logits for each image, \[4\] or \[4, \.\.\.\], got \["):
        judge(torch.zeros(shape), torch.zeros(4, 2))


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3, 3)])
def test_logits_of_each_image_pass(shape: tuple[int, ...]) -> None:
    logits = torch.zeros(shape)
    assert judge(logits, torch.zeros(4, 1, 8, 8)) == Judgement(logits)


def test_a_judgement_is_made_float32() -> None:
    half = torch.zeros(4, dtype=torch.bfloat16)
    judgement = judge(Judgement(half, half[:, None]), torch.zeros(4, 2))
    assert judgement.features is not None
    assert (judgement.logits.dtype, judgement.features.dtype, judgement.class_logits) == (
        torch.float32,
        torch.float32,
        None,
    )
