"""Extractors do not inherit the arithmetic of the training around them."""

import pytest
import torch

from gantry.features.arithmetic import apply_arithmetic, use_arithmetic

GPU = torch.backends.cudnn.conv, torch.backends.cuda.matmul
CPU = torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul
CHEAP = ["tf32", "tf32", "bf16", "bf16"]


@pytest.fixture
def cheap_arithmetic():  # type: ignore[no-untyped-def]
    """Settings that a user may have changed for speed; they are restored afterwards."""
    before = _precisions()
    for operator, precision in zip((*GPU, *CPU), CHEAP):
        operator.fp32_precision = precision
    yield
    for operator, precision in zip((*GPU, *CPU), before):
        operator.fp32_precision = precision


def _precisions() -> list[str]:
    return [operator.fp32_precision for operator in (*GPU, *CPU)]


@pytest.mark.usefixtures("cheap_arithmetic")
def test_arithmetic_is_exact_inside_and_restored_outside() -> None:
    with apply_arithmetic(torch.device("cpu")):
        assert _precisions() == ["ieee"] * 4
    assert _precisions() == CHEAP


def test_the_older_setting_of_matmul_precision_is_restored() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with apply_arithmetic(torch.device("cpu")):
            assert _precisions()[1] == "ieee"
        assert torch.get_float32_matmul_precision() == "high"
        assert _precisions()[1] == "tf32"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("cheap_arithmetic")
def test_an_error_inside_restores_the_settings() -> None:
    with pytest.raises(RuntimeError, match="broken"), apply_arithmetic(torch.device("cpu")):
        raise RuntimeError("broken")
    assert _precisions() == CHEAP


def test_autocast_is_off_inside() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        with apply_arithmetic(torch.device("cpu")):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.usefixtures("cheap_arithmetic")
def test_arithmetic_of_lower_precision_is_used_on_request() -> None:
    with use_arithmetic("tf32"), apply_arithmetic(torch.device("cpu")):
        assert _precisions() == ["tf32"] * 4
    with use_arithmetic("bf16"), apply_arithmetic(torch.device("cpu")):
        assert _precisions() == ["ieee"] * 4
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with apply_arithmetic(torch.device("cpu")):
        assert _precisions() == ["ieee"] * 4
