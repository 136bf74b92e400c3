"""All that can be known to be wrong before torch is imported ends here, in one line.

A key is checked in this order; the first rule that it breaks is the one that the user reads:

1. Choices are names (`gantry.config.choices`). Hydra composes: choices and keys exist (`gantry.config.compose` expands
   the shorthand of terms and scores).
2. `turns`, `seed`, `task`, `recipe.lr` and `paths`, from which other values are computed, keep their rules.
3. Where a part belongs there is one: a dict with `_target_` (`PART_KEYS` and its neighbours in
   `gantry.config.key_rules`).
4. For each node with `_target_`, from the top: Hydra's keys (`_args_` ...), then names and kinds of its arguments, as
   the signature of the target has them, whoever wrote it (`gantry.config.kinds`).
5. The rule of its full key (`gantry.config.key_rules`), but in a part that is not Gantry's, which has its signature
   alone. Numbers are finite.
6. Rules across keys (`CONFIG_CHECKS` in `gantry.config.checks`).

Once torch is there the constructors of parts check their arguments (`gantry.config.instantiate`), and functions named
`check_*` what depends on the data and the hardware.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from gantry.config.checks import CONFIG_CHECKS, check_reference
from gantry.config.key_rules import (
    NODE_KEYS,
    PART_KEYS,
    PARTS_BY_NAME,
    PROGRAM_ARGUMENTS,
    find_key_rule,
    list_key_rules,
)
from gantry.config.kinds import find_argument_rule, find_entry_argument, find_partial_rule
from gantry.config.links import name_source
from gantry.config.rules import (
    DICT_RULE,
    INSTANTIATION_RULES,
    NUMBER_RULES,
    OUR_PACKAGES,
    PART_RULE,
    Rule,
    format_value,
    is_argument,
)
from gantry.config.signatures import Argument, Arguments, find_definition, find_source, read_arguments
from gantry.errors import unknown_key_message


def validate(cfg: DictConfig) -> None:
    """Raise ValueError `<key> must be <rule>, got <value>` for the first mistake."""
    rules = list_key_rules(list(map(str, cfg)))
    for key in ("turns", "seed", "task", "recipe.lr"):
        if key in rules and (key in cfg or isinstance(cfg.get(key.partition(".")[0]), DictConfig)):
            check_rule(cfg, key, OmegaConf.select(cfg, key), rules[key])
    if "paths" in cfg:
        check_rule(cfg, "paths", cfg.paths, DICT_RULE)
    if "turns" in cfg:  # a command that trains
        check_parts(cfg)
    for key, node in iterate_target_nodes(cfg):
        if not (is_evaluation(cfg) and key.partition(".")[0] == "metrics"):  # completed later, see `validate_metrics`
            check_target_arguments(cfg, key, node)
    check_key_rules(cfg, rules)
    for check in CONFIG_CHECKS:
        check(cfg)
    check_reference("metrics.reference", OmegaConf.select(cfg, "metrics.reference"))


def is_evaluation(cfg: DictConfig) -> bool:
    """Return True for a configuration of evaluate.py, whose metrics are completed by those of a run."""
    return "scores" in cfg and "turns" not in cfg


def check_parts(cfg: DictConfig) -> None:
    """Raise ValueError for a plain value where a part, or a dict of parts, must be configured."""
    for key in NODE_KEYS:
        check_rule(cfg, key, OmegaConf.select(cfg, key), DICT_RULE)
    for key in PART_KEYS:
        part = OmegaConf.select(cfg, key)
        check_rule(cfg, key, part, PART_RULE)
        check_partial(cfg, key, part, None if key == "augment" else False)
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
    """Raise ValueError unless the keys of a node are arguments of its target, of their kinds."""
    for name, rule in INSTANTIATION_RULES.items():
        if name in node:
            check_rule(cfg, f"{key}.{name}", node[name], rule)
    check_target_name(f"{key}._target_", node["_target_"])
    known = read_arguments(node["_target_"])
    if known is None:
        return
    for i, (value, argument) in enumerate(zip(node.get("_args_", ()), known.values())):
        check_argument(cfg, f"{key}._args_[{i}]", value, argument)
    for name in filter(lambda name: is_argument(join_key(key, name)), node):
        if name not in known:
            raise ValueError(unknown_key_message(join_key(key, name), known))
        if not OmegaConf.is_missing(node, name):
            check_argument(cfg, join_key(key, name), node[name], known[str(name)])
    if not node.get("_partial_"):
        check_required_arguments(key, node, known)


def check_target_name(key: str, target: str) -> None:
    """Raise ValueError for a module in place of a class, and for a name that Gantry does not have."""
    module, _, name = target.rpartition(".")
    if find_source(target) is not None:
        raise ValueError(f"{key} must be a class or a function, got {target}, a module")
    if target.startswith("gantry.") and find_source(module) is not None and find_definition(target) is None:
        raise ValueError(f"{key} must be a class or a function of {module}, got {name}")


def check_required_arguments(key: str, node: DictConfig, known: Arguments) -> None:
    """Raise ValueError for an argument without a value."""
    given = {*list(known)[: len(node.get("_args_", ()))], *PROGRAM_ARGUMENTS.get(key, ())}
    given |= {str(name) for name in node if not OmegaConf.is_missing(node, name)}
    left = [name for name, argument in known.items() if name not in given and (argument.is_required or name in node)]
    if left and "_partial_" in node:
        raise ValueError(f"{key}._partial_ must be true: {', '.join(left)} of {node['_target_']} come later, got false")
    if left:
        raise ValueError(f"{join_key(key, left[0])} must be given, got nothing")


def check_argument(cfg: DictConfig, key: str, value: Any, argument: Argument) -> None:
    """Raise ValueError unless a value is of the kind that the annotation of an argument asks for."""
    rule = find_argument_rule(argument)
    if rule is not None:
        check_rule(cfg, key, value, rule)
    check_partial(cfg, key, value, find_partial_rule(argument))
    entry = find_entry_argument(argument)
    if entry is not None and isinstance(value, DictConfig):
        for name in value:
            if not OmegaConf.is_missing(value, name):
                check_argument(cfg, join_key(key, name), value[name], entry)


def check_partial(cfg: DictConfig, key: str, part: Any, is_partial: bool | None) -> None:
    """Raise ValueError for an object where a function that makes it is needed, or the other way round."""
    if is_partial is not None and isinstance(part, DictConfig) and part.get("_partial_", False) is (not is_partial):
        rule = "true: it is called later" if is_partial else "false: it is no function"
        source, link = name_source(cfg, key)
        raise ValueError(f"{source}._partial_ must be {rule}, got {format_value(not is_partial)}{link}")


def check_key_rules(node: DictConfig, rules: Mapping[str, Rule], key: str = "", root: DictConfig | None = None) -> None:
    """Raise ValueError unless every value keeps the rule of its full key, if it has one, and numbers are finite."""
    root = node if root is None else root
    if has_user_target(node):
        return
    for name in node:
        path = join_key(key, name)
        if OmegaConf.is_missing(node, name):
            raise ValueError(f"{path} must be given, got nothing")
        value = node[name]  # once: an interpolation is resolved at each access, which takes time
        rule = find_key_rule(rules, path)
        if rule is not None:
            check_rule(root, path, value, rule)
        if not isinstance(value, DictConfig):
            check_numbers(root, path, value)
        elif not OmegaConf.is_interpolation(node, str(name)):
            check_key_rules(value, rules, path, root)


def check_numbers(cfg: DictConfig, key: str, value: Any) -> None:
    """Raise ValueError for a number that is not finite, or that 64 bits do not hold."""
    for item in value if isinstance(value, ListConfig) else [value]:
        if type(item) in NUMBER_RULES:
            check_rule(cfg, key, item, NUMBER_RULES[type(item)])


def check_rule(cfg: DictConfig, key: str, value: Any, rule: Rule) -> None:
    """Raise ValueError, naming the key that the user would change, unless the value keeps the rule."""
    text, is_allowed = rule
    plain = to_plain(value)
    try:
        good = is_allowed(plain)
    except TypeError:
        good = False
    if not good:
        source, link = (key, "") if isinstance(value, DictConfig) else name_source(cfg, key)
        raise ValueError(f"{source} must be {text}, got {format_value(plain)}{link}")


def to_plain(value: Any) -> Any:
    """Return lists as lists of plain values, and dicts with their values as they are."""
    if isinstance(value, DictConfig):
        return {name: None if OmegaConf.is_missing(value, name) else value._get_node(name) for name in value}
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, ListConfig) else value


def validate_metrics(cfg: DictConfig) -> None:
    """Raise ValueError for the first mistake below `metrics`, which evaluate.py completes after all else."""
    for name, value in cfg.metrics.scores.items():
        check_rule(cfg, f"metrics.scores.{name}", value, PARTS_BY_NAME["metrics.scores"])
    for key, node in iterate_target_nodes(cfg.metrics, "metrics"):
        check_target_arguments(cfg, key, node)
    check_key_rules(cfg.metrics, list_key_rules(list(map(str, cfg))), "metrics", cfg)
