"""The evaluation of the evaluate command, after its configuration is complete."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gantry.commands.hardware import pick_device
from gantry.config.instantiate import build
from gantry.config.trust import read_trusted_packages
from gantry.data.datamodule import DataModule
from gantry.errors import UserError, user_errors
from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.generator_samples import SampleSource, make_sample_source
from gantry.evaluation.protocol import SampleFacts
from gantry.evaluation.reference import Reference, build_file_reference, build_reference
from gantry.evaluation.run import Entry, score_samples, warn_of_other_shape
from gantry.evaluation.sample_files import SampleFiles, open_samples
from gantry.figures.nearest_training_images import write_neighbours_figure
from gantry.metrics.score import Requirement
from gantry.nets.contract import Generator
from gantry.runs.checkpoint import verify_checkpoint
from gantry.runs.generator import build_generator, load_checked_weights, load_saved_generator
from gantry.runs.generator_json import find_generator
from gantry.runs.layout import NEIGHBOURS_FILE
from gantry.runs.summary import read_checkpoint_rule
from gantry.training.stored_state import read_state
from gantry.values import evenly_spaced

CHECKPOINT_KEY_RULE = (
    "checkpoint",
    "best, last, a .ckpt file or a folder with a generator",
)  # the key and its rule
IN_MEMORY = "in memory"  # in the protocol, in place of the rule that chose a checkpoint
EMA_PREFIX = "G_ema."  # of the averaged generator's weights in a checkpoint


def run_evaluation(cfg: DictConfig, files: SampleFiles | None = None, G: Generator | None = None) -> Entry:
    """Score the run or samples that the configuration names, or else samples or a generator in memory."""
    with user_errors():
        device = torch.device(pick_device(cfg.device))
        evaluation = build_evaluation(cfg)
    data = build(cfg.data, DataModule, batches_per_turn=1, seed=0) if "_target_" in cfg.data else None
    reference = build_configured_reference(cfg, data, evaluation)
    files = files or open_configured_samples(cfg, reference)
    check_sample_shape(files or G, reference)
    evaluation = replace(evaluation, num_samples=choose_num_samples(cfg, files, evaluation))
    evaluation = replace(evaluation, monitor=evaluation.metric_names[0])  # no checkpoint is selected here
    evaluation.check_requirements(reference, "num_samples")
    source = (
        make_file_sample_source(files, evaluation)
        if files
        else make_sample_source(
            evaluation,
            *((G, IN_MEMORY) if G is not None else load_selected_generator(cfg)),
            device,
            class_names=name_generated_classes(data, evaluation, reference),
        )
    )
    warn_of_other_shape(source.facts.shape, reference)
    real = evaluation.extract_real(reference, device)
    entry = score_samples(source, evaluation, reference, real, device)
    if cfg.output is not None and Requirement.HELD_OUT in evaluation.requirements:
        write_neighbours_figure(Path(cfg.output) / NEIGHBOURS_FILE, source, entry.features, reference, real)
    return entry


def build_evaluation(cfg: DictConfig) -> Evaluation:
    """Return the final evaluation of a run, with the changes of the command line."""
    evaluation: Evaluation = build(cfg.metrics, Evaluation)
    full = evaluation.report_evaluation
    seed = full.seed if cfg.seed is None else cfg.seed
    changes = {key: cfg[key] for key in ("reference", "batchnorm", "arithmetic") if cfg[key] is not None}
    return replace(full, seed=seed, **changes)


def build_configured_reference(cfg: DictConfig, data: DataModule | None, evaluation: Evaluation) -> Reference:
    """Return the real images: of a data set or, without one, those at a path, decoded as the extractor takes them."""
    key = "metrics.reference" if cfg.reference is None else "reference"
    if data is not None:
        return build_reference(data, evaluation.reference, key)
    channels = getattr(evaluation.feature_extractor, "size", (3,))[0]
    num_classes = max((getattr(score, "num_classes", 0) for score in evaluation.scores.values()), default=0)
    return build_file_reference(Path(evaluation.reference).expanduser(), channels, num_classes, key)


def choose_num_samples(cfg: DictConfig, files: SampleFiles | None, evaluation: Evaluation) -> int:
    """Return the number of samples to score. Raises UserError if there are fewer."""
    if files is None:
        return cfg.num_samples or evaluation.num_samples
    if cfg.num_samples is not None and cfg.num_samples > files.count:
        raise UserError(f"num_samples must be at most {files.count}, all that there are, got {cfg.num_samples}")
    return cfg.num_samples or files.count


def open_configured_samples(cfg: DictConfig, reference: Reference) -> SampleFiles | None:
    """Return the samples in a file or folder, with as many channels as the real images have; None if none are named."""
    if cfg.samples is None:
        return None
    channels = reference.shape[0] if len(reference.shape) == 3 else 3
    return open_samples(Path(cfg.samples).expanduser(), channels)


def name_generated_classes(data: DataModule | None, evaluation: Evaluation, reference: Reference) -> tuple[str, ...]:
    """Return the names of the classes of generated samples, where they must be matched with those of files.

    Otherwise none: reading the data set for its names may take a download.
    """
    is_needed = Requirement.LABELS in evaluation.requirements and reference.split == "folder"
    return data.classes if data is not None and is_needed else ()


def check_sample_shape(samples: SampleFiles | Generator | None, reference: Reference) -> None:
    """Raise UserError for images if the reference is points, and the other way round."""
    if samples is not None and len(samples.shape) != len(reference.shape):
        raise UserError(f"samples must be like {list(reference.shape)}, got {list(samples.shape)}")


def make_file_sample_source(files: SampleFiles, evaluation: Evaluation) -> SampleSource:
    """Return `num_samples` samples of files, evenly spaced, since files may be sorted by class."""
    index = torch.tensor(evenly_spaced(files.count, evaluation.num_samples))
    labels = None if files.labels is None else files.labels[index]

    def images(start: int, stop: int) -> Tensor:
        return torch.cat([files.images(i, i + 1) for i in index[start:stop].tolist()])

    everything = evaluation.num_samples == files.count
    facts = SampleFacts(files.shape, "files", conversions=files.conversions)
    return SampleSource(files.images if everything else images, labels, facts, files.class_names, files.unlabelled)


def load_selected_generator(cfg: DictConfig) -> tuple[Generator, str]:
    """Return the generator that `checkpoint` names, and the rule by which it was chosen."""
    run, chosen, trusted = Path(cfg.run), cfg.checkpoint, read_trusted_packages(cfg.get("trust"))
    if chosen not in (None, "best", "last"):
        path = Path(chosen)
        G = load_saved_generator(path, trusted) if path.is_dir() else load_generator_from_checkpoint(path, cfg)
        return G, path.name
    folder = find_generator(run, chosen)
    return load_saved_generator(folder, trusted), read_checkpoint_rule(run, folder.name)


def load_generator_from_checkpoint(path: Path, cfg: DictConfig) -> Generator:
    """Return the averaged generator of a training checkpoint, in evaluation mode."""
    state = read_state(verify_checkpoint(path, *CHECKPOINT_KEY_RULE))["state_dict"]
    weights = {
        name.removeprefix(EMA_PREFIX): value for name, value in state.items() if str(name).startswith(EMA_PREFIX)
    }
    config: Any = OmegaConf.to_container(cfg.model.G, resolve=True)
    G = build_generator(config, read_trusted_packages(cfg.get("trust")), "model.G", weights)
    load_checked_weights(G, weights, "checkpoint", path, f"checkpoint must be of the run {cfg.run}, got {path}: ")
    return G.eval()
