"""Extractors compute in full float32, whatever the training around them was set to."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast on this device, and no TF32 or bfloat16 inside convolutions and products, until the block ends.

    GPUs compute float32 convolutions in TF32 unless told otherwise, and products of matrices when a user asks for
    it: features would be off by a thousandth, and a score would depend on the machine.
    """
    gpu, cpu = torch.backends, torch.backends.mkldnn
    operators = (gpu.cudnn.conv, gpu.cuda.matmul, cpu.conv, cpu.matmul)  # type: ignore[attr-defined]
    before = [operator.fp32_precision for operator in operators]
    try:
        for operator in operators:
            operator.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for operator, precision in zip(operators, before):
            operator.fp32_precision = precision
