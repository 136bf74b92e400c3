"""Check a checkpoint before anything is restored from it: a state that does not fit can end the process in a C kernel.

Every byte may be as it was written and the file still be another run's, an older one's, or anybody's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from gantry.errors import UserError, format_on_one_line

MAX_COUNT = 2**53
VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc|\.dev|\.post)\d+)*(\+[\w.]+)?")  # the form of PEP 440
Shapes = dict[str, tuple[int, ...]]  # of the tensors that an optimiser keeps for one parameter, by name


class HasNetsAndOptimizers(Protocol):
    """The part of a GAN whose state is checked here."""

    def state_dict(self) -> dict[str, Tensor]: ...
    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]: ...


class StateMismatchError(ValueError):
    """A state does not fit; the message is what is wrong with it."""


def check_checkpoint(path: Path, gan: HasNetsAndOptimizers, loop: Mapping[str, Any]) -> None:
    """Raise UserError unless training can resume from a checkpoint; `loop` is the state of a loop before its start."""
    state = read_state(path)
    try:
        check_tensors(gan.state_dict(), state["state_dict"])
        check_optimizer_states(gan.configure_optimizers(), state.get("optimizer_states"))
        check_progress(state, loop)
        if not isinstance(state.get("callbacks"), dict) or state.get("lr_schedulers") != []:
            raise StateMismatchError("callbacks must be a mapping and lr_schedulers empty")
        check_version(state.get("pytorch-lightning_version"))
    except StateMismatchError as error:
        raise make_state_error(path, str(error)) from None


def check_version(version: Any) -> None:
    """Raise StateMismatchError unless Lightning's version is one that Lightning can compare with its own."""
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise StateMismatchError(f"pytorch-lightning_version must be a version, got {version!r:.50}")


def restore_callbacks(path: Path, callbacks: Iterable[Any]) -> None:
    """Have each callback restore its state once before the trainer does. Raises UserError for one that cannot."""
    stored = read_state(path)["callbacks"]
    for callback in callbacks:
        if (state := stored.get(callback.state_key)) is not None:
            try:
                callback.load_state_dict(state)
            except Exception as error:  # which one depends on what is missing
                reason = format_on_one_line(error, with_type=True, limit=100)
                raise make_state_error(path, f"callbacks.{callback.state_key} cannot be restored: {reason}") from None


