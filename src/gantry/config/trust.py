"""The parts that a run folder may name. They are imported and called when it is read back, so not every name will do.

Allowed are the parts of Gantry that a file of configs/ names (other functions of it write files, say), the layers and
optimisers of torch, those parts of Lightning that write nowhere but in the folder of the run, and the packages that the
user trusts: `trust=[my_models]` on the command line, or GANTRY_TRUST=my_models in the environment, names separated by
commas. What the user types on the command line needs no trust.
"""

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from inspect import isclass, isroutine
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import OmegaConf

from gantry.config.compose import CONFIG_DIR
from gantry.config.instantiate import build, import_target
from gantry.errors import UserError

TRUST_VARIABLE = "GANTRY_TRUST"

PACKAGE = Path(__file__).parents[1]

PART_ROOMS = (
    "augment",
    "callbacks",
    "data",
    "distributed",
    "evaluation",
    "features",
    "loggers",
    "losses",
    "metrics",
    "nets",
    "schedules",
    "training",
)

NAMED_PART = re.compile(r"(?:_target_|sides): *[\"']?(gantry(?:\.\w+)+)")  # in a file of configs/

UNNAMED_PARTS = {
    "gantry.data.images.InMemoryImages",
    "gantry.schedules.cosine",
    "gantry.schedules.exponential",
    "gantry.schedules.steps",
}  # parts that no choice has yet

LIBRARY_PARTS = re.compile(  # those of Lightning that write nowhere but in the folder of the run
    r"torch\.(nn|optim)\.[A-Z]\w*"
    r"|lightning\.(pytorch\.)?Trainer"
    r"|lightning\.pytorch\.callbacks\.(DeviceStatsMonitor|EarlyStopping|LearningRateMonitor|ThroughputMonitor|Timer)"
    r"|lightning\.pytorch\.callbacks\.(ModelSummary|RichModelSummary|RichProgressBar|TQDMProgressBar)"
    r"|lightning\.pytorch\.profilers\.(Advanced|PassThrough|PyTorch|Simple)Profiler"
    r"|lightning\.pytorch\.strategies\.(DDPStrategy|SingleDeviceStrategy)"
)

PACKAGE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def read_trusted_packages(value: Any) -> tuple[str, ...]:
    """Return the packages in the key `trust`, a name or a list of names, and in GANTRY_TRUST. Raises ValueError."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    names = list(value) if is_list else [] if value is None else [value]
    names += [name.strip() for name in os.environ.get(TRUST_VARIABLE, "").split(",") if name.strip()]
    for name in names:
        if not (isinstance(name, str) and PACKAGE_NAME.fullmatch(name)):
            raise ValueError(f"trust must be names of packages, as in trust=[my_models], got {name}")
    return tuple(names)


def check_targets(values: Any, key: str, trusted: Sequence[str]) -> None:
    """Raise ValueError for the first part in plain values of a run folder that is neither allowed nor trusted.

    `key` is the configuration key of the values. Only modules of trusted packages are imported.
    """
    for target_key, target in iterate_targets(values, key):
        check_target(target_key, target, trusted)


def iterate_targets(values: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield (key, name) of every part that plain values name, at any depth."""
    if key.rpartition(".")[2] == "_target_" or (key == "model.sides" and values is not None):  # `sides`: a function
        yield key, values
    elif isinstance(values, Mapping):
        for name, inner in values.items():
            yield from iterate_targets(inner, f"{key}.{name}")
    elif isinstance(values, list | tuple):
        for index, inner in enumerate(values):
            yield from iterate_targets(inner, f"{key}.{index}")


def check_target(key: str, target: Any, trusted: Sequence[str]) -> None:
    """Raise ValueError unless a run folder may name this part."""
    if isinstance(target, str) and is_known_part(target):
        return
    is_name = isinstance(target, str) and PACKAGE_NAME.fullmatch(target)
    package = str(target).partition(".")[0]
    if not is_name or package == "gantry" or (package in ("torch", "lightning") and not is_inside(target, trusted)):
        rule = "a part of gantry, torch.nn, torch.optim or Lightning, or of a trusted package"
        raise UserError(f"{key} must be {rule}, got {target}")
    if not is_inside(target, trusted):
        rule = f"in a trusted package (trust=[{package}] or {TRUST_VARIABLE}={package})"
        raise UserError(f"{key} must be under gantry, torch or lightning, or {rule}, got {target}")
    if not is_defined_inside(import_target(key, target), trusted) or crosses_module(target, trusted):
        raise UserError(f"{key} must be defined in a trusted package, got {target}, which is only imported there")


def is_known_part(target: str) -> bool:
    """Return True for a part of Gantry, or of a library, that every run folder may name. Imports nothing."""
    module, _, name = target.rpartition(".")
    return bool(LIBRARY_PARTS.fullmatch(target)) or (target in list_named_parts() and name in list_parts(module))


@cache
def list_named_parts() -> frozenset[str]:
    """Return the names of Gantry's that are a `_target_` in a file of configs/, and the parts without a file."""
    texts = [path.read_text(encoding="utf-8") for path in CONFIG_DIR.rglob("*.yaml")]
    return frozenset(name for text in texts for name in NAMED_PART.findall(text)) | UNNAMED_PARTS


@cache
def list_parts(module: str) -> frozenset[str]:
    """Return the public classes and functions that a module of Gantry defines, if it is in a room of parts."""
    package, *names = module.split(".")
    path = PACKAGE.joinpath(*names).with_suffix(".py")
    if package != "gantry" or not (names and names[0] in PART_ROOMS and PACKAGE_NAME.fullmatch(module)):
        return frozenset()
    nodes = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
    defined = (node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef))
    return frozenset(name for name in defined if not name.startswith("_"))


def is_inside(name: str, packages: Sequence[str]) -> bool:
    """Return True for a dotted name within one of the packages."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def is_defined_inside(target: Callable[..., Any], packages: Sequence[str]) -> bool:
    """Return True unless a package only imports the class or function from elsewhere: `my_models.shutil.rmtree`."""
    if not (isclass(target) or isroutine(target)):
        return True
    name = f"{target.__module__}.{target.__qualname__}"
    return is_inside(name, packages) or is_known_part(name)


def crosses_module(target: str, packages: Sequence[str]) -> bool:
    """Return True if a name leads through a module of another package: `my_models.numpy.ones`."""
    names = target.split(".")
    value: Any = sys.modules[names[0]]
    for name in names[1:]:
        value = getattr(value, name)
        if isinstance(value, ModuleType):
            is_above = any(is_inside(package, [value.__name__]) for package in packages)
            if not (is_above or is_inside(value.__name__, packages)):
                return True
    return False


def build_stored(values: Mapping[str, Any], key: str, trusted: Sequence[str]) -> Any:
    """Build the object that plain values of a run folder describe. Raises ValueError unless it may be built."""
    check_targets(values, key, trusted)
    return build(OmegaConf.create({key: dict(values)})[key])
