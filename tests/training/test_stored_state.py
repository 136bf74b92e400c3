"""A checkpoint is checked before anything is restored from it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gantry.commands.train import build_gan
from gantry.runs.folder import read_config
from gantry.training.fit_loop import make_new_loop_state
from gantry.training.gan import GAN
from gantry.training.stored_state import check_checkpoint, make_example_shapes, read_state

RUN = Path(__file__).parents[1] / "runs" / "old_run"
BATCHES, STEPS = "epoch_loop.batch_progress", "epoch_loop.manual_optimization.optim_step_progress"
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def gan() -> GAN:
    return build_gan(read_config(RUN))


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return dict(torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True))


def first(state: dict[str, Any]) -> str:
    return next(iter(state["state_dict"]))


def set_weight(value: Callable[[torch.Tensor], Any]) -> Change:
    return lambda state: state["state_dict"].update({first(state): value(state["state_dict"][first(state)])})


def set_moment(value: Callable[[torch.Tensor], Any], name: str = "exp_avg") -> Change:
    def change(state: dict[str, Any]) -> None:
        entry = state["optimizer_states"][0]["state"][0]
        entry[name] = value(entry[name])

    return change


def set_group(**settings: Any) -> Change:
    return lambda state: state["optimizer_states"][1]["param_groups"][0].update(settings)


def set_counter(value: Any, loop: str = BATCHES, when: str = "current", key: str = "ready") -> Change:
    return lambda state: state["loops"]["fit_loop"][loop][when].update({key: value})


CHANGES: dict[str, tuple[Change, str]] = {
    "no weights": (lambda s: s.pop("state_dict"), "no state_dict"),
    "a list of weights": (lambda s: s.update(state_dict=[1]), "no state_dict"),
    "a weight left out": (lambda s: s["state_dict"].pop(first(s)), "is missing"),
    "a weight more": (lambda s: s["state_dict"].update({"G.more": torch.ones(1)}), "is not one of its tensors"),
    "a weight of another shape": (set_weight(lambda x: x.T), "has the shape"),
    "a weight that is a number": (set_weight(lambda _: 3), "is a int and not a tensor"),
    "a weight of integers": (set_weight(lambda x: x.long()), "is torch.int64 and not torch.float32"),
    "a complex weight": (set_weight(lambda x: x.to(torch.complex64)), "is torch.complex64"),
    "a sparse weight": (set_weight(lambda x: x.to_sparse()), "not a plain tensor"),
    "a weight without memory": (set_weight(lambda x: x.to("meta")), "not a plain tensor"),
    "swapped optimisers": (lambda s: s["optimizer_states"].reverse(), "must be of"),
    "one optimiser": (lambda s: s["optimizer_states"].pop(), "must be a list of 2"),
    "no optimisers": (lambda s: s.pop("optimizer_states"), "must be a list of 2"),
    "swapped states of optimisers": (
        lambda s: [
            a.update(state=b["state"])
            for a, b in zip(s["optimizer_states"], copy.deepcopy(s)["optimizer_states"][::-1])
        ],
        "has the (shape|parameter)",
    ),
    "a moment of another shape": (set_moment(lambda x: x.reshape(-1)[:3]), "has the shape"),
    "a moment of one number": (set_moment(lambda _: torch.ones(())), "has the shape"),
    "a moment that is a text": (set_moment(lambda _: "x"), "is a str"),
    "a count of steps of many numbers": (set_moment(lambda _: torch.ones(7), "step"), "has the shape"),
    "a moment left out": (lambda s: s["optimizer_states"][0]["state"][0].pop("exp_avg_sq"), "exp_avg_sq is missing"),
    "a parameter more": (lambda s: s["optimizer_states"][0]["state"].update({99: {}}), "has the parameter 99"),
    "moments of a name": (lambda s: s["optimizer_states"][0]["state"].update(x={}), "has the parameter x"),
    "a rate that is a text": (set_group(lr="x"), "lr must be like"),
    "an infinite rate": (set_group(lr=float("inf")), "lr must be like"),
    "one beta": (set_group(betas=(0.5,)), "betas must be like"),
    "no first rate": (
        lambda s: s["optimizer_states"][1]["param_groups"][0].pop("initial_lr"),
        "initial_lr must be like",
    ),
    "a group without parameters": (set_group(params=[]), "must be of"),
    "no loops": (lambda s: s.pop("loops"), r"loops\.fit_loop must have"),
    "empty loops": (lambda s: s["loops"].clear(), r"loops\.fit_loop must have"),
    "a loop without counters": (lambda s: s["loops"]["fit_loop"].pop(BATCHES), r"loops\.fit_loop must have"),
    "a negative counter": (set_counter(-1), "must be at most"),
    "a huge counter": (set_counter(10**12), "must be at most"),
    "a counter that is a text": (set_counter("x"), "must be at most"),
    "a counter behind the turn": (set_counter(3), "but the loop has counted 3 turns"),
    "steps behind the turn": (set_counter(1, STEPS, "total", "completed"), "and 1 steps"),
    "no turn": (lambda s: s["gan"].pop("turn"), r"gan\.turn must be"),
    "another turn": (lambda s: s["gan"].update(turn=19), "must be at most|but the loop"),
    "a negative turn": (lambda s: s["gan"].update(turn=-1), r"gan\.turn must be"),
    "no scores": (lambda s: s["gan"].pop("scores"), r"gan\.scores"),
    "a list in place of the run": (lambda s: s.update(gan=[]), r"gan\.turn must be"),
    "no states of callbacks": (lambda s: s.pop("callbacks"), "callbacks must be a mapping"),
    "schedulers": (lambda s: s.update(lr_schedulers=[{}]), "lr_schedulers"),
    "no version": (lambda s: s.pop("pytorch-lightning_version"), "version must be a version"),
    "a version of words": (lambda s: s.update({"pytorch-lightning_version": "abc"}), "version must be a version"),
}


def test_a_checkpoint_of_the_run_is_accepted(gan: GAN) -> None:
    check_checkpoint(RUN / "checkpoints" / "last.ckpt", gan, make_new_loop_state())


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_checkpoint_is_refused_in_one_line(
    name: str, gan: GAN, stored: dict[str, Any], tmp_path: Path
) -> None:
    change, reason = CHANGES[name]
    state, path = copy.deepcopy(stored), tmp_path / "last.ckpt"
    change(state)
    torch.save(state, path)
    rule = "checkpoint must hold the training state of this run"
    with pytest.raises(ValueError, match=rf"^{rule}, got [^\n]*last\.ckpt: [^\n]*({reason})[^\n]*$"):
        check_checkpoint(path, gan, make_new_loop_state())


class Canary:
    """An object whose unpickling touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["object", "list", "tensor", "text", "dict"])
