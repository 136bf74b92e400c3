"""What differs between the configurations of runs, in as few columns as say it."""

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.compare.run_record import Run

APART = {"run", "resume", "task", "seed", "tags", "callbacks", "logger", "launcher", "hydra", "debug"}  # no settings,
APART |= {"protocol", "report"}  # nor what W&B is told beside them
NONE = "-"
Table = dict[str, list[Any]]  # key -> its value in each run


def settings(runs: Sequence[Run]) -> tuple[Table, Table]:
    """(columns, what follows): keys that differ between the runs, told or needed to tell the runs apart, and the rest.

    Two runs that agree in the columns agree in everything but the seed. Choices come first (`model`), then keys that
    somebody set on the command line; others join them only where these do not determine their values.
    """
    keys = differing([own_settings(run) for run in runs])
    chosen = differing([{k: v for k, v in run.choices.items() if is_setting(k)} for run in runs])
    told = [word.partition("=")[0].lstrip("+~") for run in runs for word in run.told]
    said = {key: keys[key] for key in sorted(keys) if key in told or told_by_callback(key, told)}
    chosen = {key: chosen[key] for key in sorted(chosen, key=[*told, *chosen].index)}
    columns, follows = chosen | said, Table()
    for key in sorted(keys.keys() - columns.keys(), key=plainest):
        (follows if determined(keys[key], columns) else columns)[key] = keys[key]
    return columns, follows


def own_settings(run: Run) -> dict[str, Any]:
    """The configuration of a run without the paths of its own folder."""
    here = run.config.get("run.dir")
    return {k: v for k, v in run.config.items() if is_setting(k) and not (here and str(v).startswith(str(here)))}


def is_setting(key: str) -> bool:
    """Whether a key belongs to the experiment, and not to where and how it ran."""
    return key.split(".")[0].split("/")[0] not in APART


def told_by_callback(key: str, told: Sequence[str]) -> bool:
    """Whether a shorthand set the key: `loss.d_terms.gp=5` sets its weight."""
    return key.endswith(".weight") and key.removesuffix(".weight") in told


def differing(configs: Sequence[Mapping[str, Any]]) -> Table:
    """The keys that have not the same value in all configurations."""
    keys = dict.fromkeys(key for config in configs for key in config)
    table = {key: [config.get(key, NONE) for config in configs] for key in keys}
    return {key: values for key, values in table.items() if len(set(map(written, values))) > 1}


def determined(values: Sequence[Any], columns: Table) -> bool:
    """Whether runs that agree in all columns agree in these values, too."""
    groups: dict[tuple[str, ...], set[str]] = {}
    for i, value in enumerate(values):
        groups.setdefault(tuple(written(column[i]) for column in columns.values()), set()).add(written(value))
    return all(len(group) == 1 for group in groups.values())


def plainest(key: str) -> tuple[bool, int, str]:
    """An order in which a key that a person would name comes early."""
    return "_target_" in key, key.count("."), key


def written(value: Any) -> str:
    """A value as a cell shows it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
