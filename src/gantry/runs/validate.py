"""Everything about a configuration that can be known wrong before torch is imported: it dies here, in one line."""

import ctypes
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from gantry.data import files
from gantry.runs.errors import unknown_key
from gantry.runs.rules import RULES, Rule, count_of, is_argument, rule_of
from gantry.runs.signatures import arguments


def validate(cfg: DictConfig) -> None:
    """Raise ValueError `<key> must be <rule>, got <value>` for the first mistake found."""
    for key in ("turns", "seed", "recipe.lr"):  # others are computed from these
        obey(cfg, key, OmegaConf.select(cfg, key, default=1), RULES[key.rpartition(".")[2]])
    for key, node in nodes_with_target(cfg):
        check_arguments(cfg, key, node)
    for key, name, value in leaves(cfg):
        if name in RULES and value is not None:
            obey(cfg, key, value, RULES[name])
    for check in CHECKS:
        check(cfg)
    check_reference("metrics.reference", OmegaConf.select(cfg, "metrics.reference"))


def nodes_with_target(node: Any, key: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every dict in the configuration that describes an object, with its key."""
    if isinstance(node, DictConfig):
        if node._is_none() or node._is_missing():
            return
        if "_target_" in node:
            yield key, node
        for name in node:
            if not OmegaConf.is_missing(node, name):
                yield from nodes_with_target(node[name], under(key, name))


def under(key: str, name: Any) -> str:
    """The key of `name` in the node `key`."""
    return f"{key}.{name}".lstrip(".")


def leaves(node: DictConfig, key: str = "") -> Iterator[tuple[str, str, Any]]:
    """(key, last name, value) of everything that is not a dict."""
    for name in node:
        path = under(key, name)
        if OmegaConf.is_missing(node, name):
            continue
        value = node[name]
        if isinstance(value, DictConfig):
            yield from leaves(value, path)
        else:
            yield path, str(name), value


def check_arguments(cfg: DictConfig, key: str, node: DictConfig) -> None:
    """The keys of a node are arguments of its target, of their types."""
    known = arguments(str(node["_target_"]))
    if known is None:
        return
    for name in node:
        if not is_argument(under(key, name)):
            continue
        if name not in known:
            raise ValueError(unknown_key(under(key, name), known))
        if OmegaConf.is_missing(node, name):
            raise ValueError(f"{under(key, name)} must be given, got nothing")
        wanted = rule_of(known[str(name)])
        if wanted is not None:
            obey(cfg, under(key, name), node[name], wanted)


def obey(cfg: DictConfig, key: str, value: Any, rule: Rule) -> None:
    """Raise, naming the key that the user would change, unless the value keeps the rule."""
    wanted, kept = rule
    plain = OmegaConf.to_container(value) if isinstance(value, ListConfig | DictConfig) else value
    try:
        good = kept(plain)
    except TypeError:
        good = False
    if not good:
        raise ValueError(f"{source_of(cfg, key)} must be {wanted}, got {plain}")


def source_of(cfg: DictConfig, key: str) -> str:
    """The key that a value comes from: follows `${another.key}`."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    plain: Any = OmegaConf.to_container(node, resolve=False) if isinstance(node, DictConfig) else {}
    raw = plain.get(name)
    link = re.fullmatch(r"\$\{([\w.]+)\}", raw) if isinstance(raw, str) else None
    return source_of(cfg, link.group(1)) if link else key


def check_side(cfg: DictConfig) -> None:
    """The nets can build images of this shape; the model names the rule, a function that needs no torch."""
    rule = OmegaConf.select(cfg, "model.sides")
    if rule is not None:
        module, _, function = str(rule).rpartition(".")
        getattr(importlib.import_module(module), function)(list(cfg.data.shape))


def check_processes(cfg: DictConfig) -> None:
    """One process, unless the strategy is made for more; processes on the CPU are counted, not listed."""
    if OmegaConf.select(cfg, "trainer") is None:
        return
    devices, strategy = (OmegaConf.select(cfg, f"trainer.{name}") for name in ("devices", "strategy"))
    if devices is None:
        raise ValueError(f"trainer.devices must be {RULES['devices'][0]}, got null")
    if strategy != "auto" and not isinstance(strategy, DictConfig):
        raise ValueError(f"trainer.strategy must be auto or a dict with _target_, as in trainer=ddp, got {strategy}")
    if OmegaConf.select(cfg, "trainer.accelerator") == "cpu" and (devices == -1 or isinstance(devices, ListConfig)):
        raise ValueError(f"trainer.devices must be an integer of at least 1 on the CPU, got {devices}")
    if strategy == "auto" and count_of(devices) != 1:
        raise ValueError(f"trainer.devices must be 1 for this trainer (trainer=ddp or ddp_cpu for more), got {devices}")


def check_devices(cfg: DictConfig) -> None:
    """The GPUs that are asked for are there; asked of the driver, since importing torch takes seconds."""
    if OmegaConf.select(cfg, "trainer.accelerator") != "cuda":
        if OmegaConf.select(cfg, "trainer.capture"):
            raise ValueError("trainer.capture must be false without a CUDA device (trainer=gpu), got true")
        return
    there, devices = cuda_devices(), OmegaConf.select(cfg, "trainer.devices")
    if there == 0:
        raise ValueError("trainer must be cpu, ddp_cpu or mps on a machine without a CUDA device, got a GPU trainer")
    if isinstance(devices, ListConfig) and max(devices) >= there:
        raise ValueError(f"trainer.devices must be numbers below {there}, the CUDA devices here, got {devices}")
    if isinstance(devices, int) and devices > there:
        raise ValueError(f"trainer.devices must be at most {there}, the CUDA devices here, got {devices}")


def cuda_devices() -> int:
    """CUDA devices that this process may use."""
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


def check_batch(cfg: DictConfig, devices: int | None = None) -> None:
    """Every process and every accumulation part gets the same number of images.

    `devices` of each machine where they have been counted; without, those of the configuration, if it says how many.
    """
    devices = devices or count_of(OmegaConf.select(cfg, "trainer.devices", default=1))
    nodes = OmegaConf.select(cfg, "trainer.num_nodes", default=1)
    parts = OmegaConf.select(cfg, "optim.accumulate", default=1)
    batch_size = OmegaConf.select(cfg, "data.batch_size")
    if devices is None or batch_size is None:
        return
    if batch_size % (devices * nodes * parts):
        what = f"{devices * nodes} devices" + (f" times {parts} parts" if parts > 1 else "")
        raise ValueError(f"data.batch_size must be a multiple of {devices * nodes * parts} ({what}), got {batch_size}")


def check_critic_norm(cfg: DictConfig) -> None:
    """No BatchNorm in a critic that a penalty per sample looks at."""
    terms = OmegaConf.select(cfg, "loss.d_terms")
    if terms and OmegaConf.select(cfg, "model.D.norm") == "batch":
        raise ValueError(
            f"model.D.norm must not be batch with the penalties {', '.join(map(str, terms))} of loss.d_terms: "
            "a penalty per sample needs logits that do not depend on the other samples, got batch"
        )


def check_augment(cfg: DictConfig) -> None:
    """DiffAugment moves pixels: there are none in points."""
    shape, augment = (OmegaConf.select(cfg, key) for key in ("data.shape", "augment._target_"))
    module, _, name = str(augment).rpartition(".")
    if shape is not None and len(shape) != 3 and module == "gantry.augment.diffaugment":
        raise ValueError(f"augment must be none for points, got {name}")


def check_folder(cfg: DictConfig) -> None:
    """A source that wants at least so many images finds a folder with something in it."""
    source = OmegaConf.select(cfg, "data.source")
    if source and "min_images" in source:
        files.check_folder(source.root)


def check_reference(key: str, where: str | None) -> None:
    """Real images to compare with can be there: the name of a split, or a path that exists."""
    if where not in (None, "train", "test") and not Path(str(where)).expanduser().exists():
        raise ValueError(f"{key} must be train, test, or a folder, .zip or .npz of real images, got {where}")


CHECKS: tuple[Callable[[DictConfig], None], ...] = (
    check_side,
    check_processes,
    check_devices,
    check_batch,
    check_critic_norm,
    check_augment,
    check_folder,
)
