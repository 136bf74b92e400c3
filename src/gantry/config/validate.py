"""Everything about a configuration that can be known wrong before torch is imported: it dies here, in one line."""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from gantry.config.checks import CHECKS, check_reference
from gantry.config.rules import RULES, Rule, is_argument, rule_of
from gantry.config.signatures import arguments
from gantry.errors import unknown_key


def validate(cfg: DictConfig) -> None:
    """Raise ValueError `<key> must be <rule>, got <value>` for the first mistake found."""
    for key in ("turns", "seed", "recipe.lr"):  # others are computed from these
        obey(cfg, key, OmegaConf.select(cfg, key, default=1), RULES[key.rpartition(".")[2]])
    for key, node in nodes_with_target(cfg):
        check_arguments(cfg, key, node)
    for key, name, value in leaves(cfg):
        if name in RULES and value is not None:
            obey(cfg, key, value, RULES[name])
    for check in CHECKS:
        check(cfg)
    check_reference("metrics.reference", OmegaConf.select(cfg, "metrics.reference"))


def nodes_with_target(node: Any, key: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every dict in the configuration that describes an object, with its key."""
    if isinstance(node, DictConfig):
        if node._is_none() or node._is_missing():
            return
        if "_target_" in node:
            yield key, node
        for name in node:
            if not OmegaConf.is_missing(node, name):
                yield from nodes_with_target(node[name], under(key, name))


def under(key: str, name: Any) -> str:
    """The key of `name` in the node `key`."""
    return f"{key}.{name}".lstrip(".")


def leaves(node: DictConfig, key: str = "") -> Iterator[tuple[str, str, Any]]:
    """(key, last name, value) of everything that is not a dict."""
    for name in node:
        path = under(key, name)
        if OmegaConf.is_missing(node, name):
            continue
        value = node[name]
        if isinstance(value, DictConfig):
            yield from leaves(value, path)
        else:
            yield path, str(name), value


def check_arguments(cfg: DictConfig, key: str, node: DictConfig) -> None:
    """The keys of a node are arguments of its target, of their types."""
    known = arguments(str(node["_target_"]))
    if known is None:
        return
    for name in node:
        if not is_argument(under(key, name)):
            continue
        if name not in known:
            raise ValueError(unknown_key(under(key, name), known))
        if OmegaConf.is_missing(node, name):
            raise ValueError(f"{under(key, name)} must be given, got nothing")
        wanted = rule_of(known[str(name)])
        if wanted is not None:
            obey(cfg, under(key, name), node[name], wanted)


def obey(cfg: DictConfig, key: str, value: Any, rule: Rule) -> None:
    """Raise, naming the key that the user would change, unless the value keeps the rule."""
    wanted, kept = rule
    plain = OmegaConf.to_container(value) if isinstance(value, ListConfig | DictConfig) else value
    try:
        good = kept(plain)
    except TypeError:
        good = False
    if not good:
        raise ValueError(f"{source_of(cfg, key)} must be {wanted}, got {plain}")


def source_of(cfg: DictConfig, key: str) -> str:
    """The key that a value comes from: follows `${another.key}`."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    plain: Any = OmegaConf.to_container(node, resolve=False) if isinstance(node, DictConfig) else {}
    raw = plain.get(name)
    link = re.fullmatch(r"\$\{([\w.]+)\}", raw) if isinstance(raw, str) else None
    return source_of(cfg, link.group(1)) if link else key
