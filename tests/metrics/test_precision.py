"""Extractors do not inherit the arithmetic of the training around them."""

import pytest
import torch

from gantry.metrics.precision import full_precision


@pytest.fixture
def cheap_convolutions():  # type: ignore[no-untyped-def]
    """What a user may have set for speed; put back afterwards."""
    gpu, cpu = torch.backends.cudnn.conv, torch.backends.mkldnn.conv
    before = gpu.fp32_precision, cpu.fp32_precision
    gpu.fp32_precision, cpu.fp32_precision = "tf32", "bf16"
    yield
    gpu.fp32_precision, cpu.fp32_precision = before


def _precisions() -> tuple[str, str]:
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.mkldnn.conv.fp32_precision


@pytest.mark.usefixtures("cheap_convolutions")
def test_convolutions_are_exact_inside_and_as_they_were_outside() -> None:
    with full_precision(torch.device("cpu")):
        assert _precisions() == ("ieee", "ieee")
    assert _precisions() == ("tf32", "bf16")


@pytest.mark.usefixtures("cheap_convolutions")
def test_an_error_inside_leaves_nothing_changed() -> None:
    with pytest.raises(RuntimeError, match="broken"), full_precision(torch.device("cpu")):
        raise RuntimeError("broken")
    assert _precisions() == ("tf32", "bf16")


def test_autocast_is_off_inside() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        with full_precision(torch.device("cpu")):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
