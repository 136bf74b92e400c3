"""DINOv2 (Oquab et al. 2023), whose features rank generators more like people do than Inception's (Stein et al. 2023).
The network is timm's, the weights are the published ones, in the published format.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantry.errors import UserError
from gantry.features.arithmetic import apply_arithmetic
from gantry.features.extractor import ExtractorOutput
from gantry.features.preprocessing import convert_channels, to_float_pixels
from gantry.features.published_weights import PublishedWeights, make_weights_error, read_weights

DINOV2_INPUT_SIDE, DINOV2_PATCH_SIDE = 224, 14  # pixels
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in [0, 1]


@dataclass(frozen=True)
class Dinov2Variant:
    """A published network: our, their and timm's names, its width, and the first digits of its weights' sha256."""

    name: str
    arch: str
    timm_name: str
    dim: int
    sha256: str

    @property
    def published_weights(self) -> PublishedWeights:
        """The weights of this network."""
        url = f"https://dl.fbaipublicfiles.com/dinov2/dinov2_{self.arch}/dinov2_{self.arch}_pretrain.pth"
        return PublishedWeights("dinov2", url, self.sha256)


DINOV2_VARIANTS = {
    "small": Dinov2Variant("dinov2_vits14", "vits14", "vit_small_patch14_dinov2", 384, sha256="b938bf1bc15cd2ec"),
    "base": Dinov2Variant("dinov2_vitb14", "vitb14", "vit_base_patch14_dinov2", 768, sha256="0b8b82f85de91b42"),
    "large": Dinov2Variant("dinov2", "vitl14", "vit_large_patch14_dinov2", 1024, sha256="d5383ea8f4877b24"),
}


class Dinov2(nn.Module):
    """Extractor: uint8 [N, 1 or 3, H, W] -> ExtractorOutput with the normalised class token [N, dim]; no classes.

    `weights` names their file; None: the published ones, from the cache of torch.hub or downloaded. `name` is "dinov2"
    with the published weights of ViT-L/14, which the paper recommends, and "dinov2_vits14" or "dinov2_vitb14" with
    those of a smaller one; other weights add a part of their digest. Raises ValueError without the package timm, and if
    the weights are missing or cannot be read.
    """

    num_classes = 0
    resizer = "grey repeated to three channels; bicubic, antialiased, to 224x224, rounded to bytes, as Pillow does it"
    mean: Tensor
    std: Tensor

    def __init__(self, weights: str | None = None, size: str = "large") -> None:
        super().__init__()
        if size not in DINOV2_VARIANTS:
            raise ValueError(f"metrics.extractor.size must be one of {', '.join(DINOV2_VARIANTS)}, got {size}")
        spec = DINOV2_VARIANTS[size]
        self.net = _create_vit(spec)
        path, self.digest = spec.published_weights.find_file(weights)
        self.name = spec.published_weights.make_extractor_name(spec.name, self.digest)
        self.dim = spec.dim
        _load_dinov2_weights(self.net, path, spec)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> ExtractorOutput:
        """images uint8 [N, 1 or 3, H, W], any side -> features float32 [N, dim]."""
        x = (resize_like_pillow(images) / 255 - self.mean) / self.std
        with apply_arithmetic(x.device):
            return ExtractorOutput(self.net(x).float())


def resize_like_pillow(images: Tensor) -> Tensor:
    """images uint8 [N, 1 or 3, H, W] -> float32 [N, 3, 224, 224], whole numbers in [0, 255]; stretched."""
    x = convert_channels(to_float_pixels(images), 3)
    for sides in (
        (x.shape[2], DINOV2_INPUT_SIDE),
        (DINOV2_INPUT_SIDE, DINOV2_INPUT_SIDE),
    ):  # Pillow rounds after each axis
        if x.shape[2:] != sides:
            x = F.interpolate(x, sides, mode="bicubic", antialias=True).clamp(0, 255).round()
    return x


def resample_position_embeddings(positions: Tensor, side: int) -> Tensor:
    """Resample position embeddings [1, 1 + M^2, D] to side^2 patches: -> [1, 1 + side^2, D].

    As in the published code, and unlike timm: not antialiased, and with a scale that is off by 0.1 / M.
    """
    token, patches = positions[:, :1], positions[:, 1:]
    M = math.isqrt(patches.shape[1])
    grid = patches.reshape(1, M, M, -1).permute(0, 3, 1, 2)
    scale = (side + 0.1) / M
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([token, grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)


def _create_vit(spec: Dinov2Variant) -> nn.Module:
    """Return timm's network, without weights."""
    try:
        import timm
    except ModuleNotFoundError:
        raise UserError('metrics=dinov2 needs the package timm: pip install "gantry[dinov2]"') from None
    with torch.device("meta"):  # else 300 million random numbers would be generated for nothing
        net: nn.Module = timm.create_model(spec.timm_name, pretrained=False, num_classes=0, img_size=DINOV2_INPUT_SIDE)
    return net


def _load_dinov2_weights(net: nn.Module, path: Path, spec: Dinov2Variant) -> None:
    """Fill the network from a file in the published format."""
    whose = f"DINOv2 {spec.arch}"
    tensors = read_weights(path, whose)
    try:
        positions = tensors["pos_embed"]
        if positions.shape[-1] != spec.dim:
            raise ValueError(f"it is {positions.shape[-1]} numbers wide, not {spec.dim}")
        weights_by_name = {key: value.float() for key, value in tensors.items() if key != "mask_token"}
        net.load_state_dict(
            weights_by_name
            | {"pos_embed": resample_position_embeddings(positions.float(), DINOV2_INPUT_SIDE // DINOV2_PATCH_SIDE)},
            assign=True,
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise make_weights_error(path, whose, error) from None
