"""Links of a configuration, `${another.key}`: the key that a value comes from, and the link that leads nowhere."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gantry.config.rules import format_value
from gantry.errors import UserError

RESOLVER_ERROR = re.compile(r"^\w+ raised while resolving interpolation: ")
MISSING_KEY = re.compile(r"Interpolation key '(.+)' not found")
MISSING = "???"
LINK = re.compile(r"\$\{(\w[\w.]*)\}")


def find_source_key(cfg: DictConfig, key: str) -> str:
    """Return the key that a value comes from: follow `${another.key}`."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    plain: Any = OmegaConf.to_container(node, resolve=False) if isinstance(node, DictConfig) else {}
    raw = plain.get(name)
    link = LINK.fullmatch(raw) if isinstance(raw, str) else None
    return find_source_key(cfg, link.group(1)) if link else key


def name_source(cfg: DictConfig, key: str) -> tuple[str, str]:
    """Return the key that a value comes from, and the end of a line that says which key refers to it, "" for itself."""
    source = find_source_key(cfg, key)
    return source, "" if source == key else f" ({key} refers to it)"


@contextmanager
def name_broken_links(cfg: DictConfig) -> Iterator[None]:
    """Raise UserError, naming the key, for an error in the block that comes from a value that cannot be resolved."""
    try:
        yield
    except OmegaConfBaseException as error:
        line = find_broken_link(cfg)
        if line is None:
            raise
        raise UserError(line) from error


def find_broken_link(cfg: DictConfig) -> str | None:
    """Return the line for a value that cannot be resolved, of several one that the others lead to; None for none."""
    broken = {key: (raw, reason) for key, raw in iterate_links(cfg) if (reason := find_reason(cfg, key))}
    ends = [key for key, (raw, _) in broken.items() if not any(name in raw for name in broken if name != key)]
    for key in (*ends, *broken):
        return format_broken_link(key, *broken[key])
    return None


def format_broken_link(key: str, raw: str, reason: str) -> str:
    """Return the line for a value that cannot be resolved; a resolver's own line, `trainer must be ...`, is kept."""
    if raw == MISSING:
        return f"{key} must be given, got nothing"
    if missing := MISSING_KEY.match(reason):
        return f"{missing.group(1)} must be given, since {key} refers to it, got nothing"
    return (
        reason
        if " must be " in reason
        else f"{key} must be a value or a link to one, got {format_value(raw)}: {reason}"
    )


def iterate_links(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, text) of all values that refer to others or are missing; keys of lists are `key[0]`."""
    raw = node._value() if isinstance(node, Node) else node
    if isinstance(raw, str) and ("${" in raw or raw == MISSING):  # whether it can be read or not
        yield key, raw
    elif isinstance(raw, dict):
        for name in raw:
            yield from iterate_links(raw[name], f"{key}.{name}".lstrip("."))
    elif isinstance(raw, list):
        for i, item in enumerate(raw):
            yield from iterate_links(item, f"{key}[{i}]")


def find_reason(cfg: DictConfig, key: str) -> str:
    """Return why the value of a key cannot be resolved, "" if it can."""
    try:
        OmegaConf.select(cfg, key, throw_on_missing=True)
    except (OmegaConfBaseException, RecursionError) as error:
        reason = RESOLVER_ERROR.sub("", str(error).partition("\n")[0])
        return "it refers to itself" if "recursi" in reason.lower() else reason
    return ""
