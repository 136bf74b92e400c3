"""What the trainer's configuration says of speed, beside what Lightning knows."""

import logging
import re

import torch
from omegaconf import DictConfig, OmegaConf

from gantry.distributed.sync_batchnorm import convert_sync_batchnorm_
from gantry.training.cuda_graphs import CudaGraphExecutor
from gantry.training.executor import EagerExecutor, TurnExecutor
from gantry.training.gan import GAN

log = logging.getLogger(__name__)


def apply_hardware_options(gan: GAN, cfg: DictConfig) -> GAN:
    """A GAN with the layout, the compiled nets and the recorded turns that `trainer` asks for."""
    set_tf32(cfg.trainer.tf32)
    if cfg.trainer.channels_last:
        gan = gan.to(memory_format=torch.channels_last)
    if cfg.trainer.sync_batchnorm and cfg.trainer.strategy != "auto":
        for net in (gan.get_submodule("G"), gan.get_submodule("D")):
            convert_sync_batchnorm_(net)
    if cfg.trainer.compile:
        gan.compile_nets(torch.compile)
    gan.executor = choose_executor(cfg)
    return gan


def set_tf32(switch: bool) -> None:
    """Whether products and convolutions of float32 are in TF32 on a GPU.

    By torch's older switches: Lightning asks what they say, and torch refuses to tell once `fp32_precision` says else.
    """
    torch.set_float32_matmul_precision("high" if switch else "highest")
    torch.backends.cudnn.allow_tf32 = switch


def choose_executor(cfg: DictConfig) -> TurnExecutor:
    """How turns are made: recorded if the trainer wants it and nothing speaks against it."""
    if not cfg.trainer.capture:
        return EagerExecutor()
    if why := find_capture_obstacle(cfg):
        log.info("trainer.capture: turns are not recorded, since %s", why)
        return EagerExecutor()
    return CudaGraphExecutor()


def find_capture_obstacle(cfg: DictConfig) -> str | None:
    """What in the configuration keeps turns from being recorded, in words; None if nothing does."""
    if cfg.trainer.strategy != "auto":
        return "the processes of trainer.strategy talk to one another"
    if OmegaConf.select(cfg, "callbacks.health.skip"):
        return "callbacks.health.skip looks at each update before it is made"
    return None


def pick_device(device: str) -> str:
    """The device of that name, for "auto" the best there is. Raises ValueError for one that is not there."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    devices = [accelerator.type, "cpu"] if accelerator else ["cpu"]
    if not re.fullmatch(rf"auto|({'|'.join(devices)})(:\d+)?", device):
        raise ValueError(f"device must be auto or {' or '.join(devices)} on this machine, got {device}")
    return devices[0] if device == "auto" else device