def read_state(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds, its tensors mapped from the file. Raises UserError if it is not a training state.

    Nothing is unpickled but tensors and plain containers.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # which one depends on what the file is
        raise make_state_error(path, format_on_one_line(error, with_type=True, limit=200)) from None
    if not isinstance(state, dict) or not isinstance(state.get("state_dict"), dict):
        reason = "no state_dict" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise make_state_error(path, f"it holds {reason}")
    return state


def make_state_error(path: Path, reason: str) -> UserError:
    """Return the line for a checkpoint that cannot be used."""
    return UserError(f"checkpoint must hold the training state of this run, got {path}: {reason}")


def check_tensors(own: Mapping[str, Tensor], stored: Mapping[Any, Any]) -> None:
    """Raise StateMismatchError unless the stored tensors are those of a net: names, shapes and kinds of numbers."""
    for name in own.keys() ^ stored.keys():
        raise StateMismatchError(f"{name} is {'missing' if name in own else 'not one of its tensors'}")
    for name, tensor in own.items():
        check_tensor(name, stored[name], tuple(tensor.shape))
        if stored[name].is_floating_point() != tensor.is_floating_point() or stored[name].is_complex():
            raise StateMismatchError(f"{name} is {stored[name].dtype} and not {tensor.dtype}")


def check_tensor(name: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise StateMismatchError unless a value is a plain tensor of this shape in memory."""
    if not isinstance(value, Tensor):
        raise StateMismatchError(f"{name} is a {type(value).__name__} and not a tensor")
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        raise StateMismatchError(f"{name} is not a plain tensor in memory")
    if tuple(value.shape) != shape:
        raise StateMismatchError(f"{name} has the shape {list(value.shape)} and not {list(shape)}")


def check_optimizer_states(optimizers: Sequence[Optimizer], stored: Any) -> None:
    """Raise StateMismatchError unless there is a state for each optimiser that fits its parameters, G first."""
    if not isinstance(stored, list) or len(stored) != len(optimizers):
        raise StateMismatchError(f"optimizer_states must be a list of {len(optimizers)}")
    for i, (optimizer, state) in enumerate(zip(optimizers, stored)):
        where = f"optimizer_states.{i}"
        own = optimizer.state_dict()["param_groups"]
        groups, entries = (state.get(key) if isinstance(state, dict) else None for key in ("param_groups", "state"))
        if not isinstance(groups, list) or not isinstance(entries, dict) or len(groups) != len(own):
            raise StateMismatchError(f"{where} must have state and {len(own)} param_groups")
        for own_group, group in zip(own, groups):
            check_param_group(f"{where}.param_groups", own_group, group)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        examples = make_example_shapes(optimizer)
        for index, entry in entries.items():
            if type(index) is not int or not 0 <= index < len(parameters):
                raise StateMismatchError(f"{where}.state has the parameter {index} of {len(parameters)}")
            check_moments(f"{where}.state.{index}", parameters[index], entry, examples[index] if examples else None)


def check_param_group(where: str, own: Mapping[str, Any], stored: Any) -> None:
    """Raise StateMismatchError unless a stored group is like one of the optimiser, its settings of the same kinds."""
    if not isinstance(stored, dict) or stored.get("params") != own["params"]:
        raise StateMismatchError(f"{where} must be of {len(own['params'])} parameters")
    for name, value in own.items():
        if name == "params" or (name not in stored and isinstance(value, bool | None)):
            continue  # a switch that an older version of torch did not have
        if name not in stored or get_kind(stored[name]) != get_kind(value):
            raise StateMismatchError(f"{where}.{name} must be like {value}, got {stored.get(name, 'none')}")


def get_kind(setting: Any) -> Any:
    """Return the kind of a setting of an optimiser: a switch, a number, several numbers, or another type."""
    if isinstance(setting, Tensor):
        setting = setting.item() if setting.numel() == 1 and setting.device.type == "cpu" else "a tensor"
    if setting is None or isinstance(setting, bool):
        return "switch"
    if isinstance(setting, int | float):
        return "number" if abs(setting) < float("inf") else "no number"
    return [get_kind(item) for item in setting] if isinstance(setting, list | tuple) else type(setting)


def check_moments(where: str, parameter: Tensor, stored: Any, example: Shapes | None) -> None:
    """Raise StateMismatchError unless this can be what an optimiser keeps; `example` is None if unknown."""
    if not isinstance(stored, dict):
        raise StateMismatchError(f"{where} is a {type(stored).__name__}")
    if example is not None and stored and not example.keys() <= stored.keys():
        raise StateMismatchError(f"{where}.{min(example.keys() - stored.keys())} is missing")
    for name, value in stored.items():
        if isinstance(value, Tensor):
            is_free = example is None or (name not in example and value.numel() == 1)
            shape = value.shape if is_free else (example or {}).get(name, parameter.shape)
            check_tensor(f"{where}.{name}", value, tuple(shape))
        elif not isinstance(value, int | float | None):
            raise StateMismatchError(f"{where}.{name} is a {type(value).__name__}")


def make_example_shapes(optimizer: Optimizer) -> list[Shapes] | None:
    """Return what an optimiser of this kind keeps after one step, for each parameter; None if that cannot be tried.

    The step is made on tensors without memory.
    """
    plain = {"fused": False, "foreach": False, "capturable": False}
    copies: list[Tensor] = []
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        params = [torch.nn.Parameter(torch.empty_like(p, device="meta")) for p in group["params"]]
        groups.append(group | {name: value for name, value in plain.items() if name in group} | {"params": params})
        copies += params
    try:
        example = type(optimizer)(groups)  # type: ignore[call-arg]
        for parameter in copies:
            parameter.grad = torch.empty_like(parameter)
        example.step()
        return [_list_shapes(example.state[parameter]) for parameter in copies]
    except Exception:  # an optimiser of the user can need anything
        return None


def _list_shapes(state: Mapping[str, Any]) -> Shapes:
    return {name: tuple(value.shape) for name, value in state.items() if isinstance(value, Tensor)}


def check_progress(stored: Any, loop: Mapping[str, Any]) -> None:
    """Raise StateMismatchError unless the turn and the counters of the training loop are there and agree.

    `loop` is the state of a loop that has not begun, which has the same keys.
    """
    gan: Any = stored.get("gan")
    turn: Any = gan.get("turn") if isinstance(gan, dict) else None
    if not is_stored_count(turn):
        raise StateMismatchError(f"gan.turn must be a number of turns, got {turn}")
    if not isinstance(gan.get("scores"), dict) or type(gan.get("scored_at")) is not int:
        raise StateMismatchError("gan.scores and gan.scored_at must be there")
    if not is_stored_count(gan.get("skipped", 0)):
        raise StateMismatchError(f"gan.skipped must be a number of updates, got {gan['skipped']}")
    for key in ("epoch", "global_step"):
        if not is_stored_count(stored.get(key)):
            raise StateMismatchError(f"{key} must be a count, got {stored.get(key)}")
    loops = stored.get("loops")
    check_counters("loops.fit_loop", loop, loops.get("fit_loop") if isinstance(loops, dict) else None, turn)
    progress = loops["fit_loop"]["epoch_loop.manual_optimization.optim_step_progress"]["total"]["completed"]
    ready = loops["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"]
    if not progress == ready == turn:
        raise StateMismatchError(f"gan.turn is {turn}, but the loop has counted {ready} turns and {progress} steps")


def check_counters(where: str, own: Any, stored: Any, turn: int) -> None:
    """Raise StateMismatchError unless stored counters have the keys of a loop's own, and none is beyond the turn."""
    if isinstance(own, Mapping):
        if not isinstance(stored, dict) or not own.keys() <= stored.keys():
            raise StateMismatchError(f"{where} must have {', '.join(own) or 'a state'}")
        for name, value in own.items():
            check_counters(f"{where}.{name}", value, stored[name], turn)
    elif type(own) is int and not (is_stored_count(stored) and stored <= max(turn, 1) + 1):
        raise StateMismatchError(f"{where} must be at most {turn}, got {format_on_one_line(stored, limit=50)}")
    elif type(own) is bool and type(stored) is not bool:
        raise StateMismatchError(f"{where} must be true or false")


def is_stored_count(value: Any) -> bool:
    """Return True for an integer that can be a number of turns."""
    return type(value) is int and 0 <= value < MAX_COUNT
