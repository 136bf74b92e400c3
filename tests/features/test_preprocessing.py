"""Images of any number of channels in front of an extractor."""

import pytest
import torch
from torch import nn

from gantry.errors import UserError
from gantry.features.custom import CustomExtractor
from gantry.features.extractor import check_channels, describe_preprocessing, extract_features
from gantry.features.preprocessing import composite_opacity
from gantry.features.small_classifier import StackedClassifier, load_small_net


@pytest.mark.parametrize("channels", [2, 4])
def test_opacity_is_laid_on_white_for_an_extractor_without_it(channels: int) -> None:
    x = torch.randint(0, 256, (5, channels, 8, 8), dtype=torch.uint8)
    a = x[:, -1:].double() / 255
    laid = (x[:, :-1].double() * a + 255 * (1 - a)).round().to(torch.uint8)
    assert (composite_opacity(x).int() - laid.int()).abs().max() <= 1
    x[:, -1] = 255
    net = load_small_net("digits")
    assert torch.equal(extract_features(net, x).features, extract_features(net, x[:, :-1]).features)
    x[:, -1] = 0
    assert composite_opacity(x).unique().tolist() == [255]


def test_the_protocol_says_how_opacity_was_converted() -> None:
    net = load_small_net("digits")
    assert describe_preprocessing(net, (3, 8, 8), (1, 8, 8)) == net.resizer
    assert describe_preprocessing(net, (3, 8, 8), (4, 8, 8)) == f"opacity laid on white; {net.resizer}"


class Means(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


def test_an_own_extractor_takes_its_number_of_channels() -> None:
    extractor = CustomExtractor(Means(), "means", (4, 6, 6), [0.0] * 4, [1.0] * 4)
    x = torch.randint(0, 256, (3, 4, 6, 6), dtype=torch.uint8)
    assert torch.allclose(extract_features(extractor, x).features, x.float().mean((2, 3)) / 255)
    check_channels(extractor, 4, "images")
    with pytest.raises(
        UserError, match=r"^metrics must be an extractor of 3 channels for images .*got means, which takes 4$"
    ):
        check_channels(extractor, 3, "images")


def test_channels_that_an_extractor_does_not_take_are_refused() -> None:
    for channels in (1, 2, 3, 4):
        check_channels(load_small_net("digits"), channels, "images")
    with pytest.raises(UserError, match=r"got digits, which takes 1 or 2 or 3 or 4$"):
        check_channels(load_small_net("digits"), 5, "images")
    with pytest.raises(UserError, match=r"got stacked_digits, which takes 3$"):
        check_channels(StackedClassifier("digits"), 4, "images")
