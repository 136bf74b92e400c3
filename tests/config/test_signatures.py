import ast

from gantry.config.kinds import rule_from_annotation
from gantry.config.signatures import read_arguments


def test_a_class_a_dataclass_a_function_and_a_reexport() -> None:
    assert {"G", "D", "clip"} <= set(read_arguments("gantry.training.optim.Optim") or {})
    assert {"seed", "turns"} <= set(read_arguments("gantry.training.gan.GAN") or {})
    assert set(read_arguments("gantry.schedules.linear") or {}) == {"clock", "start", "end", "kimg", "turns"}
    assert "betas" in (read_arguments("torch.optim.Adam") or {})


def test_what_cannot_be_known_is_not_judged() -> None:
    assert read_arguments("no_such_package.Thing") is None
    assert read_arguments("gantry.training.gan.NoSuchClass") is None


def test_annotations_become_rules() -> None:
    def allows(annotation: str, value: object) -> bool:
        rule = rule_from_annotation(ast.parse(annotation, mode="eval").body)
        assert rule is not None
        return rule[1](value)

    assert allows("int", 3)
    assert not allows("int", True)
    assert not allows("int", 3.0)
    assert allows("float", 3)
    assert not allows("float", "x")
    assert allows("float | None", None)
    assert not allows("bool", 1)
    assert allows("Literal['a', 'b']", "a")
    assert not allows("Literal['a', 'b']", "c")
    assert allows("Sequence[int]", [1, 2])
    assert not allows("tuple[int, ...]", [1, "x"])
    assert rule_from_annotation(ast.parse("Callable[[int], int]", mode="eval").body) is None
