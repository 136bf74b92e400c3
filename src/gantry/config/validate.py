"""Everything about a configuration that can be known wrong before torch is imported: it dies here, in one line."""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from gantry.config.checks import CONFIG_CHECKS, check_reference
from gantry.config.rules import KEY_RULES, Rule, is_argument, rule_from_annotation
from gantry.config.signatures import read_arguments
from gantry.errors import unknown_key_message


def validate(cfg: DictConfig) -> None:
    """Raise ValueError `<key> must be <rule>, got <value>` for the first mistake found."""
    for key in ("turns", "seed", "recipe.lr"):  # others are computed from these
        check_rule(cfg, key, OmegaConf.select(cfg, key, default=1), KEY_RULES[key.rpartition(".")[2]])
    for key, node in iterate_target_nodes(cfg):
        check_target_arguments(cfg, key, node)
    for key, name, value in iterate_leaves(cfg):
        if name in KEY_RULES and value is not None:
            check_rule(cfg, key, value, KEY_RULES[name])
    for check in CONFIG_CHECKS:
        check(cfg)
    check_reference("metrics.reference", OmegaConf.select(cfg, "metrics.reference"))


def iterate_target_nodes(node: Any, key: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every dict in the configuration that describes an object, with its key."""
    if isinstance(node, DictConfig):
        if node._is_none() or node._is_missing():
            return
        if "_target_" in node:
            yield key, node
        for name in node:
            if not OmegaConf.is_missing(node, name):
                yield from iterate_target_nodes(node[name], join_key(key, name))


def join_key(key: str, name: Any) -> str:
    """The key of `name` in the node `key`."""
    return f"{key}.{name}".lstrip(".")


def iterate_leaves(node: DictConfig, key: str = "") -> Iterator[tuple[str, str, Any]]:
    """(key, last name, value) of everything that is not a dict."""
    for name in node:
        path = join_key(key, name)
        if OmegaConf.is_missing(node, name):
            continue
        value = node[name]
        if isinstance(value, DictConfig):
            yield from iterate_leaves(value, path)
        else:
            yield path, str(name), value


def check_target_arguments(cfg: DictConfig, key: str, node: DictConfig) -> None:
    """The keys of a node are arguments of its target, of their types."""
    known = read_arguments(str(node["_target_"]))
    if known is None:
        return
    for name in node:
        if not is_argument(join_key(key, name)):
            continue
        if name not in known:
            raise ValueError(unknown_key_message(join_key(key, name), known))
        if OmegaConf.is_missing(node, name):
            raise ValueError(f"{join_key(key, name)} must be given, got nothing")
        wanted = rule_from_annotation(known[str(name)])
        if wanted is not None:
            check_rule(cfg, join_key(key, name), node[name], wanted)


def check_rule(cfg: DictConfig, key: str, value: Any, rule: Rule) -> None:
    """Raise, naming the key that the user would change, unless the value keeps the rule."""
    wanted, kept = rule
    plain = OmegaConf.to_container(value) if isinstance(value, ListConfig | DictConfig) else value
    try:
        good = kept(plain)
    except TypeError:
        good = False
    if not good:
        raise ValueError(f"{find_source_key(cfg, key)} must be {wanted}, got {plain}")


def find_source_key(cfg: DictConfig, key: str) -> str:
    """The key that a value comes from: follows `${another.key}`."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    plain: Any = OmegaConf.to_container(node, resolve=False) if isinstance(node, DictConfig) else {}
    raw = plain.get(name)
    link = re.fullmatch(r"\$\{([\w.]+)\}", raw) if isinstance(raw, str) else None
    return find_source_key(cfg, link.group(1)) if link else key
