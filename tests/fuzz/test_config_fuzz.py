"""Whatever a key is set to, a command ends well or in one line that names the key: no traceback, no hang, no nonsense
taken for a value.

`make fuzz` tries 3,000 values; GANTRY_FUZZ=N tries so many. `test_command_fuzz` has the other commands.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, open_dict

from compose_config import list_choices
from config_fuzz import HangError, Tally, choose_overrides, describe_error, find_one_line, list_keys, override_config
from config_oracle import find_fault, try_command
from file_fuzz import list_cases
from gantry.commands.train import build_gan, build_trainer, train
from gantry.config import resolvers
from gantry.config.compose import compose, finalize_config
from gantry.config.instantiate import build
from gantry.data.datamodule import DataModule
from gantry.errors import user_errors

TRAINED = 20  # of so many configurations one that is accepted is trained
TYPED = 10  # of so many configurations one is typed as a command

SMALL = ["data=digits", "turns=2", "logger=csv", "data.batch_size=8", "data.limit=64", "metrics.num_samples=16"]
SMALL += ["metrics.report.num_samples=64", "paths.cache=cache"]
LARGE_NETS = {  # whose nets are built narrow
    "stylegan2": ["model.G.widths=[8,8,8,8]", "model.G.w_dim=8", "model.D.group=8"],
    "r3gan": ["model.G.widths=[16,16,16,16]", "model.G.blocks=[1,1,1,1]"],
}


def list_small_nets(experiment: str) -> list[str]:
    """Return the overrides that make the nets of an experiment small and fit for batches of 8."""
    return next((overrides for name, overrides in LARGE_NETS.items() if name in experiment), [])


NARROW = ["model.G.width=4", "model.D.width=4"]
LINEAR = ["optim.schedule._target_=gantry.schedules.linear", "+optim.schedule.end=0.1"]
STARTS = [
    [*SMALL, *NARROW],
    [*SMALL, "model=mlp", "loss=wgan_gp", "model.G.hidden=[8]", "model.D.hidden=[8]"],
    [
        *SMALL,
        *NARROW,
        "model=resnet",
        "loss=r3",
        "optim=rmsprop",
        "augment=diffaugment",
        "+metrics.scores.manifold=true",
    ],
    [*SMALL, *NARROW, "loss=dragan", "+metrics.scores.kid={subsets:2,subset_size:8}", *LINEAR],
    *([f"experiment={name}", *SMALL[1:], *list_small_nets(name)] for name in list_choices("experiment")),
]
PLAIN = [
    "data=digits",
    "turns=2",
    "logger=csv",
    "data.batch_size=8",
    "data.limit=64",
    "metrics=none",
    "callbacks=[]",
    *NARROW,
]
PLACES = ("run", "paths", "resume", "task", "show", "tags", "trust")  # read before Hydra composes, or by it


@pytest.fixture(scope="module")
def starts() -> list[DictConfig]:
    resolvers.register_resolvers()
    return [compose("train", overrides) for overrides in STARTS]


def list_experiment_keys(start: DictConfig) -> list[str]:
    return [key for key in list_keys(start) if key.partition(".")[0] not in ("hydra", *PLACES)]


def finalize(start: DictConfig, overrides: list[str], folder: Path) -> DictConfig:
    """Return the validated configuration with more overrides, of a run in a folder."""
    with user_errors():
        cfg = override_config(start, overrides)
        with open_dict(cfg):
            cfg.run.dir, cfg.run.overrides = str(folder), []
        return finalize_config(cfg)


def build_parts(cfg: DictConfig) -> None:
    """Build all that a run needs but its data set."""
    gan = build_gan(cfg)
    build(cfg.data, DataModule, batches_per_turn=gan.loss.batches_per_turn, seed=cfg.seed)
    build_trainer(cfg)


def try_overrides(
    start: DictConfig, overrides: list[str], folder: Path, use: Callable[[DictConfig], Any]
) -> tuple[str, str]:
    """Return the refusal of a configuration that a user might type, and how it fails, "" for neither."""
    accepted: list[DictConfig] = []

    def run() -> None:
        accepted.append(finalize(start, overrides, folder))
        use(accepted[0])

    try:
        line = find_one_line(run)
    except (Exception, HangError) as error:
        return "", describe_error(error)
    return line, find_fault(start, overrides, line, accepted[0] if accepted else None)


def is_accepted(start: DictConfig, overrides: list[str], folder: Path) -> bool:
    try:
        return finalize(start, overrides, folder) is not None
    except ValueError:
        return False


def choose_accepted(start: DictConfig, number: int, folder: Path) -> list[str]:
    """Return the first overrides from a number on that are accepted."""
    keys, candidates = list_experiment_keys(start), (10**6 + 100 * number + i for i in range(100))
    choices = (choose_overrides(keys, candidate) for candidate in candidates)
    return next(overrides for overrides in choices if is_accepted(start, overrides, folder))


@pytest.mark.usefixtures("_quiet")
def test_each_value_of_each_key_is_taken_or_refused_in_one_line(starts: list[DictConfig], tmp_path: Path) -> None:
    tally = Tally()
    for i in list_cases():
        start = starts[i % len(starts)]
        overrides = choose_overrides(list_experiment_keys(start), i)
        tally.add((i, overrides), *try_overrides(start, overrides, tmp_path / str(i), build_parts))
    tally.check()


@pytest.mark.usefixtures("_quiet")
def test_what_is_taken_trains_or_is_refused_in_one_line(starts: list[DictConfig], tmp_path: Path) -> None:
    tally = Tally()
    for i in list_cases(TRAINED):
        start, folder = starts[i % 4], tmp_path / str(i)
        overrides = choose_accepted(start, i, folder)
        tally.add((i, overrides), *try_overrides(start, overrides, folder, train))
    tally.check()


@pytest.mark.usefixtures("_quiet")
def test_names_and_folders_of_a_run_are_taken_or_refused_in_one_line(
    starts: list[DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [key for key in list_keys(starts[0]) if key.partition(".")[0] in PLACES]
    tally = Tally()
    for i in list_cases(TYPED):
        folder = tmp_path / str(i) / "here"
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder)
        overrides = choose_overrides(keys, i, more=("no/such", "~/there", ".", "/", "first", "[first,second]"))
        tally.add((i, overrides), *try_command("train", train, starts[0], PLAIN, overrides))
    tally.check()
