"""Log scores and samples of a finished run to W&B, TensorBoard or MLflow, as runs of their own in its group."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gantry.config.compose import CONFIG_DIR
from gantry.config.resolvers import register_resolvers
from gantry.runs.folder import read_config
from gantry.runs.status import read_choices

LOGGER_CONFIGS = {
    path.stem: path for path in sorted((CONFIG_DIR / "logger").glob("*.yaml")) if path.stem not in ("csv", "none")
}


def check_logger_name(name: str | None) -> None:
    """Raise ValueError for a logger that does not exist."""
    if name is not None and name not in LOGGER_CONFIGS:
        raise ValueError(f"log_to must be null or one of {', '.join(LOGGER_CONFIGS)}, got {name}")


def log_scores(name: str, run: Path | None, folder: Path, record: Mapping[str, Any], turn: int, kimg: float) -> None:
    """Log the scores of the generator of a run at this turn, or of other images, with their protocol."""
    from gantry.loggers.dispatch import log_config, log_metrics  # imports Lightning, which takes seconds

    loggers, choices = build_result_loggers(name, run, folder, "evaluate")
    log_config(loggers, {"of": record["of"], "evaluation": {"protocol": record["protocol"]}}, choices)
    scores = {f"evaluation/{key}": value for key, value in record["scores"].items()}
    log_metrics(loggers, scores, turn, kimg)
    finish_loggers(loggers)


def log_samples(name: str, run: Path, out: Path, about: Mapping[str, Any], turn: int) -> None:
    """Log the picture at `out`, samples of a run that `about` describes."""
    import numpy as np
    from PIL import Image

    from gantry.loggers.dispatch import log_config, log_image

    loggers, choices = build_result_loggers(name, run, out.with_name(f"{out.stem}-{name}"), "sample")
    log_config(loggers, {"of": str(run), "sample": about}, choices)
    pixels = np.atleast_3d(np.asarray(Image.open(out)))
    log_image(loggers, "samples", pixels, turn)
    finish_loggers(loggers)


def build_result_loggers(name: str, run: Path | None, folder: Path, task: str) -> tuple[list[Any], dict[str, str]]:
    """Return the logger of this name, writing to `folder`, and the choices of the run: model, loss and so on.

    It logs under the name of the run, in the same group, with the same tags and the job type `task`.
    """
    from gantry.config.instantiate import build_all

    own = {"dir": str(folder), "name": folder.name, "group": None}
    stored: Any = {"tags": [], "run": own} if run is None else read_config(run)
    about = {"tags": stored["tags"], "run": {**own, **stored["run"], "dir": str(folder)}, "task": task}
    register_resolvers()
    paths = OmegaConf.load(CONFIG_DIR / "paths" / "default.yaml")
    cfg = OmegaConf.create({**about, "paths": paths, "logger": OmegaConf.load(LOGGER_CONFIGS[name])})
    assert isinstance(cfg, DictConfig)
    del cfg.logger["defaults"]  # csv: the run has its metrics.csv already
    return list(build_all(cfg.logger).values()), read_choices(run) if run else {}


def finish_loggers(loggers: list[Any]) -> None:
    """Close the runs of the loggers: without a trainer nothing else does."""
    from gantry.loggers.dispatch import call_loggers, close_loggers

    call_loggers(loggers, object, lambda logger: logger.finalize("success"))
    close_loggers(loggers, success=True)
