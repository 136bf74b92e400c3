"""The evaluate command: scores of a trained generator or of any images, from a configuration to files."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from gantry.commands.log_results import check_logger_name, log_scores
from gantry.config.checks import check_reference
from gantry.config.compose import CONFIG_DIR, expand_scores
from gantry.config.scores import check_selection_keys, drop_left_out_scores, merge_metrics, select_scores
from gantry.config.trust import check_targets, read_trusted_packages
from gantry.config.validate import validate_metrics
from gantry.errors import RunError, UserError, user_errors
from gantry.evaluation.score_settings import find_score_differences
from gantry.files import write_text
from gantry.runs.folder import read_config
from gantry.runs.generator_json import find_generator, read_generator_info
from gantry.runs.layout import SCORES_FILE, split_run_path
from gantry.runs.summary import add_evaluation, read_summary
from gantry.values import non_finite_to_none

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig) -> dict[str, float]:
    """Score what `run`, `checkpoint` or `samples` names; print the scores and write them to a file."""
    with user_errors():
        complete_config(cfg)
        check_selection_keys(HydraConfig.get().overrides.task, cfg.metrics)

    from gantry.commands import evaluate_job  # imports torch, which takes seconds

    entry = evaluate_job.run_evaluation(cfg)
    record = {"of": str(cfg.samples or cfg.run)} | entry.to_dict()
    try:
        store_scores(cfg, record)
    finally:  # after they are stored, since the reader of the output may have ended; but also if they cannot be
        earlier_scores = format_earlier_scores(record, Path(cfg.run)) if cfg.run is not None else ()
        print("\n".join([str(entry), *earlier_scores]), flush=True)
    log.info("written to %s", Path(cfg.output) / SCORES_FILE)
    return dict(record["scores"])


def store_scores(cfg: DictConfig, record: Mapping[str, Any]) -> None:
    """Write the scores to a file, to the summary of their run and to the logger. Raises RunError for the file alone."""
    path = Path(cfg.output) / SCORES_FILE
    write_text(path, json.dumps(non_finite_to_none(record), indent=2, allow_nan=False) + "\n")
    if cfg.run is not None:
        try:
            add_evaluation(Path(cfg.run), record)
        except RunError as error:  # a run of somebody else, say
            log.warning("%s. The scores are in %s alone", error, path)
    if cfg.log_to is not None:
        log_scores(cfg.log_to, cfg.run and Path(cfg.run), Path(cfg.output), record, *read_training_progress(cfg))


def complete_config(cfg: DictConfig, in_memory: bool = False) -> None:
    """Fill in the settings of the run; raises ValueError for an invalid request. Imports nothing slow.

    With `in_memory` the configuration names neither a run nor files: the samples are passed beside it.
    """
    check_reference("reference", cfg.reference)
    check_logger_name(cfg.log_to)
    with open_dict(cfg):
        resolve_run_path(cfg)
        if not in_memory and (cfg.run is None) == (cfg.samples is None):
            raise ValueError("run or samples must be given, and not both: run=FOLDER of a run, or samples=PATH")
        stored_keys = fill_from_run(cfg) if cfg.run is not None else []
        if cfg.get("metrics") is None or (cfg.run is None and not is_metrics_choice(cfg.metrics)):
            base = OmegaConf.load(CONFIG_DIR / "metrics" / "small.yaml")  # as in train.yaml
            cfg.metrics = merge_metrics(base, cfg.get("metrics"))
        choose_scores(cfg)
    if not OmegaConf.select(cfg, "metrics.scores"):
        raise ValueError("metrics must be a choice with scores (metrics=small, metrics=inception), got none")
    if "_target_" not in (cfg.data or {}):
        check_without_data(cfg)
    validate_metrics(cfg)
    if cfg.run is not None:
        check_stored_parts(cfg, stored_keys)


def check_without_data(cfg: DictConfig) -> None:
    """Raise ValueError unless the real images are files and the extractor is chosen, so that no data set is needed."""
    if (cfg.reference or cfg.metrics.get("reference")) in (None, "train", "test"):
        rule = "the data set to compare the samples with (data=cifar10, say), or reference= images of yours"
        raise ValueError(f"data must be {rule}, got none")
    if OmegaConf.select(cfg, "metrics.extractor.name") == "":
        rule = "one for any images without data= (metrics=inception; data.small_net=digits, mnist or cifar10)"
        raise ValueError(f"metrics must be {rule}, got that of a data set")


def fill_from_run(cfg: DictConfig) -> list[str]:
    """Fill in the model of the run, and its data and metrics unless others are chosen; -> those of the two."""
    stored = read_config(Path(cfg.run))
    cfg.model = stored.get("model")
    missing = {"data": "_target_" not in (cfg.data or {}), "metrics": not is_metrics_choice(cfg.get("metrics"))}
    keys = [key for key, is_missing in missing.items() if is_missing]
    values: Any = OmegaConf.to_container(stored)
    for key in keys:
        value = replace_stored_folders(values.get(key), key, cfg.paths, values.get("paths"))
        cfg[key] = merge_metrics(value, cfg.get(key)) if key == "metrics" else value
    return keys


def replace_stored_folders(value: Any, key: str, paths: Mapping[str, Any], stored: Mapping[str, Any] | None) -> Any:
    """Return plain values of a run with this machine's folder of statistics, and of data sets where theirs is missing.

    Raises UserError for another folder of data that does not exist: nothing is downloaded to where a run says.
    """
    if isinstance(value, dict):
        return {name: replace_stored_folders(inner, f"{key}.{name}", paths, stored) for name, inner in value.items()}
    name = key.rpartition(".")[2]
    if name == "cache" and isinstance(value, str):
        return f"{paths['cache']}/{Path(value).name}"
    if name == "root" and isinstance(value, str) and not Path(value).expanduser().is_dir():
        if value not in (paths["data"], (stored or {}).get("data")):
            raise UserError(f"{key} of the run must be a folder that exists, got {value}; choose another by data=")
        return paths["data"]
    return value


def is_metrics_choice(metrics: Any) -> bool:
    """Return True for metrics as metrics=CHOICE composes them, False for none and for settings without a choice."""
    return isinstance(metrics, DictConfig) and "_target_" in metrics


def choose_scores(cfg: DictConfig) -> None:
    """Apply `scores` to the metrics, and spell all scores out."""
    if not isinstance(cfg.metrics, DictConfig):  # of a run whose file was changed: refused next
        return
    drop_left_out_scores(cfg.metrics)
    if cfg.scores is not None:
        select_scores(cfg.metrics, cfg.scores)
    expand_scores(cfg)


def check_stored_parts(cfg: DictConfig, keys: Sequence[str]) -> None:
    """Raise ValueError if the run names an untrusted part: in its generator, or below the keys."""
    trusted = read_trusted_packages(cfg.get("trust"))
    for key in keys:
        check_targets(OmegaConf.to_container(cfg[key], resolve=True), key, trusted)
    chosen = cfg.checkpoint
    if chosen in (None, "best", "last") or Path(chosen).is_dir():
        folder = find_generator(Path(cfg.run), chosen) if chosen in (None, "best", "last") else Path(chosen)
        check_targets(read_generator_info(folder).config, "generator", trusted)
    else:
        check_targets(OmegaConf.to_container(cfg.model.G, resolve=True), "model.G", trusted)


def resolve_run_path(cfg: DictConfig) -> None:
    """Fill in the run that a checkpoint or a generator lies in, and the checkpoint that a path given as `run` names."""
    if cfg.run:
        path = Path(cfg.run)
        folder, chosen = split_run_path(path)
        cfg.run = str(folder)
        if chosen is not None and cfg.checkpoint is None:
            cfg.checkpoint = chosen if path.is_dir() else str(path)
    elif cfg.checkpoint is not None and Path(cfg.checkpoint).exists():
        cfg.run = str(Path(cfg.checkpoint).resolve().parents[1])


def read_training_progress(cfg: DictConfig) -> tuple[int, float]:
    """Return turn and kimg of the generator that is scored; 0 if they are not known."""
    if cfg.run is None or cfg.checkpoint not in (None, "best", "last"):
        return 0, 0.0
    extra = read_generator_info(find_generator(Path(cfg.run), cfg.checkpoint)).extra
    return int(extra.get("turn", 0)), float(extra.get("kimg", 0.0))


def format_earlier_scores(record: Mapping[str, Any], run: Path) -> Iterator[str]:
    """Yield the earlier scores of the run with the same names, and why some cannot be compared with these."""
    summary = read_summary(run)
    report = summary.get("report", {})
    earlier = {"best": summary.get("best"), "report/best": report.get("best"), "report/last": report.get("last")}
    for title, entry in earlier.items():
        scores, alike = (entry or {}).get("scores", {}), dict[str, list[str]]()
        for name in (name for name in record["scores"] if name in scores):
            unlike = "; ".join(find_score_differences(entry.get("protocol", {}), record["protocol"], name))
            alike.setdefault(unlike, []).append(f"{name} {format_score(scores[name])}")
        for unlike, shared in alike.items():
            how = f"otherwise, by {unlike}" if unlike else "alike"
            yield f"{title} of the run: {', '.join(shared)} (measured {how})"


def format_score(value: float | None) -> str:
    """Return a score as text; one that was not finite is null in JSON."""
    return "nan" if value is None else f"{value:.6g}"
