"""Read the YAML and the JSON of a run folder, which anybody may have written: plain values of bounded size and depth.

YAML has no tags but those of plain values, and its aliases are counted as often as they are used. A rule says what the
value at a key must be; `*` in a key stands for every name and every index.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gantry.config.rules import Rule
from gantry.errors import UserError, format_on_one_line

MAX_YAML_BYTES = 1 << 20
MAX_JSON_BYTES = 64 << 20
MAX_VALUES = 20_000  # of a YAML file, with its aliases expanded
MAX_DEPTH = 40
MAX_INTEGER = 2**63  # what numpy and pandas hold

PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")}


def is_integer(value: Any) -> bool:
    """Return True for an integer of at most 64 bits, which a truth value is not."""
    return type(value) is int and abs(value) < MAX_INTEGER


def is_number(value: Any) -> bool:
    """Return True for an integer or a float, but for NaN and infinity."""
    return is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def is_count(value: Any) -> bool:
    """Return True for an integer of at least 0."""
    return is_integer(value) and value >= 0


def is_text_list(value: Any) -> bool:
    """Return True for a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


MAPPING: Rule = ("a mapping", lambda value: isinstance(value, Mapping))
LIST: Rule = ("a list", lambda value: isinstance(value, list))
TEXT: Rule = ("a text", lambda value: isinstance(value, str))
TEXTS: Rule = ("a list of texts", is_text_list)
COUNT: Rule = ("an integer of at least 0", is_count)
NUMBER: Rule = ("a number", is_number)


def read_yaml(path: Path) -> Any:
    """Return the values of a YAML file. Raises UserError for a file that is not plain YAML of a moderate size."""
    try:
        return parse_yaml(_read_text(path, MAX_YAML_BYTES))
    except RecursionError:
        raise UserError(f"{path.name} must be YAML, got {path}, which is nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError, OSError) as error:
        raise UserError(f"{path.name} must be YAML, got {path}: {format_on_one_line(error, limit=300)}") from None


def parse_yaml(text: str) -> Any:
    """Return the values of a YAML document. Raises ValueError, YAMLError or RecursionError if they are not plain."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if (count := _count_values(node, {})) > MAX_VALUES:
            raise ValueError(f"it has {count:,} values, more than {MAX_VALUES:,}")
        values = loader.construct_document(node)
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]
    check_depth(values)
    return values


def read_json(path: Path) -> Any:
    """Return the values of a JSON file. Raises UserError for a file that is not JSON of a moderate size."""
    try:
        values = json.loads(_read_text(path, MAX_JSON_BYTES))
        check_depth(values)
    except RecursionError:
        raise UserError(f"{path.name} must be JSON, got {path}, which is nested too deeply") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path.name} must be JSON, got {path}: {format_on_one_line(error, limit=300)}") from None
    return values


def check_values(path: Path, values: Any, rules: Mapping[str, Rule]) -> None:
    """Raise UserError, naming the file and the key, for the first value that breaks a rule; missing keys are fine."""
    for pattern, (text, is_allowed) in rules.items():
        for key, value in _select_values(values, pattern.split(".") if pattern else []):
            if not is_allowed(value):
                rule = f"have {text} at {key.lstrip('.')}" if key else f"hold {text}"
                raise UserError(f"{path.name} must {rule}, got {format_on_one_line(value, limit=100)} in {path}")


def check_depth(values: Any) -> None:
    """Raise ValueError for values that are nested too deeply for those who read them."""
    level = [values]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _list_inner(value)]
    if level:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def iterate_texts(values: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, text) of every text in plain values, and of every name in them."""
    if isinstance(values, str):
        yield key, values
    elif isinstance(values, Mapping):
        for name, inner in values.items():
            yield from [(key, name)] if isinstance(name, str) else []
            yield from iterate_texts(inner, f"{key}.{name}".lstrip("."))
    elif isinstance(values, list):
        for index, inner in enumerate(values):
            yield from iterate_texts(inner, f"{key}.{index}")


def iterate_mappings(values: Any, key: str = "") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield (key, mapping) of every mapping in plain values."""
    if isinstance(values, Mapping):
        yield key, values
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for name, inner in pairs:
        yield from iterate_mappings(inner, f"{key}.{name}".lstrip("."))


def _read_text(path: Path, limit: int) -> str:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it has more than {limit:,} bytes")
    return data.decode("utf-8")


def _count_values(node: yaml.Node, counts: dict[yaml.Node, int | None]) -> int:
    """Return the number of values of a node with its aliases expanded; `counts` holds None for one that is begun."""
    if node.tag not in PLAIN_TAGS:
        raise ValueError(f"it has a value with the tag {node.tag.removeprefix('tag:yaml.org,2002:')}")
    if node in counts:
        if (known := counts[node]) is None:
            raise ValueError("it refers to itself")
        return known
    counts[node] = None
    count = 1 + sum(_count_values(inner, counts) for inner in _list_inner_nodes(node))
    counts[node] = count
    return count


def _list_inner_nodes(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _list_inner(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []


def _select_values(values: Any, names: Sequence[str], key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of the values at a pattern of names."""
    if not names:
        yield key, values
        return
    first, *rest = names
    pairs = enumerate(values) if isinstance(values, list) else values.items() if isinstance(values, Mapping) else ()
    for name, inner in pairs:
        if first in ("*", str(name)):
            yield from _select_values(inner, rest, f"{key}.{name}")
