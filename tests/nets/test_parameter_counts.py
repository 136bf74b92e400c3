"""The numbers of parameters of the nets in configs/model, as published or counted from the authors' code."""

import pytest

from compose_config import compose_config
from gantry.config.instantiate import build

PLAIN, CLASSES = "model.conditional=false", "model.conditional=true"
COUNTS = [  # of G and D in millions, 3x32x32, 10 classes where conditional
    ("resnet", PLAIN, 1.204, 1.054),  # WGAN-GP
    ("resnet", CLASSES, 1.221, 1.055),
    ("sngan", PLAIN, 4.277, 1.054),
    ("sngan", f"{CLASSES} model.G.class_output=false", 4.304, 1.055),  # SNGAN-projection
    ("sngan", CLASSES, 4.309, 1.055),
    ("sagan", CLASSES, 4.386, 1.076),
    ("sagan", PLAIN, 4.359, 1.074),
    ("r3gan", PLAIN, 20.732, 20.684),
    ("r3gan", CLASSES, 20.782, 21.281),
    ("stylegan2", PLAIN, 19.948, 20.721),
    ("stylegan2", CLASSES, 20.215, 23.090),
    ("biggan", CLASSES, 9.416, 2.415),  # StudioGAN
    ("biggan", PLAIN, 8.825, 2.413),
    ("biggan_cifar", CLASSES, 4.304, 4.207),
    ("biggan_cifar", PLAIN, 4.277, 4.205),
]


def count_millions(*overrides: str) -> tuple[float, float]:
    """Return the numbers of parameters of G and D in millions."""
    model = compose_config("data=cifar10", *overrides).model
    G, D = (sum(p.numel() for p in build(net).parameters()) / 1e6 for net in (model.G, model.D))
    return G, D


@pytest.mark.parametrize(("model", "overrides", "g_count", "d_count"), COUNTS)
def test_parameter_counts(model: str, overrides: str, g_count: float, d_count: float) -> None:
    counts = count_millions(f"model={model}", *overrides.split())
    assert counts == pytest.approx((g_count, d_count), abs=5e-4)
