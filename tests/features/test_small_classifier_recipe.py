"""The recipe that trained the shipped networks: benchmarks/train_small_net.py."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gantry.features.small_classifier import SmallNet, load_small_net

SCRIPT = Path(__file__).parents[2] / "benchmarks/train_small_net.py"


@pytest.fixture(scope="module")
def recipe():  # type: ignore[no-untyped-def]
    """The training script as a module."""
    spec = importlib.util.spec_from_file_location("train_small_net", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_small_net"] = module
    spec.loader.exec_module(module)
    return module


def test_folding_batch_norms_keeps_the_function(recipe) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    net = SmallNet("digits")
    recipe.add_batch_norms(net)
    x = torch.randn(64, 1, 8, 8)
    for _ in range(3):
        net.extract_features(x)  # in training mode: the norms see data
    net.eval()
    expected = net.extract_features(x)
    recipe.fold_batch_norms(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert_close(net.extract_features(x), expected, rtol=1e-4, atol=1e-5)


def test_the_stem_whitens_patches(recipe) -> None:  # type: ignore[no-untyped-def]
    x = torch.randn(200, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2, 5]).view(3, 1, 1)
    stem = nn.Conv2d(3, 24, 2)
    recipe.whiten_stem(stem, x, eps=0.0)
    responses = stem(x).movedim(1, 3).flatten(0, 2)
    assert_close(responses[:, :12].T.cov(), torch.eye(12), rtol=0, atol=1e-3)
    assert_close(responses[:, 12:], -responses[:, :12])


def test_augmentation_moves_and_mirrors_whole_images(recipe) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    ramp = torch.arange(32.0).expand(64, 1, 32, 32)
    moved = recipe.augment_images(ramp, shift=2, flip=True)
    assert moved.shape == ramp.shape
    steps = moved[:, 0, :, 4:28].diff(dim=2)  # within an image every step is +1, or -1 where it was mirrored
    assert set(steps.flatten(1).unique(dim=1).flatten().tolist()) == {-1.0, 1.0}
    mirrored = steps[:, 0, 0] < 0
    offsets = moved[:, 0, 16, 16] - torch.where(mirrored, 15, 16)
    assert set(offsets.tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}


@pytest.mark.slow
def test_the_recipe_makes_the_shipped_digits_network(recipe, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(sys, "argv", ["train_small_net.py", "digits", "--out", str(tmp_path)])
    recipe.main()
    net = load_small_net("digits", tmp_path)
    assert net.dim == load_small_net("digits").dim
    assert recipe.accuracy(net, recipe.real_images("digits", "").test) >= 0.985
