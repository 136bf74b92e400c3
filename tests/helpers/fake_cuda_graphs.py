"""Fake CUDA graphs without a GPU: record operations with the tensors that they read and write, and replay them."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gantry import rng


class OperationTape(TorchDispatchMode):
    """Records every operation below autograd, in order, and runs it: its outputs must exist to be recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Callable[[], None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("a captured turn must not read a number")
        result = func(*args, **kwargs)
        self.operations.append(lambda: replay_operation(func, args, kwargs, result))
        return result


def replay_operation(func: Any, args: Any, kwargs: Any, result: Any) -> None:
    """Run an operation again on the current values of its inputs and write into the recorded outputs."""
    for output, value in zip(tree_leaves(result), tree_leaves(func(*args, **kwargs))):
        if isinstance(output, Tensor) and output.data_ptr() != value.data_ptr():
            output.copy_(value)


class FakeGraphRecorder:
    """A fake `GraphRecorder`; after recording it restores all tensors and generators that the recording has changed."""

    def __init__(self, *state: Tensor) -> None:
        self.state = state
        self.num_recorded = 0

    def prepare_optimizers(self, optimizers: Iterable[Optimizer]) -> None:
        self.optimizers = list(optimizers)

    def run_on_side_stream(self, run: Callable[[], Any]) -> Any:
        return run()

    def record(self, run: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        self.num_recorded += 1
        moments = [v for o in self.optimizers for state in o.state.values() for v in state.values()]
        tensors = [*self.state, *moments]
        generators = [torch.default_generator, *rng.device_generators("cpu")]
        values = [tensor.clone() for tensor in tensors]
        generator_states = [generator.get_state() for generator in generators]
        try:
            with OperationTape() as tape:
                result = run()
        finally:
            for tensor, value in zip(tensors, values):
                tensor.detach().copy_(value)
            for generator, state in zip(generators, generator_states):
                generator.set_state(state)
        return lambda: replay_tape(tape), result


@torch.no_grad()
def replay_tape(tape: OperationTape) -> None:
    for operation in tape.operations:
        operation()
