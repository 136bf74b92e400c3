"""What a command may say about a value that a user changed: the keys that it may name, the values that it may take.

Types come from the signatures of the parts as Python has them once they are imported, not from Gantry's reading of
their source.
"""

import inspect
import math
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf

from config_fuzz import HangError, describe_error, find_command_line, list_keys
from gantry.config.instantiate import import_target
from gantry.config.key_rules import find_key_rule, list_key_rules

RESOLVED_FROM = {"critic_norm": ("loss.d_terms", "recipe.critic_batch_norm")}  # keys that a resolver reads by itself
LEFT_OUT = r"callbacks\.\w+|logger\.\w+|(loss\.[dg]_terms|metrics\.(report\.)?scores)\.\w+"  # by null, each of them
MAY_BE_NULL = re.compile(rf"{LEFT_OUT}|callbacks|logger|loss\.[dg]_terms|hydra.*|debug|experiment|hparams_search")
MAY_BE_A_LIST = ("trust", "scores", "runs", "metrics.scores", "metrics.report.scores")  # of names, beside one name
MAX_LENGTH = 1100  # of a line
MAY_BE_NEGATIVE = re.compile(r"trainer\.(devices|max_epochs)|.*_args_.*")


def find_fault(start: DictConfig, overrides: Sequence[str], line: str, accepted: DictConfig | None) -> str:
    """Return what is wrong with the answer to overrides of a configuration, "" for nothing.

    `line` is the refusal, which must name one of the keys, one that they reach or one that their value is a link to, ""
    for none; then `accepted` is the
    configuration as it was used.
    """
    keys = [override.partition("=")[0] for override in overrides]
    if "callbacks.health.skip=true" in line:  # a run that diverges, whatever made it
        return ""
    if line:
        linked = {name for override in overrides for name in re.findall(r"\$\{(\w[\w.]*)\}", override)}
        reached = linked.union(*(find_reached_keys(start, key) for key in keys))
        if not names_key(line, reached):
            return f"names no key: {line}"
        return "" if len(line) <= MAX_LENGTH else f"a line of {len(line)} characters: {line[:MAX_LENGTH]}"
    nonsense = (find_nonsense(accepted, start, key) for key in keys) if accepted is not None else ()
    return next(filter(None, nonsense), "")


def try_command(
    config_name: str, task: Callable[[DictConfig], Any], start: DictConfig, words: list[str], overrides: list[str]
) -> tuple[str, str]:
    """Return the refusal of a command with more overrides, and what is wrong with its answer, "" for neither."""
    accepted: list[DictConfig] = []

    def run(cfg: DictConfig) -> None:
        accepted.append(cfg.copy())
        task(cfg)

    try:
        line = find_command_line(config_name, run, [*words, *overrides])
    except (Exception, HangError) as error:
        return "", describe_error(error)
    return line, find_fault(start, overrides, line, accepted[0] if accepted else None)


def find_reached_keys(cfg: DictConfig, key: str) -> set[str]:
    """Return the keys whose values depend on the value of a key, with itself, all below them included."""
    links = {name: set(_read_links(cfg, name)) for name in list_keys(cfg)}
    reached, new = {key}, {key}
    while new:
        new = {name for name, sources in links.items() if any(_overlap(s, k) for s in sources for k in new)} - reached
        reached |= new
    return {name for name in [*links, key] if any(_is_below(name, k) for k in reached)}


