"""All that can be known to be wrong before torch is imported ends here, in one line.

A key is checked in this order; the first rule that it breaks is the one that the user reads:

1. Hydra composes: choices and keys exist (`gantry.config.compose` expands the shorthand of terms and scores).
2. `turns`, `seed` and `recipe.lr`, from which other values are computed, keep their rules.
3. Where a part belongs there is one: a dict with `_target_` (`PART_KEYS` and its neighbours in `gantry.config.rules`).
4. For each node with `_target_`, from the top: Hydra's keys (`_args_` ...), then names and types of its arguments, as
   the signature of the target has them, whoever wrote it.
5. The rule of its full key (`KEY_RULES`), but in a part that is not Gantry's, which has its signature alone.
6. Rules across keys (`CONFIG_CHECKS` in `gantry.config.checks`).

Once torch is there the constructors of parts check their arguments (`gantry.config.instantiate`), and functions named
`check_*` what depends on the data and the hardware.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from gantry.config.checks import CONFIG_CHECKS, check_reference
from gantry.config.rules import (
    DICT_RULE,
    INSTANTIATION_RULES,
    KEY_RULES,
    OPTIONAL_PART_KEYS,
    OUR_PACKAGES,
    PART_KEYS,
    PART_RULE,
    PARTS_BY_NAME,
    Rule,
    find_key_rule,
    format_value,
    is_argument,
    or_null,
)
from gantry.config.signatures import read_arguments, rule_from_annotation
from gantry.errors import unknown_key_message


def validate(cfg: DictConfig) -> None:
    """Raise ValueError `<key> must be <rule>, got <value>` for the first mistake."""
    for key in ("turns", "seed", "recipe.lr"):
        check_rule(cfg, key, OmegaConf.select(cfg, key, default=1), KEY_RULES[key])
    if "turns" in cfg:  # a command that trains
        check_parts(cfg)
    for key, node in iterate_target_nodes(cfg):
        check_target_arguments(cfg, key, node)
    check_key_rules(cfg)
    for check in CONFIG_CHECKS:
        check(cfg)
    check_reference("metrics.reference", OmegaConf.select(cfg, "metrics.reference"))


def check_parts(cfg: DictConfig) -> None:
    """Raise ValueError for a plain value where a part, or a dict of parts, must be configured."""
    for key in (*PART_KEYS, *OPTIONAL_PART_KEYS):
        if not has_user_target(OmegaConf.select(cfg, key.rpartition(".")[0] or key)):
            rule = or_null(PART_RULE) if key in OPTIONAL_PART_KEYS else PART_RULE
            check_rule(cfg, key, OmegaConf.select(cfg, key), rule)
    for key, entry_rule in PARTS_BY_NAME.items():
        if OmegaConf.select(cfg, key.rpartition(".")[0] or key) is None:
            continue
        parts = OmegaConf.select(cfg, key, default={})
        check_rule(cfg, key, parts, DICT_RULE)
        for name in parts:
            check_rule(cfg, f"{key}.{name}", parts[name], entry_rule)


def has_user_target(node: Any) -> bool:
    """Return True for a part from outside Gantry and the libraries that its configurations name."""
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    return target is not None and str(target).partition(".")[0] not in OUR_PACKAGES


def iterate_target_nodes(node: Any, key: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Yield each dict that describes an object, with its key."""
    if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing()):
        if OmegaConf.is_missing(node, "_target_"):
            raise ValueError(f"{key}._target_ must be given, got nothing")
        if "_target_" in node:
            yield key, node
        for name in node:
            if not (OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, str(name))):
                yield from iterate_target_nodes(node[name], join_key(key, name))  # a link is visited where it leads
    elif isinstance(node, ListConfig) and not (node._is_none() or node._is_missing()):
        for i, item in enumerate(node):
            yield from iterate_target_nodes(item, f"{key}[{i}]")


def join_key(key: str, name: Any) -> str:
    """Return the key of `name` in the node `key`."""
    return f"{key}.{name}".lstrip(".")


def check_target_arguments(cfg: DictConfig, key: str, node: DictConfig) -> None:
    """Raise ValueError unless the keys of a node are arguments of its target, of their types."""
    for name, rule in INSTANTIATION_RULES.items():
        if name in node:
            check_rule(cfg, f"{key}.{name}", node[name], rule)
    known = read_arguments(str(node["_target_"]))
    if known is None:
        return
    for i, (value, annotation) in enumerate(zip(node.get("_args_", ()), known.values())):
        check_type(cfg, f"{key}._args_[{i}]", value, annotation)
    for name in filter(lambda name: is_argument(join_key(key, name)), node):
        if name not in known:
            raise ValueError(unknown_key_message(join_key(key, name), known))
        if not OmegaConf.is_missing(node, name):
            check_type(cfg, join_key(key, name), node[name], known[str(name)])
        elif not node.get("_partial_"):
            raise ValueError(f"{join_key(key, name)} must be given, got nothing")


def check_type(cfg: DictConfig, key: str, value: Any, annotation: ast.expr | None) -> None:
    """Raise ValueError unless an argument is of the type that its annotation asks for."""
    rule = rule_from_annotation(annotation)
    if rule is not None:
        check_rule(cfg, key, value, rule)


def check_key_rules(node: DictConfig, key: str = "", root: DictConfig | None = None) -> None:
    """Raise ValueError unless every value keeps the rule of its full key, if it has one."""
    root = node if root is None else root
    by_signature_alone = has_user_target(node)
    for name in node:
        path = join_key(key, name)
        if OmegaConf.is_missing(node, name):
            continue
        rule = None if by_signature_alone else find_key_rule(path)
        if isinstance(node[name], DictConfig):
            check_key_rules(node[name], path, root)
        elif rule is not None:
            check_rule(root, path, node[name], rule)


def check_rule(cfg: DictConfig, key: str, value: Any, rule: Rule) -> None:
    """Raise ValueError, naming the key that the user would change, unless the value keeps the rule."""
    text, is_allowed = rule
    plain = OmegaConf.to_container(value) if isinstance(value, ListConfig | DictConfig) else value
    try:
        good = is_allowed(plain)
    except TypeError:
        good = False
    if not good:
        raise ValueError(f"{find_source_key(cfg, key)} must be {text}, got {format_value(plain)}")


def find_source_key(cfg: DictConfig, key: str) -> str:
    """Return the key that a value comes from: follow `${another.key}`."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    plain: Any = OmegaConf.to_container(node, resolve=False) if isinstance(node, DictConfig) else {}
    raw = plain.get(name)
    link = re.fullmatch(r"\$\{(\w[\w.]*)\}", raw) if isinstance(raw, str) else None
    return find_source_key(cfg, link.group(1)) if link else key
