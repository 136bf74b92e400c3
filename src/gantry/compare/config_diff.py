"""Find what differs between the configurations of runs, in as few columns as tell the runs apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.compare.run_record import RunRecord

NON_SETTING_GROUPS = {  # where and how a run was made; an experiment or a search is known by the keys that it sets
    "run",
    "resume",
    "task",
    "seed",
    "tags",
    "trust",
    "show",
    "paths",
    "local",
    "callbacks",
    "logger",
    "trainer",
    "hardware",
    "launcher",
    "experiment",
    "hparams_search",
    "hydra",
    "debug",
}
ARITHMETIC_KEYS = {"trainer.precision"}  # settings although their group is none: numbers depend on them
MAIN_GROUPS = ("model", "loss", "recipe", "optim", "data", "augment", "ema", "turns")  # the first ones matter most
MISSING_VALUE = "-"
ValueTable = dict[str, list[Any]]  # key -> its value in each run


def split_settings(runs: Sequence[RunRecord]) -> tuple[ValueTable, ValueTable]:
    """Return (columns, dependent columns) of the keys that differ between runs.

    Two runs that agree in the columns agree in everything but the seed. The columns are the config groups that differ
    (`model`), keys that were set on the command line, and other keys only if these do not determine their values. The
    most important come first.
    """
    differing = find_differing_keys([select_settings(run) for run in runs])
    choices = find_differing_keys([{k: v for k, v in run.choices.items() if is_setting(k)} for run in runs])
    overridden = [item.partition("=")[0].lstrip("+~") for run in runs for item in run.overrides]
    columns: ValueTable = {key: choices[key] for key in sorted(choices, key=[*overridden, *choices].index)}
    columns |= {key: differing[key] for key in sorted(differing) if is_overridden(key, overridden)}
    dependent = ValueTable()
    for key in sorted(differing.keys() - columns.keys(), key=key_sort_order):
        (dependent if is_determined(differing[key], columns) else columns)[key] = differing[key]
    return {key: columns[key] for key in sorted(columns, key=importance_order)}, dependent


def importance_order(key: str) -> tuple[bool, bool, int]:
    """Return a sort order: config groups (model, loss, ...), then their keys, then keys that hardly matter."""
    group = get_top_group(key)
    return (False, key != group, MAIN_GROUPS.index(group)) if group in MAIN_GROUPS else (True, key != group, 0)


def is_main_setting(key: str) -> bool:
    """Return True if a key belongs to model, loss, optimiser, data and the like."""
    return get_top_group(key) in MAIN_GROUPS


def select_settings(run: RunRecord) -> dict[str, Any]:
    """Return the settings of a run, without paths in its own folder."""
    folder = run.config.get("run.dir")
    return {k: v for k, v in run.config.items() if is_setting(k) and not (folder and str(v).startswith(str(folder)))}


def is_setting(key: str) -> bool:
    """Return True if a key belongs to the experiment, and not to where or how it ran."""
    return key in ARITHMETIC_KEYS or get_top_group(key) not in NON_SETTING_GROUPS


def get_top_group(key: str) -> str:
    """Return the first part of a key or of a config group: `hparams_search` of `hparams_search/pruner`."""
    return key.partition(".")[0].partition("/")[0].partition("@")[0]


def is_overridden(key: str, overridden: Sequence[str]) -> bool:
    """Return True if the command line set the key, directly or by shorthand: `loss.d_terms.gp=5` sets its weight."""
    return key in overridden or (key.endswith(".weight") and key.removesuffix(".weight") in overridden)


def find_differing_keys(configs: Sequence[Mapping[str, Any]]) -> ValueTable:
    """Return the keys that do not have the same value in all configurations."""
    keys = dict.fromkeys(key for config in configs for key in config)
    table = {key: [config.get(key, MISSING_VALUE) for config in configs] for key in keys}
    return {key: values for key, values in table.items() if len(set(map(format_cell, values))) > 1}


def is_determined(values: Sequence[Any], columns: ValueTable) -> bool:
    """Return True if runs that agree in all columns also agree in these values."""
    groups: dict[tuple[str, ...], set[str]] = {}
    for i, value in enumerate(values):
        groups.setdefault(tuple(format_cell(column[i]) for column in columns.values()), set()).add(format_cell(value))
    return all(len(group) == 1 for group in groups.values())


def key_sort_order(key: str) -> tuple[bool, int, str]:
    """Return a sort order that puts short keys first and classes last."""
    return "_target_" in key, key.count("."), key


def format_cell(value: Any) -> str:
    """Return a value as the text of a table cell."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_cell, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
