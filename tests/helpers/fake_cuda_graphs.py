"""What a CUDA graph does, without a GPU: operations are recorded with the tensors that they read and write."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gantry import rng


class OperationTape(TorchDispatchMode):
    """Every operation below autograd, in order. They are carried out, too: a tape cannot make tensors otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Callable[[], None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("a recorded turn must not fetch a number")
        result = func(*args, **kwargs)
        self.operations.append(lambda: replay_operation(func, args, kwargs, result))
        return result


def replay_operation(func: Any, args: Any, kwargs: Any, result: Any) -> None:
    """The same operation on the same tensors, whatever they hold now, into the same results."""
    for old, new in zip(tree_leaves(result), tree_leaves(func(*args, **kwargs))):
        if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
            old.copy_(new)


class FakeGraphRecorder:
    """A `Recorder`. What the recording itself has changed is put back."""

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
        changed = [*self.state, *moments]
        generators = [torch.default_generator, *rng.device_generators("cpu")]
        before, drawn = [tensor.clone() for tensor in changed], [generator.get_state() for generator in generators]
        try:
            with OperationTape() as tape:
                result = run()
        finally:
            for tensor, value in zip(changed, before):
                tensor.detach().copy_(value)
            for generator, state in zip(generators, drawn):
                generator.set_state(state)
        return lambda: replay_tape(tape), result


@torch.no_grad()
def replay_tape(tape: OperationTape) -> None:
    for step in tape.operations:
        step()
