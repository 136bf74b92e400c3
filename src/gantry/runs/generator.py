"""A generator on disk: weights as safetensors, all else as JSON. Nothing is unpickled."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from gantry.errors import UserError, user_errors
from gantry.files import atomic_write
from gantry.nets.contract import Generator
from gantry.runs.generator_json import GeneratorInfo, hash_file, read_generator_info
from gantry.runs.layout import GENERATOR_WEIGHTS
from gantry.values import to_json_values

TRUSTED_PREFIX = "gantry.nets."


def save_generator(
    G: Generator, config: Mapping[str, Any], folder: Path | str, extra: Mapping[str, Any] | None = None
) -> None:
    """Write `folder`/model.safetensors and `folder`/generator.json, replacing those that are there.

    Raises RunError when the disk takes no more; the earlier ones are then as they were.
    `config` holds the `_target_` and the plain arguments of G, `extra` what else JSON can say of it.
    """
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in G.state_dict().items()}
    with atomic_write(Path(folder) / GENERATOR_WEIGHTS) as part:
        part.write_bytes(save(weights))
        sha256 = hash_file(part)
        what = GeneratorInfo(
            to_json_values(config), list(G.shape), G.z_dim, G.num_classes, sha256, to_json_values(extra or {})
        )
    what.write(Path(folder))  # the two files change within an instant of one another


def load_generator(folder: Path | str, trust: bool = False) -> Generator:
    """The generator that `save_generator` wrote, in evaluation mode, on the CPU.

    Only the nets of Gantry are built; with `trust`, any importable class. Raises UserError when the files
    are damaged or do not belong together.
    """
    what = read_generator_info(Path(folder))
    path = Path(folder) / GENERATOR_WEIGHTS
    if not path.is_file() or hash_file(path) != what.sha256:
        raise UserError(f"generator must have the whole {GENERATOR_WEIGHTS} that its JSON describes, got {folder}")
    G = build_generator(what.config, trust)
    try:
        G.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"generator must have the weights of {what.config['_target_']}, got {reason}") from None
    return G.eval()


def build_generator(config: Mapping[str, Any], trust: bool) -> Generator:
    """The module that a config describes. The global random state is left as it was."""
    target = str(config.get("_target_"))
    if not trust and not target.startswith(TRUSTED_PREFIX):
        raise UserError(f"generator._target_ must be under {TRUSTED_PREFIX} unless it is trusted, got {target}")
    module, _, name = target.rpartition(".")
    arguments = {key: value for key, value in config.items() if key != "_target_"}
    try:
        kind = getattr(importlib.import_module(module), name)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise TypeError("it is not a module")
        with user_errors(), torch.random.fork_rng(devices=[]):
            G: Any = kind(**arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"generator must describe a net that can be built, got {target}: {error}") from None
    return cast(Generator, G)