def _read_links(cfg: DictConfig, key: str) -> Iterator[str]:
    """Yield the keys that the text of a value mentions."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent, throw_on_resolution_failure=False) if parent else cfg
    raw = node._get_node(name)._value() if isinstance(node, DictConfig) and node._get_node(name) is not None else None
    for token in re.findall(r"[\w.]+", raw) if isinstance(raw, str) and "${" in raw else ():
        yield from RESOLVED_FROM.get(token, ())
        above = parent.split(".")[: len(parent.split(".")) - (len(token) - len(token.lstrip(".")) - 1)]
        yield ".".join([*above, token.lstrip(".")]) if token.startswith(".") else token


def _is_below(key: str, above: str) -> bool:
    return key == above or key.startswith(f"{above}.")


def _overlap(one: str, other: str) -> bool:
    return _is_below(one, other) or _is_below(other, one)


def names_key(line: str, keys: set[str]) -> bool:
    """Return True if a line names one of the keys."""
    return any(_is_below(word, key) for word in re.findall(r"[\w.]*\w", line) for key in keys)


def find_nonsense(cfg: DictConfig, start: DictConfig, key: str) -> str:
    """Return what is wrong with the value of a key in a configuration that was accepted, "" for nothing."""
    before, after = (OmegaConf.select(c, key, throw_on_missing=False) for c in (start, cfg))
    if after is None:
        return "" if before is None or may_be_null(cfg, key) else f"null instead of {before!r}"
    if before is not None and not is_like(before, after) and key not in MAY_BE_A_LIST:
        return f"{after!r} instead of {before!r}"
    hint = find_type(cfg, key)
    if hint is not None and not is_of_type(after, hint):
        return f"{after!r} is no {hint}"
    if isinstance(after, int | float) and after < 0 and not MAY_BE_NEGATIVE.fullmatch(key):
        return f"{after!r}, a negative number"
    return ""


def may_be_null(cfg: DictConfig, key: str) -> bool:
    """Return True where null stands for a part that is left out or a value that is not given."""
    if MAY_BE_NULL.fullmatch(key):
        return True
    rule = find_key_rule(list_key_rules(list(map(str, cfg))), key)
    hint = find_type(cfg, key)
    if rule is None and hint is None:
        return False
    return (rule is None or _keeps(rule[1], None)) and (hint is None or is_of_type(None, hint))


def _keeps(test: Callable[[Any], bool], value: Any) -> bool:
    try:
        return test(value)
    except TypeError:
        return False


def find_type(cfg: DictConfig, key: str) -> Any:
    """Return the annotation of the argument that a key is, None if it is none or has no annotation."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent, throw_on_resolution_failure=False) if parent else None
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    return read_types(str(target)).get(name) if target else None


@cache
def read_types(path: str) -> Mapping[str, Any]:
    """Return the annotations of the arguments of a class or function, by name."""
    target = import_target("_target_", path)
    while not inspect.isfunction(target):
        if not inspect.isclass(target):
            return {}
        target = target.__init__
    return {name: hint for name, hint in get_type_hints(target).items() if name != "return"}


def is_of_type(value: Any, hint: Any) -> bool:
    """Return False for a plain value of another type; where objects belong stands a dict that describes one."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in (Any, object) or isinstance(hint, TypeVar):
        return True
    if origin in (Union, types.UnionType):
        return any(is_of_type(value, member) for member in arguments)
    if origin is Literal:
        return value in arguments
    if hint in (None, type(None)):
        return value is None
    if hint in (bool, int, str):
        return type(value) is hint
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    if origin in (list, tuple, Sequence) or hint in (list, tuple):
        return isinstance(value, ListConfig) and all(is_of_type(item, a) for item in value for a in arguments[:1])
    return isinstance(value, DictConfig) or (inspect.isclass(hint) and hint.__name__ == "Path" and type(value) is str)


def is_like(before: Any, after: Any) -> bool:
    """Return True for a value of the same kind: numbers are finite, integers stay integers."""
    if isinstance(before, bool) or isinstance(after, bool):
        return isinstance(after, bool) and isinstance(before, bool)
    if isinstance(before, int | float):
        kinds = int if isinstance(before, int) else (int, float)
        return isinstance(after, kinds) and math.isfinite(after)
    return all(check(after) == check(before) for check in (OmegaConf.is_dict, OmegaConf.is_list))
