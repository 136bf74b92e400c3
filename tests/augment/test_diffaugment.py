import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gantry import rng
from gantry.augment import diffaugment as da
from gantry.distributed import collectives
from gantry.losses.penalties import r1
from updates import penalise

FULL = da.DiffAugment(color=True, translation=0.125, cutout=0.5)
PARTS = {
    "brightness": da.rand_brightness,
    "saturation": da.rand_saturation,
    "contrast": da.rand_contrast,
    "translation": lambda x: da.rand_translation(x, 0.25),
    "cutout": lambda x: da.rand_cutout(x, 0.5),
    "all": FULL,
}
every_part = pytest.mark.parametrize("name", PARTS)


def make_images(n: int, channels: int = 3, side: int = 8) -> Tensor:
    torch.manual_seed(0)
    rng.seed_turn(0, 0)
    return torch.rand(n, channels, side, side) * 2 - 1


def test_disabled_augmentation_is_the_identity() -> None:
    x = make_images(2)
    assert torch.nn.Identity()(x) is x
    assert da.DiffAugment(color=False, translation=0.0, cutout=0.0)(x) is x


@every_part
def test_shape_is_kept_and_every_image_has_its_own_draws(name: str) -> None:
    x = make_images(1).expand(64, 3, 8, 8)
    out = PARTS[name](x)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert out.flatten(1).unique(dim=0).shape[0] > 15  # shifts by whole pixels and cutouts repeat by chance


@every_part
def test_draws_depend_on_the_turn(name: str) -> None:
    x, outs = make_images(8), []
    for turn in (3, 3, 4):
        rng.seed_turn(0, turn)
        outs.append(PARTS[name](x))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_two_processes_equal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = make_images(8)
    expected = FULL(x)
    monkeypatch.setattr(collectives, "world_size", lambda: 2)
    halves = []
    for rank in (0, 1):
        monkeypatch.setattr(collectives, "rank", lambda rank=rank: rank)
        rng.seed_turn(0, 0)
        halves.append(FULL(x.chunk(2)[rank]))
    assert_close(torch.cat(halves), expected)


@every_part
def test_image_depends_only_on_itself(name: str) -> None:
    x = make_images(3).requires_grad_()
    (gradient,) = torch.autograd.grad((PARTS[name](x)[0] ** 2).sum(), x)
    assert gradient[0].abs().max() > 0
    assert not gradient[1:].any()


@every_part
def test_penalty_is_differentiable_through_the_augmentation(name: str) -> None:
    """Each part is affine in x: with a linear critic, R1 is the same at any x for the same draws."""
    x = make_images(4).double()
    w = torch.randn(3, 8, 8, dtype=torch.float64, requires_grad=True)

    def penalty(x: Tensor) -> Tensor:
        rng.seed_turn(0, 5)
        return penalise(r1, lambda x: (PARTS[name](x) * w).sum((1, 2, 3)), x, x)

    assert_close(penalty(x), penalty(3 * x - 1))
    (gradient,) = torch.autograd.grad(penalty(x).sum(), w)
    assert gradient.abs().max() > 0


def test_brightness_adds_at_most_one_half() -> None:
    x = make_images(256)
    shift = da.rand_brightness(x) - x
    assert_close(shift, shift[:, :1, :1, :1].expand_as(shift))
    assert -0.5 <= shift.min() < -0.45
    assert 0.45 < shift.max() <= 0.5


def test_saturation_scales_the_distance_from_grey() -> None:
    x = make_images(256)
    out, grey = da.rand_saturation(x), x.mean(1, keepdim=True)
    factor = (out - grey).flatten(1).norm(dim=1) / (x - grey).flatten(1).norm(dim=1)
    assert_close(out, grey + factor[:, None, None, None] * (x - grey))
    assert_close(out.mean(1, keepdim=True), grey)
    assert factor.min() < 0.1
    assert 1.9 < factor.max() < 2
    single = make_images(4, channels=1)
    assert_close(da.rand_saturation(single), single)


def test_contrast_scales_around_the_mean() -> None:
    x = make_images(256)
    mean = x.mean((1, 2, 3), keepdim=True)
    out = da.rand_contrast(x)
    factor = (out - mean).flatten(1).norm(dim=1) / (x - mean).flatten(1).norm(dim=1)
    assert_close(out, mean + factor[:, None, None, None] * (x - mean))
    assert 0.5 <= factor.min() < 0.55
    assert 1.45 < factor.max() < 1.5


def shift_image(image: Tensor, down: int, right: int) -> Tensor:
    out = torch.zeros_like(image)
    side = image.shape[-1]
    for row in range(side):
        for column in range(side):
            if 0 <= row - down < side and 0 <= column - right < side:
                out[:, row, column] = image[:, row - down, column - right]
    return out


def test_translation_shifts_by_whole_pixels_and_fills_with_zero() -> None:
    x = make_images(1).expand(256, 3, 8, 8)
    out = da.rand_translation(x, 0.25)
    shifts = [shift_image(x[0], down, right) for down in range(-2, 3) for right in range(-2, 3)]
    counts = [sum(torch.equal(image, move) for image in out) for move in shifts]
    assert sum(counts) == 256
    assert min(counts) > 0


def test_translation_by_the_full_side_is_possible() -> None:
    x = make_images(64, side=4)
    out = da.rand_translation(x, 1.0)
    assert out.shape == x.shape
    assert out.isfinite().all()


def test_cutout_zeroes_a_rectangle_of_half_the_side() -> None:
    x = make_images(256) + 2  # no zero anywhere
    out = da.rand_cutout(x, 0.5)
    hole = out == 0
    assert torch.equal(out[~hole], x[~hole])
    assert torch.equal(hole.any(1), hole.all(1))  # through all channels
    rows, columns = hole[:, 0].any(2), hole[:, 0].any(1)
    assert torch.equal(hole[:, 0], rows[:, :, None] & columns[:, None, :])
    for runs in (rows, columns):
        assert set(runs.sum(1).tolist()) == {2, 3, 4}  # 4, less where the edge cuts it off
        assert bool((runs.int().diff(dim=1) == 1).sum(1).max() <= 1)
        assert bool(runs.any(0).all())


def test_odd_sides_and_rectangles_work() -> None:
    x = make_images(4)[:, :, :7, :5]
    assert FULL(x).shape == (4, 3, 7, 5)


def test_wrong_arguments_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^augment.cutout must be in \[0, 1\], got 1.5$"):
        da.DiffAugment(color=True, translation=0.125, cutout=1.5)
    with pytest.raises(ValueError, match=r"^augment must be none for data without images, got x of shape \[4, 2\]$"):
        FULL(torch.zeros(4, 2))
