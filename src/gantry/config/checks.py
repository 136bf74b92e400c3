"""Rules across several keys of a configuration, such as data.batch_size and the number of processes. Those for a single
key are in `gantry.config.key_rules`; `gantry.config.validate` says when they are checked."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from gantry.config.instantiate import import_target
from gantry.config.resolvers import list_penalties_per_sample
from gantry.config.rules import count_devices
from gantry.data import folder_index


def check_resolution(cfg: DictConfig) -> None:
    """Raise ValueError for a shape that the nets cannot build; the model names the rule, a function without torch."""
    rule = OmegaConf.select(cfg, "model.sides")
    if rule is not None:
        import_target("model.sides", str(rule))(list(cfg.data.shape))


def check_processes(cfg: DictConfig) -> None:
    """Raise ValueError for several processes without a strategy for them, and for listed devices on the CPU."""
    if OmegaConf.select(cfg, "trainer") is None:
        return
    devices, strategy = (OmegaConf.select(cfg, f"trainer.{name}") for name in ("devices", "strategy"))
    if OmegaConf.select(cfg, "trainer.accelerator") == "cpu" and (devices == -1 or isinstance(devices, ListConfig)):
        raise ValueError(f"trainer.devices must be an integer of at least 1 on the CPU, got {devices}")
    if strategy == "auto" and count_devices(devices) != 1:
        raise ValueError(f"trainer.devices must be 1 for this trainer (trainer=ddp or ddp_cpu for more), got {devices}")


def check_budget(cfg: DictConfig) -> None:
    """Raise ValueError where Lightning's trainer would end before or after the turns are done."""
    turns, steps = OmegaConf.select(cfg, "turns"), OmegaConf.select(cfg, "trainer.max_steps")
    if turns is not None and steps != turns:
        raise ValueError(f"trainer.max_steps must be left at turns, which is the budget: turns={turns}, got {steps}")


def check_devices(cfg: DictConfig) -> None:
    """Raise ValueError for GPUs that are not there; the driver is asked, since importing torch takes seconds."""
    accelerator = OmegaConf.select(cfg, "trainer.accelerator")
    if accelerator == "mps" and not is_apple():
        raise ValueError("trainer must be cpu, ddp_cpu or gpu on a machine without Apple's GPU, got mps")
    if accelerator != "cuda":
        if OmegaConf.select(cfg, "hardware.capture"):
            raise ValueError("hardware.capture must be false without a CUDA device (trainer=gpu), got true")
        return
    there, devices = count_cuda_devices(), OmegaConf.select(cfg, "trainer.devices")
    if there == 0:
        others = "cpu, ddp_cpu or mps" if is_apple() else "cpu or ddp_cpu"
        raise ValueError(f"trainer must be {others} on a machine without a CUDA device, got a GPU trainer")
    if isinstance(devices, ListConfig) and max(devices) >= there:
        raise ValueError(f"trainer.devices must be numbers below {there}, the CUDA devices here, got {devices}")
    if isinstance(devices, int) and devices > there:
        raise ValueError(f"trainer.devices must be at most {there}, the CUDA devices here, got {devices}")


def is_apple() -> bool:
    """Return True on a machine that may have Apple's GPU."""
    return sys.platform == "darwin"


def count_cuda_devices() -> int:
    """Return the number of CUDA devices that this process may use."""
    for library in ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        initialise = driver.cuInit if hasattr(driver, "cuInit") else driver.hipInit
        count = ctypes.c_int()
        counts = driver.cuDeviceGetCount if hasattr(driver, "cuDeviceGetCount") else driver.hipGetDeviceCount
        if initialise(0) == 0 and counts(ctypes.byref(count)) == 0:
            return count.value
    return 0


