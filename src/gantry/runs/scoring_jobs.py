"""The evaluation that a completed configuration asks for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from gantry.callbacks.evaluate import RUNNING, drawn_by, reference_of
from gantry.metrics.collected import Images
from gantry.metrics.evaluation import Evaluation, Reference
from gantry.metrics.protocol import Samples
from gantry.runs.build import build
from gantry.runs.description import find_generator
from gantry.runs.generator import load_generator, rebuild
from gantry.runs.run_folder import whole_checkpoint
from gantry.runs.sample_files import open_samples
from gantry.runs.sampling_jobs import available
from gantry.runs.summary import read_summary

EMA = "G_ema."  # how the averaged generator's weights are called in a checkpoint


@dataclass(frozen=True)
class Subject:
    """What is scored: images, how many there are (None: any number), and what the protocol says of them."""

    images: Images
    count: int | None
    about: Samples


def score(cfg: DictConfig) -> dict[str, Any]:
    """Scores and protocol of what the configuration names, as plain values."""
    device = torch.device(available(cfg.device))
    evaluation: Evaluation = build(cfg.metrics)
    evaluation = replace(evaluation, seed=cfg.seed, reference=cfg.reference or evaluation.reference)
    data = build(cfg.data, batches_per_turn=1, seed=0)
    reference = reference_of(data, evaluation.reference)
    subject = of_files(cfg, reference) if cfg.samples else of_run(cfg, evaluation.seed, device)
    evaluation = replace(evaluation, num_samples=number(cfg, subject, evaluation))
    evaluation = replace(evaluation, monitor=evaluation.names[0])  # nothing is selected here
    evaluation.check(reference)
    scores = evaluation(subject.images, evaluation.read_real(reference, device), device)
    return {
        "of": str(cfg.samples or cfg.run),
        "scores": scores,
        "protocol": evaluation.protocol(reference, subject.about).to_dict(),
    }


def number(cfg: DictConfig, subject: Subject, evaluation: Evaluation) -> int:
    """How many samples to take. Raises ValueError for more than there are."""
    wanted = cfg.num_samples or subject.count or evaluation.num_samples
    if subject.count is not None and wanted > subject.count:
        raise ValueError(f"num_samples must be at most {subject.count}, all that there are, got {wanted}")
    return int(wanted)


def of_files(cfg: DictConfig, reference: Reference) -> Subject:
    """Samples that lie in a file or folder, with as many channels as the real images have."""
    channels = reference.shape[0] if len(reference.shape) == 3 else 3
    files = open_samples(Path(cfg.samples).expanduser(), channels)
    if len(files.shape) != len(reference.shape):
        raise ValueError(f"samples must be like {list(reference.shape)}, got {list(files.shape)}")
    return Subject(files.images, files.count, Samples(files.shape, "files"))


def of_run(cfg: DictConfig, seed: int, device: torch.device) -> Subject:
    """Samples drawn from the averaged generator of a run."""
    G, rule = generator_of(cfg)
    shape: Any = G.shape
    return Subject(drawn_by(G.to(device), seed, device), None, Samples(tuple(shape), rule, "G_ema", RUNNING))


def generator_of(cfg: DictConfig) -> tuple[nn.Module, str]:
    """The generator that `checkpoint` names, and the rule by which it was chosen."""
    run, chosen = Path(cfg.run), cfg.checkpoint
    if chosen not in (None, "best", "last"):
        path = Path(chosen)
        G = load_generator(path) if path.is_dir() else from_checkpoint(path, cfg)
        return G, path.name
    folder = find_generator(run, chosen)
    selected = read_summary(run).get(folder.name, {}).get("protocol", {})
    return load_generator(folder), selected.get("checkpoint", folder.name)


def from_checkpoint(path: Path, cfg: DictConfig) -> nn.Module:
    """The averaged generator of a training state, in evaluation mode."""
    state = torch.load(whole_checkpoint(path), map_location="cpu", weights_only=True)["state_dict"]
    config: Any = OmegaConf.to_container(cfg.model.G, resolve=True)
    G = rebuild(config, trust=False)
    weights = {name.removeprefix(EMA): value for name, value in state.items() if name.startswith(EMA)}
    try:
        G.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"checkpoint must be of the run {cfg.run}, got {path}: {reason}") from None
    return G.eval()
