"""Whatever a key is set to, a command ends well or in one line: no traceback, no hang, no nonsense taken for a value.

`make fuzz` tries 3,000 values; GANTRY_FUZZ=N tries so many.
"""

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from compose_config import list_choices
from config_fuzz import choose_override, find_one_line, is_like, override_config
from file_fuzz import count_cases
from gantry.commands.train import train
from gantry.config import resolvers
from gantry.config.compose import compose, finalize_config
from gantry.errors import user_errors

NUMBER = count_cases()
TRAINED = 20  # of so many configurations that are accepted one is trained

SMALL = ["data=digits", "turns=2", "logger=csv", "data.batch_size=8", "data.limit=64", "metrics.num_samples=16"]
SMALL += ["metrics.report.num_samples=64", "paths.cache=cache"]
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
    *([f"experiment={name}", *SMALL[1:]] for name in list_choices("experiment")),
]


@pytest.fixture(scope="module")
def starts() -> list[DictConfig]:
    resolvers.register_resolvers()
    return [compose("train", overrides) for overrides in STARTS]


def finalize(start: DictConfig, override: str, folder: Path) -> DictConfig:
    """Return the validated configuration with one more override, of a run in a folder."""
    with user_errors():
        cfg = override_config(start, override)
        with open_dict(cfg):
            cfg.run.dir, cfg.run.overrides = str(folder), []
        return finalize_config(cfg)


def find_nonsense(start: DictConfig, override: str, cfg: DictConfig) -> str:
    """Return what is wrong with a value that was accepted: it is of another type than the one in configs/."""
    key = override.partition("=")[0]
    before, after = OmegaConf.select(start, key), OmegaConf.select(cfg, key)
    return "" if is_like(before, after) else f"accepted instead of {before!r}"


def try_override(start: DictConfig, number: int, folder: Path, trains: bool) -> str:
    """Return how a configuration fails that a user might type, "" if it is trained or refused in one line."""
    override = choose_override(start, number)
    accepted: list[DictConfig] = []

    def run() -> Any:
        accepted.append(finalize(start, override, folder / str(number)))
        return train(accepted[0]) if trains else None

    try:
        find_one_line(run)
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        return f"{number}: {override}: {type(error).__name__}: {error} ({Path(at.filename).name}:{at.lineno})"
    nonsense = find_nonsense(start, override, accepted[0]) if accepted else ""
    return f"{number}: {override}: {nonsense}" if nonsense else ""


@pytest.fixture
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("_quiet")
def test_each_value_of_each_key_is_taken_or_refused_in_one_line(starts: list[DictConfig], tmp_path: Path) -> None:
    failures = [try_override(starts[i % len(starts)], i, tmp_path, trains=False) for i in range(NUMBER)]
    assert list(filter(None, failures)) == []


@pytest.mark.usefixtures("_quiet")
def test_what_is_taken_trains_or_is_refused_in_one_line(starts: list[DictConfig], tmp_path: Path) -> None:
    failures = [try_override(starts[i % 4], 10**6 + i, tmp_path, trains=True) for i in range(max(8, NUMBER // TRAINED))]
    assert list(filter(None, failures)) == []
