import builtins
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from gantry.features.dinov2 import DINOV2_VARIANTS, Dinov2, resample_position_embeddings, resize_like_pillow
from photographs import photographs

WIDTH, HEADS, DEPTH, PATCHES = 384, 6, 12, 37  # of ViT-S/14; weights are published for images of 37 x 14 pixels


def official(seed: int) -> dict[str, Tensor]:
    """Random weights of ViT-S/14 under the names, and in the shapes, of the published file."""
    generator = torch.Generator().manual_seed(seed)

    def linear(prefix: str, c_in: int, c_out: int) -> dict[str, Tensor]:
        weight = torch.randn(c_out, c_in, generator=generator) / math.sqrt(c_in)
        return {f"{prefix}.weight": weight, f"{prefix}.bias": noise(c_out)}

    def norm(prefix: str) -> dict[str, Tensor]:
        return {f"{prefix}.weight": 1 + noise(WIDTH), f"{prefix}.bias": noise(WIDTH)}

    def noise(*shape: int) -> Tensor:
        return 0.1 * torch.randn(*shape, generator=generator)

    tensors = {
        "cls_token": noise(1, 1, WIDTH),
        "pos_embed": noise(1, 1 + PATCHES**2, WIDTH),
        "mask_token": noise(1, WIDTH),
        "patch_embed.proj.weight": noise(WIDTH, 3, 14, 14),
        "patch_embed.proj.bias": noise(WIDTH),
    }
    for i in range(DEPTH):
        block = f"blocks.{i}"
        tensors |= norm(f"{block}.norm1") | linear(f"{block}.attn.qkv", WIDTH, 3 * WIDTH)
        tensors |= linear(f"{block}.attn.proj", WIDTH, WIDTH) | {f"{block}.ls1.gamma": noise(WIDTH)}
        tensors |= norm(f"{block}.norm2") | linear(f"{block}.mlp.fc1", WIDTH, 4 * WIDTH)
        tensors |= linear(f"{block}.mlp.fc2", 4 * WIDTH, WIDTH) | {f"{block}.ls2.gamma": noise(WIDTH)}
    return tensors | norm("norm")


