"""The train command: one training run, from a validated configuration to its report."""

import logging
import os
import shutil
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from gantry import rng
from gantry.callbacks.gan_callback import check_order
from gantry.callbacks.lightning_log import redirect_log
from gantry.commands.hardware import apply_hardware_options, count_processes
from gantry.commands.interruption import exit_if_interrupted, report_interruption
from gantry.commands.start_state import find_start_checkpoint, is_finished_already, look_for_checkpoint
from gantry.commands.workers import worker_processes
from gantry.config.checks import check_batch_size
from gantry.config.instantiate import build, build_all
from gantry.data.datamodule import DataModule
from gantry.distributed import environment
from gantry.errors import UserError, format_on_one_line, user_errors
from gantry.loggers.dispatch import close_loggers, log_config, log_generator, log_summary
from gantry.losses.objective import Objective
from gantry.runs.folder import write_config
from gantry.runs.generator_json import find_generator
from gantry.runs.layout import GENERATOR_JSON, GENERATORS_FOLDER
from gantry.runs.lock import lock_run_folder
from gantry.runs.status import write_job_start
from gantry.runs.summary import read_best_score, read_summary, write_summary
from gantry.training.ema import Ema
from gantry.training.fit_loop import install_fit_loop, make_new_loop_state
from gantry.training.gan import GAN
from gantry.training.optim import Optim
from gantry.training.stored_state import check_checkpoint, restore_callbacks
from gantry.values import flatten

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float | None:
    """Train as configured: -> the best value of the monitored score, which searches optimise."""
    folder = Path(cfg.run.dir)
    ranks = environment.read_ranks()  # now, since Lightning clears the variables at the end
    silence_lightning()
    with ExitStack() as stack:
        with user_errors():
            count = count_processes(cfg)
            environment.check_world_size(count, cfg.trainer.num_nodes, ranks)
            check_batch_size(cfg, count)
            if ranks.rank == 0:
                stack.enter_context(lock_run_folder(folder))
                look_for_checkpoint(cfg, folder)
            if is_finished_already(cfg, folder):
                log.info("the run is finished: %d turns are done. turns=N resumes it with more", cfg.turns)
                return read_best_score(folder, OmegaConf.select(cfg, "metrics.monitor"))
            checkpoint = find_start_checkpoint(cfg, folder)
        gan = build_gan(cfg)
        if checkpoint is not None:
            check_checkpoint(checkpoint, gan, make_new_loop_state())
        data = build(cfg.data, DataModule, batches_per_turn=gan.loss.batches_per_turn, seed=cfg.seed)
        data.setup("fit")
        gan.class_shares = data.class_shares if data.num_classes else gan.class_shares
        with report_interruption(folder), worker_processes(count, cfg.resume):
            trainer = build_trainer(cfg)
            if ranks.rank == 0:  # not before: a logger that is not installed, say, must leave no run
                write_config(cfg, folder)
                write_job_start(folder, read_config_choices())
                report_choices(cfg, gan)
            fit_gan(trainer, gan, data, checkpoint, cfg)
    exit_if_interrupted(gan, folder, ranks.rank)
    if ranks.rank == 0:
        log.info("results are in %s", folder)
    return read_best_score(folder, OmegaConf.select(cfg, "metrics.monitor"))


