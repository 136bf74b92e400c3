"""Extractors compute in full float32, whatever the training around them was set to."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast on this device, and no TF32 or bfloat16 inside convolutions, until the block ends.

    GPUs compute float32 convolutions in TF32 unless told otherwise: features would be off by a thousandth,
    and a score would depend on the machine.
    """
    operators = (torch.backends.cudnn.conv, torch.backends.mkldnn.conv)  # type: ignore[attr-defined]
    before = [operator.fp32_precision for operator in operators]
    try:
        for operator in operators:
            operator.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for operator, precision in zip(operators, before):
            operator.fp32_precision = precision