def check_batch_size(cfg: DictConfig, devices: int | None = None) -> None:
    """Raise ValueError unless every process and every accumulation part gets the same number of images.

    `devices` is the number for each machine; None for that of the configuration, which is not checked if it is "all".
    """
    devices = devices or count_devices(OmegaConf.select(cfg, "trainer.devices", default=1))
    nodes = OmegaConf.select(cfg, "trainer.num_nodes", default=1)
    parts = OmegaConf.select(cfg, "optim.accumulate", default=1)
    batch_size = OmegaConf.select(cfg, "data.batch_size")
    if devices is None or batch_size is None:
        return
    if batch_size % (devices * nodes * parts):
        what = f"{devices * nodes} devices" + (f" times {parts} parts" if parts > 1 else "")
        raise ValueError(f"data.batch_size must be a multiple of {devices * nodes * parts} ({what}), got {batch_size}")
    check_group(cfg, batch_size // (devices * nodes * parts))


def check_group(cfg: DictConfig, samples: int) -> None:
    """Raise ValueError unless the samples that D judges at a time are a multiple of the group that it compares."""
    group = OmegaConf.select(cfg, "model.D.group")
    if group is not None and samples % group:
        rule = f"a divisor of {samples}, the images that D judges at a time (data.batch_size, per process and part)"
        raise ValueError(f"model.D.group must be {rule}, got {group}")


def check_critic_norm(cfg: DictConfig) -> None:
    """Raise ValueError for BatchNorm in a critic with a penalty per sample."""
    terms = list_penalties_per_sample(cfg)
    if terms and OmegaConf.select(cfg, "model.D.norm") == "batch":
        raise ValueError(
            f"model.D.norm must not be batch with the penalties {', '.join(terms)} of loss.d_terms: "
            "a penalty per sample needs logits that do not depend on the other samples, got batch"
        )


def check_term_nets(cfg: DictConfig) -> None:
    """Raise ValueError for a gradient penalty among the terms of G: in G's update there is nothing to penalise in D."""
    terms = OmegaConf.select(cfg, "loss.g_terms") or {}
    for name in terms:
        target = OmegaConf.select(cfg, f"loss.g_terms.{name}.penalty._target_")
        if str(target).startswith("gantry.losses.penalties."):
            raise ValueError(f"loss.g_terms.{name} must be a term of G, got one of D (+loss.d_terms.{name})")


def check_capture(cfg: DictConfig) -> None:
    """Raise ValueError for a captured turn with a number that it cannot read anew."""
    if OmegaConf.select(cfg, "hardware.capture") and OmegaConf.select(cfg, "optim.beta2") is not None:
        raise ValueError("hardware.capture must be false with optim.beta2, which changes from turn to turn, got true")


def check_augment(cfg: DictConfig) -> None:
    """Raise ValueError for augmentations that move pixels, of points."""
    shape, augment = (OmegaConf.select(cfg, key) for key in ("data.shape", "augment._target_"))
    module, _, name = str(augment).rpartition(".")
    if shape is not None and len(shape) != 3 and module in ("gantry.augment.diffaugment", "gantry.augment.ada"):
        raise ValueError(f"augment must be none for points, got {name}")


def check_data_folder(cfg: DictConfig) -> None:
    """Raise ValueError for a folder of images that is missing or empty."""
    source = OmegaConf.select(cfg, "data.source")
    if source and "min_images" in source:
        folder_index.check_image_folder(source.root)


def check_reference(key: str, where: str | None) -> None:
    """Raise ValueError unless real images to compare with are a split or a path that exists."""
    if where not in (None, "train", "test") and not Path(str(where)).expanduser().exists():
        raise ValueError(f"{key} must be train, test, or a folder, .zip, .npz or .npy of real images, got {where}")


def check_scores_key(cfg: DictConfig) -> None:
    """Raise ValueError for the scores of evaluate.py in a run, where they would change nothing."""
    if "turns" in cfg and "scores" in cfg:
        raise ValueError(f"scores must be metrics.scores in a run (+metrics.scores.manifold=true), got {cfg.scores}")


CONFIG_CHECKS: tuple[Callable[[DictConfig], None], ...] = (
    check_resolution,
    check_processes,
    check_budget,
    check_devices,
    check_batch_size,
    check_critic_norm,
    check_term_nets,
    check_augment,
    check_capture,
    check_data_folder,
    check_scores_key,
)
