"""Turns as CUDA graphs: the host launches a captured turn with one call, not kernel by kernel."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from gantry import rng
from gantry.training.executor import Number, ScalarTensors, TurnValues, UpdateFunction

log = logging.getLogger(__name__)
WARM_UP_TURNS = 2  # eager turns of a kind before its capture: libraries and optimisers allocate their buffers in them
MAX_RECORDINGS = 64  # kinds of turns that are captured; each takes some memory of the device


class GraphRecorder(Protocol):
    """Captures turns: `CudaGraphRecorder`, or a fake where there is no GPU."""

    def prepare_optimizers(self, optimizers: Iterable[Optimizer]) -> None:
        """Make the optimisers fit for capture."""

    def run_on_side_stream(self, run: Callable[[], Any]) -> Any:
        """Call run() once, eagerly, on the stream of the captures."""

    def record(self, run: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Capture run() without executing it: -> a function that replays it, and its result.

        Each replay writes the tensors of the result anew.
        """


class CudaGraphRecorder:
    """Captures CUDA graphs in one memory pool; a replay continues the random streams of the generators."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.pool = torch.cuda.graph_pool_handle()

    def prepare_optimizers(self, optimizers: Iterable[Optimizer]) -> None:
        make_capturable(optimizers)

    def run_on_side_stream(self, run: Callable[[], Any]) -> Any:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = run()
        torch.cuda.current_stream().wait_stream(self.stream)
        return result

    def record(self, run: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        graph = torch.cuda.CUDAGraph()
        if torch.__version__ < "2.14":  # later versions register the generators themselves, and warn about ours
            for generator in rng.device_generators("cuda"):
                graph.register_generator_state(generator)
        try:  # thread_local: other threads, such as those that log, may use the device meanwhile
            with torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local"):
                result = run()
        except RuntimeError:
            for generator in [torch.cuda.default_generators[self.stream.device_index], *rng.device_generators("cuda")]:
                renew_generator_state(generator)
            raise
        return graph.replay, result


def renew_generator_state(generator: torch.Generator) -> None:
    """Give a generator a new state: one that was registered with a failed capture refuses to draw."""
    generator.graphsafe_set_state(torch.Generator(generator.device).graphsafe_get_state())


def root_cause_message(error: BaseException) -> str:
    """Return the first line of the error that led to the others: ending a failed capture fails, too."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]


def make_capturable(optimizers: Iterable[Optimizer]) -> None:
    """Let optimisers keep their step counts on the device and read learning rates from tensors."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["capturable"] = True
        for parameter, state in optimizer.state.items():
            if "step" in state:  # the checkpoint of an eager run has it on the CPU
                state["step"] = state["step"].to(parameter.device)


@dataclass(frozen=True)
class Recording:
    """A captured turn: its input tensors, its scalars [M] in one tensor with their names for each update, and the
    parameters with the gradients that it writes."""

    replay: Callable[[], None]
    x: Tensor
    c: Tensor
    scalars: Tensor
    scalar_names: list[list[str]]
    gradients: list[tuple[Tensor, Tensor | None]]

    def __call__(self, x: Tensor, c: Tensor) -> list[ScalarTensors]:
        """Replay the turn on these batches: -> the scalars of each update."""
        self.x.copy_(x)
        self.c.copy_(c)
        self.replay()
        for parameter, gradient in self.gradients:  # another recording may have been replayed in between
            parameter.grad = gradient
        values = iter(self.scalars.clone().unbind())  # the next replay overwrites them
        return [{name: next(values) for name in names} for names in self.scalar_names]


class CudaGraphExecutor:
    """A `TurnExecutor` that captures the turns of each kind and replays them.

    A recording holds kernels and addresses, not the program: numbers that change from turn to turn lie in tensors,
    draws come from generators that are seeded before each turn, and the terms that are due define the kind. If a
    capture fails, turns run eagerly from then on, and the log says why.
    """

    recorder: GraphRecorder
    parameters: list[Tensor]

    def __init__(self, make_recorder: Callable[[], GraphRecorder] = CudaGraphRecorder) -> None:
        self.make_recorder = make_recorder
        self.last_values: dict[str, Number] = {}
        self.value_tensors: dict[str, Tensor] = {}
        self.warm_up_counts: Counter[Hashable] = Counter()
        self.recordings: dict[Hashable, Recording] = {}
        self.is_enabled = True

    def setup(self, optimizers: Iterable[Optimizer]) -> None:
        optimizers = list(optimizers)
        self.parameters = [p for o in optimizers for group in o.param_groups for p in group["params"]]
        self.recorder = self.make_recorder()  # not earlier: by now the process has chosen its device
        self.recorder.prepare_optimizers(optimizers)

    def prepare_values(self, values: TurnValues, device: torch.device) -> TurnValues:
        """Return float32 tensors [], each written when its number changes."""
        return values.map(lambda key, number: self.update_tensor(key, number, device))

    def update_tensor(self, key: str, number: Number, device: torch.device) -> Tensor:
        """Return the tensor [] of a number, filled with it."""
        if key not in self.value_tensors:
            self.value_tensors[key] = torch.full((), float(number), dtype=torch.float32, device=device)
        elif self.last_values[key] != number:
            self.value_tensors[key].fill_(number)
        self.last_values[key] = number
        return self.value_tensors[key]

    def __call__(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> list[ScalarTensors]:
        if kind not in self.recordings and self.can_record(kind):
            self.try_record(updates, kind, x, c)
        if kind in self.recordings:
            return self.recordings[kind](x, c)
        self.warm_up_counts[kind] += 1
        scalars: list[ScalarTensors] = self.recorder.run_on_side_stream(lambda: updates(x, c))
        return scalars

    def can_record(self, kind: Hashable) -> bool:
        """Return True if turns of this kind have warmed up and no capture has failed."""
        return self.is_enabled and self.warm_up_counts[kind] >= WARM_UP_TURNS and len(self.recordings) < MAX_RECORDINGS

    def try_record(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> None:
        """Capture a turn. If that fails, drop all recordings, which share generators with it, and stay eager."""
        x, c = x.clone(), c.clone()
        try:
            replay, (scalars, names) = self.recorder.record(lambda: stack_scalars(updates(x, c)))
        except RuntimeError as error:
            self.is_enabled = False
            self.recordings.clear()
            rng.reseed()
            log.warning("CUDA graph capture failed: %s. Turns run eagerly from here on", root_cause_message(error))
        else:
            gradients = [(p, p.grad) for p in self.parameters]
            self.recordings[kind] = Recording(replay, x, c, scalars, names, gradients)


def stack_scalars(updates: list[ScalarTensors]) -> tuple[Tensor, list[list[str]]]:
    """Return the scalars of a turn's updates in one tensor [M], and their names for each update."""
    scalars = torch.stack([value.float() for scalars in updates for value in scalars.values()])
    return scalars, [list(scalars) for scalars in updates]
