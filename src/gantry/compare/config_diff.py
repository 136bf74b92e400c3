"""What differs between the configurations of runs, in as few columns as say it."""

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.compare.run_record import RunRecord

NON_SETTING_GROUPS = {
    "run",
    "resume",
    "task",
    "seed",
    "tags",
    "callbacks",
    "logger",
    "launcher",
    "hydra",
    "debug",
}
MISSING_VALUE = "-"
ValueTable = dict[str, list[Any]]  # key -> its value in each run


def split_settings(runs: Sequence[RunRecord]) -> tuple[ValueTable, ValueTable]:
    """(columns, what follows): keys that differ between the runs, told or needed to tell the runs apart, and the rest.

    Two runs that agree in the columns agree in everything but the seed. Choices come first (`model`), then keys that
    somebody set on the command line; others join them only where these do not determine their values.
    """
    keys = find_differing_keys([select_settings(run) for run in runs])
    chosen = find_differing_keys([{k: v for k, v in run.choices.items() if is_setting(k)} for run in runs])
    told = [word.partition("=")[0].lstrip("+~") for run in runs for word in run.overrides]
    said = {key: keys[key] for key in sorted(keys) if key in told or is_set_by_shorthand(key, told)}
    chosen = {key: chosen[key] for key in sorted(chosen, key=[*told, *chosen].index)}
    columns, follows = chosen | said, ValueTable()
    for key in sorted(keys.keys() - columns.keys(), key=key_sort_order):
        (follows if is_determined(keys[key], columns) else columns)[key] = keys[key]
    return columns, follows


def select_settings(run: RunRecord) -> dict[str, Any]:
    """The configuration of a run without the paths of its own folder."""
    here = run.config.get("run.dir")
    return {k: v for k, v in run.config.items() if is_setting(k) and not (here and str(v).startswith(str(here)))}


def is_setting(key: str) -> bool:
    """Whether a key belongs to the experiment, and not to where and how it ran."""
    return key.split(".")[0].split("/")[0] not in NON_SETTING_GROUPS


def is_set_by_shorthand(key: str, told: Sequence[str]) -> bool:
    """Whether a shorthand set the key: `loss.d_terms.gp=5` sets its weight."""
    return key.endswith(".weight") and key.removesuffix(".weight") in told


def find_differing_keys(configs: Sequence[Mapping[str, Any]]) -> ValueTable:
    """The keys that have not the same value in all configurations."""
    keys = dict.fromkeys(key for config in configs for key in config)
    table = {key: [config.get(key, MISSING_VALUE) for config in configs] for key in keys}
    return {key: values for key, values in table.items() if len(set(map(format_cell, values))) > 1}


def is_determined(values: Sequence[Any], columns: ValueTable) -> bool:
    """Whether runs that agree in all columns agree in these values, too."""
    groups: dict[tuple[str, ...], set[str]] = {}
    for i, value in enumerate(values):
        groups.setdefault(tuple(format_cell(column[i]) for column in columns.values()), set()).add(format_cell(value))
    return all(len(group) == 1 for group in groups.values())


def key_sort_order(key: str) -> tuple[bool, int, str]:
    """An order in which a key that a person would name comes early."""
    return "_target_" in key, key.count("."), key


def format_cell(value: Any) -> str:
    """A value as a cell shows it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_cell, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
