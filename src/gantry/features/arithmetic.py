"""The arithmetic of extractors: full float32, whatever training uses, unless the evaluation asks for less."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

ARITHMETIC_TYPES = ("float32", "tf32", "bf16")
_current_arithmetic: ContextVar[str] = ContextVar("arithmetic", default="float32")


@contextmanager
def use_arithmetic(kind: str) -> Iterator[None]:
    """Make extractors compute in this arithmetic inside the block; the protocol of the scores states it."""
    token = _current_arithmetic.set(kind)
    try:
        yield
    finally:
        _current_arithmetic.reset(token)


@contextmanager
def apply_arithmetic(device: torch.device) -> Iterator[None]:
    """Apply the current arithmetic inside an extractor; the default is full float32.

    By default GPUs compute float32 convolutions in TF32, and matrix products too if the user enabled it: features would
    be off by a thousandth, and scores would depend on the machine.
    """
    gpu, cpu = torch.backends, torch.backends.mkldnn
    operators = (gpu.cudnn.conv, gpu.cuda.matmul, cpu.conv, cpu.matmul)  # type: ignore[attr-defined]
    before, kind = [operator.fp32_precision for operator in operators], _current_arithmetic.get()
    try:
        for operator in operators:
            operator.fp32_precision = "tf32" if kind == "tf32" else "ieee"
        with torch.autocast(device.type, torch.bfloat16, enabled=kind == "bf16"):
            yield
    finally:
        for operator, was in zip(operators, before):
            operator.fp32_precision = was