def test_a_file_that_is_no_training_state_is_refused_and_runs_nothing(kind: str, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "x.ckpt"
    values = {"object": {"state_dict": Canary(canary)}, "list": [1], "tensor": torch.ones(2), "dict": {"a": 1}}
    torch.save(values[kind], path) if kind in values else path.write_text("x")
    with pytest.raises(ValueError, match=r"^checkpoint must hold the training state of this run, got [^\n]*$"):
        read_state(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adam(p, lr=1e-3, fused=True),
        lambda p: torch.optim.AdamW(p, lr=1e-3, amsgrad=True),
        lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9),
        lambda p: torch.optim.RMSprop(p, lr=1e-3, centered=True, momentum=0.5),
        lambda p: torch.optim.Adagrad(p, lr=1e-3),
        lambda p: torch.optim.NAdam(p, lr=1e-3),
    ],
)
def test_the_example_has_the_shapes_that_one_step_leaves(make: Callable[[Any], torch.optim.Optimizer]) -> None:
    parameters = [torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.ones(4))]
    optimizer = make(parameters)
    example = make_example_shapes(optimizer)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = [optimizer.state[parameter] for parameter in parameters]
    assert example == [{k: tuple(v.shape) for k, v in one.items() if isinstance(v, torch.Tensor)} for one in state]
