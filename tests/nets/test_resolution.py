import subprocess
import sys

import pytest

from gantry.nets.resolution import factor_side


@pytest.mark.parametrize("base", [4, 5, 6, 7])
@pytest.mark.parametrize("n", [1, 2, 3, 6, 9])
def test_factor_side_returns_base_and_number_of_doublings(base: int, n: int) -> None:
    assert factor_side((3, base * 2**n, base * 2**n)) == ((base, base), n)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("sides", [(4, 5), (9, 4), (7, 64)])
def test_sides_of_a_rectangle_halve_equally_often(sides: tuple[int, int], n: int) -> None:
    assert factor_side((1, sides[0] << n, sides[1] << n)) == (sides, n)


def test_the_longer_side_of_a_rectangle_must_halve_as_often() -> None:
    assert factor_side((1, 28, 32)) == ((7, 8), 2)
    rule = r"a longer side that is a multiple of 4, as the shorter one, 28, is"
    for shape in ((1, 28, 30), (1, 30, 28)):
        with pytest.raises(ValueError, match=rf"^data.shape must have {rule} for this model, got 1x{shape[1]}x"):
            factor_side(shape)
    with pytest.raises(ValueError, match=r"^data.shape must have a shorter side of 8, .* for this model, got 3x27x32$"):
        factor_side((3, 27, 32))


def test_exactly_the_listed_sides_can_be_built() -> None:
    sides = []
    for side in range(513):
        try:
            base, n = factor_side([1, side, side])
        except ValueError as error:
            message = str(error)
            assert message.endswith(f"for this model, got {side}")
        else:
            assert base == (side >> n, side >> n)
            assert base[0] << n == side
            sides.append(side)
    assert message == f"data.shape must have a side of {', '.join(map(str, sides))} for this model, got 511"
    assert sides[:10] == [8, 10, 12, 14, 16, 20, 24, 28, 32, 40]


@pytest.mark.parametrize(("shape", "got"), [((2,), "2"), ((32, 32), "32x32"), ((1, 0, 0), "0")])
def test_shapes_that_are_no_image_are_refused(shape: tuple[int, ...], got: str) -> None:
    with pytest.raises(ValueError, match=rf"^data.shape must have a side of 8, .* for this model, got {got}$"):
        factor_side(shape)


def test_import_needs_no_torch() -> None:
    code = "import sys; import gantry.nets.resolution; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": "src"}).returncode == 0