def transformer(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The class token [N, 384] of the published network, written from the paper: x standardised [N, 3, 224, 224]."""

    def norm(x: Tensor, prefix: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), w[f"{prefix}.weight"], w[f"{prefix}.bias"], eps=1e-6)

    def linear(x: Tensor, prefix: str) -> Tensor:
        return x @ w[f"{prefix}.weight"].T + w[f"{prefix}.bias"]

    x = F.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=14).flatten(2).transpose(1, 2)
    x = torch.cat([w["cls_token"].expand(len(x), -1, -1), x], 1) + bicubic(w["pos_embed"], 16)
    for i in range(DEPTH):
        y = linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        q, k, v = y.unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # each [N, heads, tokens, 64]
        y = ((q @ k.transpose(2, 3)) / math.sqrt(WIDTH // HEADS)).softmax(3) @ v
        x = x + linear(y.transpose(1, 2).flatten(2), f"blocks.{i}.attn.proj") * w[f"blocks.{i}.ls1.gamma"]
        y = F.gelu(linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1"))
        x = x + linear(y, f"blocks.{i}.mlp.fc2") * w[f"blocks.{i}.ls2.gamma"]
    return norm(x, "norm")[:, 0]


def bicubic(positions: Tensor, side: int) -> Tensor:
    """Cubic convolution (a = -0.75) of the patches' grid at (i + 1/2) / scale - 1/2, scale = (side + 0.1) / 37."""
    grid = positions[0, 1:].view(PATCHES, PATCHES, -1).double().numpy()
    rows = weights_along_an_axis(side)
    out = np.einsum("ip,jq,pqd->ijd", rows, rows, grid)
    patches = torch.from_numpy(out).float().flatten(0, 1)[None]
    return torch.cat([positions[:, :1], patches], 1)


def weights_along_an_axis(side: int) -> NDArray[np.float64]:
    """[side, 37]: what each place is made of; beyond the edge the last place is repeated."""
    rows = np.zeros((side, PATCHES))
    for i in range(side):
        at = (i + 0.5) * PATCHES / (side + 0.1) - 0.5
        for p in range(math.floor(at) - 1, math.floor(at) + 3):
            rows[i, min(max(p, 0), PATCHES - 1)] += cubic(abs(at - p))
    return rows


def cubic(t: float, a: float = -0.75) -> float:
    """Keys (1981)."""
    return (a + 2) * t**3 - (a + 3) * t**2 + 1 if t < 1 else a * (t**3 - 5 * t**2 + 8 * t - 4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the published format, with random numbers."""
    path = tmp_path_factory.mktemp("dinov2") / "random.pth"
    torch.save(official(seed=0), path)
    return path


def test_positions_are_resampled_as_in_the_published_code() -> None:
    positions = torch.randn(1, 1 + PATCHES**2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resample_position_embeddings(positions, 16), bicubic(positions, 16), rtol=0, atol=1e-5)


def test_it_is_the_published_network(weights: Path) -> None:
    x = photographs(2, seed=0)
    net = Dinov2(str(weights), size="small")
    features, probabilities = net(x)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    expected = transformer(official(seed=0), (resize_like_pillow(x) / 255 - mean) / std)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    assert features.shape == (2, net.dim)
    assert features.std() > 0.3  # the networks were compared by more than a constant
    assert probabilities is None
    assert net.num_classes == 0
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not net.training


@pytest.mark.parametrize("shape", [(32, 32), (100, 60), (300, 260)])
def test_images_are_resized_like_pillow(shape: tuple[int, int]) -> None:
    x = F.interpolate(photographs(1, seed=1).float(), shape).to(torch.uint8)  # edges, so that cubics overshoot
    picture = Image.fromarray(x[0].permute(1, 2, 0).numpy()).resize((224, 224), Image.Resampling.BICUBIC)
    off = resize_like_pillow(x)[0] - torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
    assert off.abs().max() <= 1
    assert off.abs().mean() < 0.02  # ties, which Pillow rounds up


def test_grey_is_repeated_and_the_right_size_is_not_changed() -> None:
    grey = photographs(2, seed=0)[:, :1]
    assert torch.equal(resize_like_pillow(grey), resize_like_pillow(grey.repeat(1, 3, 1, 1)))
    x = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize_like_pillow(x), x.float())


def test_the_name_is_that_of_the_published_weights_alone(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Dinov2(str(weights), size="small")
    assert net.name == f"dinov2_vits14-{net.digest[:8]}"
    large = DINOV2_VARIANTS["large"]
    assert large.published_weights.make_extractor_name(large.name, "d5383ea8f4877b2472eb973e") == "dinov2"
    assert large.published_weights.url.endswith("dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth")
    like_published = {"small": replace(DINOV2_VARIANTS["small"], sha256=net.digest[:16])}
    monkeypatch.setattr("gantry.features.dinov2.DINOV2_VARIANTS", like_published)
    assert Dinov2(str(weights), size="small").name == "dinov2_vits14"


def test_weights_are_read_from_the_cache_or_one_line_names_their_path(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    place = tmp_path / "checkpoints" / "dinov2_vitl14_pretrain.pth"
    with pytest.raises(ValueError, match=rf"metrics=dinov2 needs {re.escape(str(place))}.*no route to host"):
        Dinov2()
    place.write_bytes(weights.read_bytes())
    with pytest.raises(ValueError, match="metrics=dinov2 needs complete weights"):
        Dinov2()


def test_other_files_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"those of DINOv2 vitl14, got .*random\.pth: it is 384 numbers wide, not 1024"
    ):
        Dinov2(str(weights))
    with pytest.raises(ValueError, match=r"metrics\.extractor\.size must be one of small, base, large, got tiny"):
        Dinov2(str(weights), size="tiny")
    path = tmp_path / "other.pth"
    tensors = official(seed=0)
    del tensors["blocks.3.ls1.gamma"]
    torch.save(tensors, path)
    with pytest.raises(ValueError, match=r"metrics\.weights must be those of DINOv2 vits14, got .*other\.pth: "):
        Dinov2(str(path), size="small")
    path.write_bytes(save({"pos_embed": torch.zeros(1)}))
    with pytest.raises(
        ValueError, match=r"metrics\.weights must be those of DINOv2 vits14, got .*other\.pth: "
    ) as error:
        Dinov2(str(path), size="small")
    assert "\n" not in str(error.value)


def test_without_timm_one_line_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_timm(name: str, *rest: object) -> object:
        if name == "timm":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_timm)
    with pytest.raises(ValueError, match=r'metrics=dinov2 needs the package timm: pip install "gantry\[dinov2\]"'):
        Dinov2()
