"""Apply the switches of `hardware`, which change how a turn is computed, and pick a device."""

import logging
import re

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from gantry.config.rules import count_devices
from gantry.distributed.sync_batchnorm import convert_sync_batchnorm_
from gantry.errors import UserError
from gantry.training.cuda_graphs import CudaGraphExecutor
from gantry.training.executor import EagerExecutor, TurnExecutor
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


def apply_hardware_options(gan: GAN, cfg: DictConfig) -> GAN:
    """Return the GAN with the memory layout, the compiled nets and the executor that `hardware` asks for."""
    check_batchnorm_images(gan, cfg)
    set_tf32(cfg.hardware.tf32)
    if cfg.hardware.channels_last:
        gan = gan.to(memory_format=torch.channels_last)
    if cfg.hardware.sync_batchnorm and cfg.trainer.strategy != "auto":
        for net in (gan.get_submodule("G"), gan.get_submodule("D")):
            convert_sync_batchnorm_(net)
    if cfg.hardware.compile:
        gan.compile_nets(torch.compile)
    gan.executor = choose_executor(cfg)
    return gan


def check_batchnorm_images(gan: GAN, cfg: DictConfig) -> None:
    """Raise UserError for BatchNorm over the features of a single image, which has no variance."""
    alone = cfg.trainer.strategy == "auto" or cfg.hardware.sync_batchnorm
    processes = 1 if alone else count_processes(cfg) * cfg.trainer.num_nodes
    images = cfg.data.batch_size // (processes * cfg.optim.accumulate)
    if images == 1 and any(isinstance(module, nn.BatchNorm1d) for module in gan.modules()):
        rule = "at least 2 images for each process and each part of optim.accumulate, since the nets have BatchNorm"
        raise UserError(f"data.batch_size must leave {rule}, got {cfg.data.batch_size}")


def count_processes(cfg: DictConfig) -> int:
    """Return the number of processes of the trainer on this machine."""
    if cfg.trainer.strategy == "auto":
        return 1
    all_devices = 1 if cfg.trainer.accelerator == "cpu" else max(1, torch.cuda.device_count())
    return count_devices(cfg.trainer.devices) or all_devices


def set_tf32(switch: bool) -> None:
    """Compute float32 products and convolutions in TF32 on a GPU, or do not.

    Uses torch's older switches: Lightning reads them, and torch raises if they are read once `fp32_precision` is set.
    """
    torch.set_float32_matmul_precision("high" if switch else "highest")
    torch.backends.cudnn.allow_tf32 = switch


def choose_executor(cfg: DictConfig) -> TurnExecutor:
    """Return the executor of turns: CUDA graphs if `hardware.capture` is set and the configuration permits them."""
    if not cfg.hardware.capture:
        return EagerExecutor()
    if why := find_capture_obstacle(cfg):
        log.info("CUDA graphs disabled: %s (hardware.capture)", why)
        return EagerExecutor()
    return CudaGraphExecutor()


def find_capture_obstacle(cfg: DictConfig) -> str | None:
    """Return the setting that rules CUDA graphs out; None if there is none."""
    if cfg.trainer.strategy != "auto":
        return "trainer.strategy starts several processes, which exchange messages"
    if OmegaConf.select(cfg, "callbacks.health.skip"):
        return "callbacks.health.skip inspects each update before it is applied"
    return None


def pick_device(device: str) -> str:
    """Return the device of that name, for "auto" the best of this machine. Raises ValueError for one that it lacks."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    devices = [accelerator.type, "cpu"] if accelerator else ["cpu"]
    if not re.fullmatch(rf"auto|({'|'.join(devices)})(:\d+)?", device):
        raise ValueError(f"device must be auto or {' or '.join(devices)} on this machine, got {device}")
    return devices[0] if device == "auto" else device
