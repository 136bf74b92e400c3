"""A user's network as the extractor: `metrics=own metrics.extractor.net._target_=PACKAGE.CLASS`."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from gantry.errors import UserError, format_on_one_line
from gantry.features.arithmetic import apply_arithmetic
from gantry.features.extractor import INCEPTION, ExtractorOutput
from gantry.features.preprocessing import get_accepted_channels, resize_and_standardize
from gantry.features.published_weights import hash_tensors, make_weights_error, read_weights
from gantry.features.small_classifier import SMALL_NET_SPECS

RESERVED_NAME_PREFIXES = (INCEPTION, "dinov2", "stacked", *SMALL_NET_SPECS)  # how the names of other extractors begin


class CustomExtractor(nn.Module):
    """Extractor: uint8 [N, C, H, W] -> ExtractorOutput with the output [N, dim] of `net` for float [N, *size].

    Images are resized to `size` (C, H, W) and standardised, x in [0, 1] -> (x - mean) / std with C numbers each; where
    C is neither 1 nor 3 they must have C channels themselves. `weights` is a file with the state_dict of `net`,
    .safetensors or of torch.save; None: as `net` was built. `digest` is a hash of its tensors, not of its code. Raises
    ValueError if these arguments do not fit together.
    """

    num_classes = 0
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        name: str,
        size: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        weights: str | None = None,
    ) -> None:
        super().__init__()
        _check_custom_extractor(net, name, size, mean, std)
        channels, height, width = size
        self.name, self.size = name, (channels, height, width)
        self.channels = get_accepted_channels(channels)
        self.register_buffer("mean", torch.tensor(mean).float().view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).float().view(-1, 1, 1))
        about = f"minus {list(mean)}, divided by {list(std)}"
        self.resizer = f"bilinear, antialiased, to {channels}x{height}x{width}; {about}"
        self.net = net.to("cpu", torch.float32)
        if weights is not None:
            _load_custom_weights(self.net, Path(weights).expanduser())
        self.eval().requires_grad_(False)
        state = self.net.state_dict()
        self.digest = hash_tensors({key: value for key, value in state.items() if isinstance(value, Tensor)})
        self.dim = _infer_feature_dim(self.net, self.size)

    @torch.no_grad()
    def forward(self, images: Tensor) -> ExtractorOutput:
        """images uint8 [N, C, H, W] -> features float32 [N, dim]; `resize_and_standardize` prepares the images."""
        x = resize_and_standardize(images, self.size, self.mean, self.std)
        with apply_arithmetic(x.device):
            return ExtractorOutput(self.net(x).float())


def _check_custom_extractor(
    net: nn.Module, name: str, size: Sequence[int], mean: Sequence[float], std: Sequence[float]
) -> None:
    if not isinstance(net, nn.Module):
        raise ValueError(f"metrics.extractor.net must be a torch.nn.Module, got {format_on_one_line(net, limit=200)}")
    if name.startswith(RESERVED_NAME_PREFIXES) or not re.fullmatch(r"[A-Za-z]\w*", name):
        raise ValueError(f"metrics.extractor.name must be a word of your own, got {name}")
    if len(size) != 3 or min(size) < 1:
        raise ValueError(f"metrics.extractor.size must be [channels, H, W], got {list(size)}")
    for key, values in (("mean", mean), ("std", std)):
        if len(values) != size[0]:
            raise ValueError(f"metrics.extractor.{key} must have {size[0]} numbers, as size says, got {list(values)}")
    if min(std) <= 0:
        raise ValueError(f"metrics.extractor.std must be positive, got {list(std)}")


def _load_custom_weights(net: nn.Module, path: Path) -> None:
    whose = type(net).__name__
    if not path.is_file():
        raise UserError(f"metrics.weights must be null or a file, got {path}, which does not exist")
    tensors = read_weights(path, whose)
    try:
        net.load_state_dict(tensors)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise make_weights_error(path, whose, error) from None


def _infer_feature_dim(net: nn.Module, size: tuple[int, int, int]) -> int:
    """Return the number of features of two grey images."""
    key = f"metrics.extractor.net must take float [N, {', '.join(map(str, size))}] and give features float [N, F]"
    try:
        with torch.no_grad(), apply_arithmetic(torch.device("cpu")):
            features = net(torch.zeros(2, *size))
    except Exception as error:  # a user's code can raise anything
        raise ValueError(f"{key}, got {format_on_one_line(error, with_type=True, limit=200)}") from None
    if not isinstance(features, Tensor):
        raise ValueError(f"{key}, got a {type(features).__name__}")
    if features.dim() != 2 or len(features) != 2 or not features.is_floating_point():
        raise ValueError(f"{key}, got {features.dtype} {list(features.shape)} for N = 2")
    return features.shape[1]
