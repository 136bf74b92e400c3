"""Objects from configurations: as Hydra's instantiate builds them, with the errors of a user and of a bug apart."""

import functools
import json
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from gantry.config.instantiate import build, build_all
from gantry.errors import UserError

HERE = f"{__name__}."


class Recorder:
    """Keeps its arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recorder) and (self.args, self.kwargs) == (other.args, other.kwargs)

    def __hash__(self) -> int:
        return 0


class Raises:
    """Cannot be constructed: raises the error called `kind`."""

    def __init__(self, kind: str) -> None:
        raise {"ValueError": ValueError, "TypeError": TypeError, "KeyError": KeyError}[kind](
            "seed must be\neven, got 3"
        )


def pair(a: int, b: int = 0) -> tuple[int, int]:
    return a, b


def recorder(**node: Any) -> dict[str, Any]:
    return {"_target_": f"{HERE}Recorder", **node}


NODES = {
    "plain values": recorder(a=1, b=None, c=[1, [2]], d={"x": {"y": 1}}),
    "_args_": recorder(_args_=[7, [1], {"x": 1}], a=1),
    "_args_ of objects": recorder(_args_=[recorder(_args_=[1]), [recorder(a=2)]]),
    "objects in dicts and lists": recorder(a={"x": [recorder(a=1), {"y": recorder()}]}, b=recorder(c=recorder())),
    "_convert_ all": recorder(_convert_="all", a=[1], b=recorder(_convert_="partial", c={"x": [1]})),
    "_convert_ object": recorder(_convert_="object", a=[{"x": recorder(b=[1])}]),
    "_recursive_ false": recorder(_recursive_=False, a=recorder(b=1), c=[recorder()], _args_=[recorder()]),
    "_recursive_ false below": recorder(a=recorder(_recursive_=False, b=recorder(c=[1]))),
    "_recursive_ true below": recorder(a={"_recursive_": False, "b": recorder(_recursive_=True, c=recorder())}),
    "_recursive_ in a plain dict": recorder(a={"_recursive_": False, "b": recorder(c=recorder()), "d": [recorder()]}),
    "names with an underscore": recorder(_a=1, __b__=2),
    "interpolations": recorder(a=1, b="${.a}", c=["${..a}"], d={"x": "${..a}"}),
    "numbers as names": recorder(a={1: "x", 2.5: [2]}),
}
PARTIAL_NODES = {
    "_partial_": recorder(_partial_=True, _args_=[1, recorder()], a=recorder(b=1)),
    "_partial_ without a value": recorder(_partial_=True, a="???", b=[1]),
}


@pytest.mark.parametrize("name", NODES)
def test_objects_equal_those_of_hydra(name: str) -> None:
    node = OmegaConf.create({"part": NODES[name]}).part
    expected = hydra.utils.instantiate(node, _convert_=NODES[name].get("_convert_", "all"))
    built = build(node)
    assert built == expected


@pytest.mark.parametrize("name", PARTIAL_NODES)
def test_partial_functions_equal_those_of_hydra(name: str) -> None:
    node = OmegaConf.create({"part": PARTIAL_NODES[name]}).part
    built = build(node)
    assert type(built) is functools.partial
    assert built(c=3) == hydra.utils.instantiate(node, _convert_="all")(c=3)


@pytest.mark.parametrize("recursive", [True, False])
def test_parts_are_given_plain_containers(recursive: bool) -> None:
    built = build(OmegaConf.create(recorder(_recursive_=recursive, _args_=[[1], {"x": [2]}], a={"x": [{"y": 1}]})))
    assert json.loads(json.dumps([built.args, built.kwargs])) == [[[1], {"x": [2]}], {"a": {"x": [{"y": 1}]}}]


def test_a_nested_partial_is_no_object() -> None:
    built = build(OmegaConf.create(recorder(a={"_target_": f"{HERE}pair", "_partial_": True, "b": 2})))
    assert built.kwargs["a"](1) == (1, 2)


def test_arguments_of_the_program_are_added_and_win() -> None:
    assert build(OmegaConf.create(recorder(a=1, b=2)), b=3, c=4).kwargs == {"a": 1, "b": 3, "c": 4}


def test_a_builtin_without_a_signature_is_called() -> None:
    assert build(OmegaConf.create({"_target_": "builtins.dict", "a": 1})) == {"a": 1}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "gantry.nope.Thing"},
            "part._target_ must be something that can be imported, got gantry.nope.Thing: ",
        ),
        ({"_target_": "no_such_package.Thing"}, "No module named 'no_such_package'"),
        (
            {"_target_": "gantry.errors.DISK_ERRNOS"},
            "part._target_ must be a class or a function, got gantry.errors.DISK_",
        ),
        (
            {"_target_": "gantry..errors"},
            "part._target_ must be the dotted name of a class or a function, got gantry..err",
        ),
        ({"_target_": f"{HERE}pair", "c": 1}, f"part must have the arguments of {HERE}pair, got missing a required"),
        ({"_target_": f"{HERE}pair", "_args_": [1, 2, 3]}, "got too many positional arguments"),
        ({"_target_": f"{HERE}pair", "_args_": 1}, "part._args_ must be a list, got 1"),
        (recorder(_convert_="none"), "part._convert_ must be all, partial or object"),
        (recorder(_recursive_="no"), "part._recursive_ must be true or false, got no"),
        (recorder(_partial_=1), "part._partial_ must be true or false, got 1"),
        ({"_target_": f"{HERE}Raises", "kind": "ValueError"}, "seed must be even, got 3"),
        (recorder(a=recorder(b={"_target_": f"{HERE}Raises", "kind": "ValueError"})), "seed must be even, got 3"),
    ],
)
def test_mistakes_are_user_errors_in_one_line(node: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build(OmegaConf.create({"part": node}).part)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["TypeError", "KeyError"])
def test_other_errors_of_a_constructor_are_bugs(kind: str) -> None:
    with pytest.raises((TypeError, KeyError), match="seed must be"):
        build(OmegaConf.create({"_target_": f"{HERE}Raises", "kind": kind}))


def test_an_error_in_the_module_of_a_part_is_a_bug() -> None:
    with pytest.raises(ValueError, match="bad constant") as caught:
        build(OmegaConf.create({"_target_": "module_with_a_bug.Part"}))
    assert not isinstance(caught.value, UserError)


def test_what_is_left_out_is_null_or_false() -> None:
    nodes = OmegaConf.create({"a": None, "b": recorder(x=1), "c": False, "d": recorder()})
    assert list(build_all(nodes)) == ["b", "d"]
    assert build_all(None) == {}