def fit_gan(trainer: Trainer, gan: GAN, data: DataModule, checkpoint: Path | None, cfg: DictConfig) -> None:
    """Train, and log the configuration before it and the summary after it."""
    sizes = count_parameters(gan)
    if checkpoint is not None:
        restore_callbacks(checkpoint, trainer.callbacks)  # type: ignore[attr-defined]
    if trainer.is_global_zero:
        values: Any = OmegaConf.to_container(cfg, resolve=True)
        log_config(trainer.loggers, values | {"parameters": sizes}, read_config_choices())
    redirect_log(trainer, gan)
    start_time = time.monotonic()
    success = False
    try:
        trainer.fit(gan, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        success = not gan.run_state.interrupt_signal
        if trainer.is_global_zero:
            before = read_summary(Path(cfg.run.dir)).get("seconds", 0.0) if cfg.resume else 0.0
            seconds = before + time.monotonic() - start_time
            summary = {"turns": gan.turn, "kimg": gan.kimg, "seconds": seconds, "parameters": sizes}
            write_summary(Path(cfg.run.dir), summary)
            log_summary(trainer.loggers, {"seconds": seconds, **flatten({"parameters": sizes}, "/")})
            if success:
                log_final_generator(trainer, Path(cfg.run.dir))
    finally:
        close_loggers(trainer.loggers, success)


def log_final_generator(trainer: Trainer, folder: Path) -> None:
    """Log the best generator (the last in a run without scores) with its scores and their protocol."""
    if any((folder / GENERATORS_FOLDER).glob(f"*/{GENERATOR_JSON}")):  # callbacks.export may be left out
        generator = find_generator(folder)
        summary = read_summary(folder)
        entry = summary.get("report", summary).get(generator.name, {})
        log_generator(trainer.loggers, generator, {"checkpoint": generator.name, **entry})


def count_parameters(gan: GAN) -> dict[str, int]:
    """Return the numbers of parameters of G and D."""
    return {name: sum(p.numel() for p in net.parameters()) for name, net in (("G", gan.G), ("D", gan.D))}


def report_choices(cfg: DictConfig, gan: GAN) -> None:
    """Print nets, loss and data of the run as a short tree on a terminal, else log them in one line."""
    rows = describe_choices(cfg, gan)
    if sys.stderr.isatty() and HydraConfig.get().mode != RunMode.MULTIRUN:
        print(format_tree(cfg.run.name, rows, shutil.get_terminal_size().columns), file=sys.stderr)
    else:
        log.info("%s", "; ".join(f"{name} {rows[name]}" for name in ("model", "loss", "data", "budget")))


def format_tree(title: str, rows: Mapping[str, str], width: int) -> str:
    """Return a tree of named rows; a row that is longer than `width` continues in further lines, between words."""
    lines = [title]
    for name, text in rows.items():
        stem, rest = ("└─ ", "   ") if name == list(rows)[-1] else ("├─ ", "│  ")
        wrapper = textwrap.TextWrapper(
            max(width, 30), initial_indent=f"{stem}{name:<8}", break_long_words=False, break_on_hyphens=False
        )
        wrapper.subsequent_indent = f"{rest}{'':8}"
        lines += wrapper.wrap(text)
    return "\n".join(lines)


def describe_choices(cfg: DictConfig, gan: GAN) -> dict[str, str]:
    """Return what is about to run, a line for each part."""
    choices = read_config_choices()
    sizes = count_parameters(gan)
    return {
        "model": f"{choices.get('model')}, G {sizes['G']:,} and D {sizes['D']:,} parameters",
        "loss": f"{choices.get('loss')}, n_critic {gan.loss.n_critic}, terms {', '.join(gan.loss.d_terms) or 'none'}",
        "optim": f"{choices.get('optim')}, lr {cfg.optim.G.get('lr')} and {cfg.optim.D.get('lr')}",
        "data": f"{cfg.data.name} {'x'.join(map(str, cfg.data.shape))}, batch size {cfg.data.batch_size}",
        "trainer": f"{choices.get('trainer')}, {cfg.trainer.precision}",
        "budget": f"{cfg.turns:,} turns, {cfg.turns * gan.kimg_per_turn:,.1f} kimg, seed {cfg.seed}",
        "folder": str(cfg.run.dir),
    }


def read_config_choices() -> dict[str, str]:
    """Return the name chosen in each configuration group: {"model": "dcgan"}."""
    choices = HydraConfig.get().runtime.choices.items()
    return {k: v for k, v in choices if isinstance(v, str) and not k.startswith("hydra")}


def build_gan(cfg: DictConfig) -> GAN:
    """Build G and D, with initial weights by the seed, and all that trains them."""
    torch.manual_seed(rng.derive_seed(cfg.seed))
    G, D = build(cfg.model.G, nn.Module), build(cfg.model.D, nn.Module)
    kinds: dict[str, Any] = {"loss": Objective, "optim": Optim, "ema": Ema, "augment": Callable[..., Any]}
    parts = {name: build(cfg[name], kind) for name, kind in kinds.items()}
    with user_errors():
        gan = GAN(G, D, **parts, turns=cfg.turns, batch_size=cfg.data.batch_size, seed=cfg.seed)
    return apply_hardware_options(gan, cfg)


def build_trainer(cfg: DictConfig) -> Trainer:
    """Build Lightning's trainer with the configured loggers and callbacks."""
    loggers = list(build_all(cfg.logger, Logger).values())
    callbacks = build_all(cfg.callbacks, Callback)
    check_order(callbacks)
    plugins = {} if "plugins" in cfg.trainer else {"plugins": build_cluster_environment()}
    try:
        trainer: Trainer = build(cfg.trainer, Trainer, logger=loggers, callbacks=list(callbacks.values()), **plugins)
    except MisconfigurationException as error:  # of values that only Lightning can judge, on this machine
        raise UserError(f"trainer must be one that Lightning can build, got: {format_on_one_line(error)}") from error
    install_fit_loop(trainer)
    return trainer


def build_cluster_environment() -> ClusterEnvironment:
    """Return where Lightning reads the ranks from.

    Never the one that it chooses under SLURM: that requeues jobs itself, from a checkpoint of its own beside ours.
    """
    return TorchElasticEnvironment() if environment.is_externally_launched() else LightningEnvironment()


def silence_lightning() -> None:
    """Silence messages of Lightning that are duplicates, advertisements or expected here.

    Also drop its NVML-based check for GPUs, which costs every optimiser step on the CPU 0.1 to 0.4 ms.
    """
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        "Found .* in eval mode",
        ".*treespec, LeafSpec",
        ".*does not have many workers",
        ".*capturable=True",
    ):
        warnings.filterwarnings("ignore", message)
