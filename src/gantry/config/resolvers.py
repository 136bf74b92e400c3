"""The few functions that the configuration may call: `${share:${turns},50}`."""

import os
from datetime import datetime
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gantry.config.rules import count_devices
from gantry.distributed import environment

MODULES_WITHOUT_GRADIENTS = tuple(f"gantry.losses.{name}" for name in ("consistency", "logits", "regularisers"))


def share(turns: int, parts: int) -> int:
    """One part of so many of the budget, at least one turn."""
    return max(1, turns // parts)


def when(condition: bool, value: Any, otherwise: Any) -> Any:
    """One value or the other."""
    return value if condition else otherwise


def critic_norm(norm: str, *, _root_: DictConfig) -> str:
    """Return the norm of a critic: `none` in place of `batch` where logits must not depend on the batch.

    A penalty differentiates the logit of one image by that image. With BatchNorm the logit depends on all images of
    the batch, and the penalty is of something else (Gulrajani et al. 2017, section 4, "No critic batch normalization").
    """
    penalised = bool(list_penalties_per_sample(_root_))
    allowed = OmegaConf.select(_root_, "recipe.critic_batch_norm", default=True)
    return "none" if norm == "batch" and (penalised or not allowed) else norm


def list_penalties_per_sample(cfg: DictConfig) -> list[str]:
    """Return the terms of D that differentiate its logits, or that may: those of a user's own."""
    terms: Any = OmegaConf.select(cfg, "loss.d_terms") or {}
    targets = {str(name): str(OmegaConf.select(cfg, f"loss.d_terms.{name}.penalty._target_")) for name in terms}
    return [name for name, target in targets.items() if target.rpartition(".")[0] not in MODULES_WITHOUT_GRADIENTS]


def run_name() -> str:
    """Date and time, or what all processes of a job agree on.

    With microseconds: a loop in a shell starts several runs within a second, and each needs a folder of its own.
    """
    return environment.agree_on_run_name(f"{datetime.now():%Y-%m-%d_%H-%M-%S_%f}")


def started(what: str) -> int:
    """`devices` of each machine, or `nodes`: what torchrun or srun has started."""
    if not environment.is_externally_launched():
        raise ValueError("trainer must be ddp or ddp_cpu unless torchrun or srun starts it, got ddp_multinode")
    here = environment.read_ranks()
    return {"devices": here.local_world_size, "nodes": here.num_nodes}[what]


def jobs_at_once(accelerator: str, devices: Any) -> int:
    """Jobs that fill the cores of this machine with one thread for each process; a GPU takes one after the other."""
    return max(1, environment.count_cores() // (count_devices(devices) or 1)) if accelerator == "cpu" else 1


def trials_at_once(launcher: DictConfig) -> int:
    """Trials that a launcher runs at a time, as far as its settings say; else one after the other."""
    return int(launcher.get("n_jobs") or launcher.get("array_parallelism") or 1)


def gpus(accelerator: str, devices: Any) -> int:
    """GPUs that a job needs on a machine; one where the trainer takes whatever there is."""
    return (count_devices(devices) or 1) if accelerator == "cuda" else 0


def cpus(accelerator: str, devices: Any) -> int:
    """Cores that a job needs: one for each process on the CPU, four to feed each GPU."""
    return (count_devices(devices) or 1) if accelerator == "cpu" else 4 * gpus(accelerator, devices)


def env(name: str, otherwise: Any) -> Any:
    """Return an environment variable, or another value where it is unset or empty."""
    return os.environ.get(name) or otherwise


def source() -> str:
    """Return the folder that `import gantry` needs, for processes on other machines."""
    return os.environ.get("PYTHONPATH", "")


def register_resolvers() -> None:
    """Make the resolvers known to OmegaConf; harmless when repeated."""
    for resolver in (share, when, critic_norm, started, jobs_at_once, trials_at_once, gpus, cpus, source, env):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    OmegaConf.register_new_resolver(run_name.__name__, run_name, replace=True, use_cache=True)  # the same in all jobs
