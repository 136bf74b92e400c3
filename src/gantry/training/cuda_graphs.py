"""Turns as graphs: what the host starts kernel by kernel the first time, it starts with one call from then on."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from gantry import rng
from gantry.training.executor import ScalarTensors, UpdateFunction

log = logging.getLogger(__name__)
WARM_UP_TURNS = 2  # turns of a kind that run as they are written: libraries and optimisers make their buffers in them
MAX_RECORDINGS = 64  # kinds of turns that are recorded; each takes some memory of the device


class GraphRecorder(Protocol):
    """Makes recordings: `CudaGraphs`, or a stand-in for it where there is no GPU."""

    def prepare_optimizers(self, optimizers: Iterable[Optimizer]) -> None:
        """Let these optimisers be recorded."""

    def run_on_side_stream(self, run: Callable[[], Any]) -> Any:
        """Run once, where recordings are made."""

    def record(self, run: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Record without running: -> what replays it, and the result, whose tensors each replay writes anew."""


class CudaGraphRecorder:
    """CUDA graphs in one pool of memory. Draws go on from where the generators stand when a graph is replayed."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.pool = torch.cuda.graph_pool_handle()

    def prepare_optimizers(self, optimizers: Iterable[Optimizer]) -> None:
        make_capturable(optimizers)

    def run_on_side_stream(self, run: Callable[[], Any]) -> Any:
        """On the stream that recordings are made on, as what is left of a warm-up must be."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = run()
        torch.cuda.current_stream().wait_stream(self.stream)
        return result

    def record(self, run: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Other threads, such as those that log, may use the device meanwhile."""
        graph = torch.cuda.CUDAGraph()
        if torch.__version__ < "2.14":  # from then on a graph finds its generators itself, and says so when told
            for generator in rng.device_generators("cuda"):
                graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local"):
                result = run()
        except RuntimeError:
            for generator in [torch.cuda.default_generators[self.stream.device_index], *rng.device_generators("cuda")]:
                renew_generator_state(generator)
            raise
        return graph.replay, result


def renew_generator_state(generator: torch.Generator) -> None:
    """Give a generator a state of its own again: that of a recording which failed refuses to draw ever after."""
    generator.graphsafe_set_state(torch.Generator(generator.device).graphsafe_get_state())


def root_cause_message(error: BaseException) -> str:
    """The first line of the error that others followed: the end of a failed recording fails, too."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]


def make_capturable(optimizers: Iterable[Optimizer]) -> None:
    """Have optimisers keep their counts of steps on the device, and take learning rates from there."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["capturable"] = True
        for parameter, state in optimizer.state.items():
            if "step" in state:  # of a checkpoint of a run that was not captured
                state["step"] = state["step"].to(parameter.device)


@dataclass(frozen=True)
class Recording:
    """A recorded turn: the tensors that it reads, its scalars [M], which lie in one tensor, with their names, and the
    parameters with the gradients that it leaves."""

    replay: Callable[[], None]
    x: Tensor
    c: Tensor
    scalars: Tensor
    scalar_names: list[list[str]]
    gradients: list[tuple[Tensor, Tensor | None]]

    def __call__(self, x: Tensor, c: Tensor) -> list[ScalarTensors]:
        """Play it with these batches."""
        self.x.copy_(x)
        self.c.copy_(c)
        self.replay()
        for parameter, gradient in self.gradients:  # until another recording is played
            parameter.grad = gradient
        values = iter(self.scalars.clone().unbind())  # the next replay writes over them
        return [{name: next(values) for name in names} for names in self.scalar_names]


class CudaGraphExecutor:
    """A `Play` that records the turns of each kind and replays them.

    A recording holds the kernels and where they read and write, not the program: the numbers that differ from turn to
    turn lie in tensors, draws come from generators that are seeded before each turn, and which terms are due makes the
    kind. What cannot be recorded runs as it is written, and the log says why.
    """

    recorder: GraphRecorder
    parameters: list[Tensor]

    def __init__(self, make_recorder: Callable[[], GraphRecorder] = CudaGraphRecorder) -> None:
        self.make_recorder = make_recorder
        self.last_values: dict[str, float] = {}
        self.value_tensors: dict[str, Tensor] = {}
        self.warm_up_counts: Counter[Hashable] = Counter()
        self.recordings: dict[Hashable, Recording] = {}
        self.is_enabled = True

    def setup(self, optimizers: Iterable[Optimizer]) -> None:
        """Before the first turn of this process, which has chosen its device by now."""
        optimizers = list(optimizers)
        self.parameters = [p for o in optimizers for group in o.param_groups for p in group["params"]]
        self.recorder = self.make_recorder()
        self.recorder.prepare_optimizers(optimizers)

    def prepare_values(self, numbers: Mapping[str, float], device: torch.device) -> Mapping[str, Any]:
        """Float32 tensors [], each written when its number changes."""
        for name, number in numbers.items():
            if name not in self.value_tensors:
                self.value_tensors[name] = torch.full((), number, dtype=torch.float32, device=device)
            elif self.last_values[name] != number:
                self.value_tensors[name].fill_(number)
            self.last_values[name] = number
        return self.value_tensors

    def __call__(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> list[ScalarTensors]:
        if kind not in self.recordings and self.can_record(kind):
            self.try_record(updates, kind, x, c)
        if kind in self.recordings:
            return self.recordings[kind](x, c)
        self.warm_up_counts[kind] += 1
        scalars: list[ScalarTensors] = self.recorder.run_on_side_stream(lambda: updates(x, c))
        return scalars

    def can_record(self, kind: Hashable) -> bool:
        """Whether a kind of turn is warm, and nothing has gone wrong so far."""
        return self.is_enabled and self.warm_up_counts[kind] >= WARM_UP_TURNS and len(self.recordings) < MAX_RECORDINGS

    def try_record(self, updates: UpdateFunction, kind: Hashable, x: Tensor, c: Tensor) -> None:
        """Record a turn, or none from now on: recordings made so far share generators with the one that failed."""
        x, c = x.clone(), c.clone()
        try:
            replay, (scalars, names) = self.recorder.record(lambda: stack_scalars(updates(x, c)))
        except RuntimeError as error:
            self.is_enabled = False
            self.recordings.clear()
            rng.reseed()
            log.warning(
                "trainer.capture: turns run as they are written from here on, since %s", root_cause_message(error)
            )
        else:
            gradients = [(p, p.grad) for p in self.parameters]
            self.recordings[kind] = Recording(replay, x, c, scalars, names, gradients)


def stack_scalars(updates: list[ScalarTensors]) -> tuple[Tensor, list[list[str]]]:
    """The scalars of a turn's updates in one tensor [M], and their names."""
    scalars = torch.stack([value.float() for scalars in updates for value in scalars.values()])
    return scalars, [list(scalars) for scalars in updates]
