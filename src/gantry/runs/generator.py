"""A generator on disk: weights as safetensors, all else as JSON. Nothing is unpickled."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gantry.config.trust import build_stored, is_known_part
from gantry.errors import UserError, format_on_one_line, user_errors
from gantry.files import atomic_write
from gantry.nets.contract import Generator, check_generator
from gantry.runs.generator_json import GeneratorInfo, hash_file, read_generator_info
from gantry.runs.layout import GENERATOR_WEIGHTS
from gantry.training.stored_state import StateMismatchError, check_tensors
from gantry.values import to_json_values


def save_generator(
    G: Generator, config: Mapping[str, Any], folder: Path | str, extra: Mapping[str, Any] | None = None
) -> None:
    """Write `folder`/model.safetensors and `folder`/generator.json, replacing those that are there.

    `config` holds the `_target_` and the plain arguments of G, `extra` other facts as JSON has them. Raises RunError
    if the disk is full; the earlier files are untouched then.
    """
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in G.state_dict().items()}
    with atomic_write(Path(folder) / GENERATOR_WEIGHTS) as part:
        part.write_bytes(save(weights))
        sha256 = hash_file(part)
        info = GeneratorInfo(
            to_json_values(config), list(G.shape), G.z_dim, G.num_classes, sha256, to_json_values(extra or {})
        )
    info.write(Path(folder))  # the two files change within an instant of one another


def load_saved_generator(folder: Path | str, trusted: Sequence[str] = ()) -> Generator:
    """Load the generator that `save_generator` wrote, in evaluation mode, on the CPU.

    Builds the parts that gantry.config.trust allows, and those of the packages `trusted`. Raises ValueError for others,
    and for files that are damaged or do not belong together.
    """
    info = read_generator_info(Path(folder))
    weights = read_generator_weights(Path(folder), info)
    G = build_generator(info.config, trusted, weights=weights)
    load_checked_weights(G, weights, "generator", Path(folder), describe_wanted_weights(info))
    return G.eval()


def load_generator_weights(G: Generator, folder: Path) -> None:
    """Load the weights in a folder into G. Raises ValueError if they are damaged or those of another generator."""
    info = read_generator_info(folder)
    weights = read_generator_weights(folder, info)
    load_checked_weights(G, weights, "generator", folder, describe_wanted_weights(info))


def describe_wanted_weights(info: GeneratorInfo) -> str:
    """Return the beginning of the line about weights that are another generator's."""
    return f"generator must have the weights of {info.config['_target_']}, got "


def load_checked_weights(G: Generator, weights: dict[str, Tensor], key: str, origin: Path, mismatch: str) -> None:
    """Load weights into G, once they have been checked to fit and to be finite.

    Raises ValueError: `mismatch` and what does not fit, or the configuration key and the file that they are of.
    """
    try:
        check_tensors(G.state_dict(), weights)
    except StateMismatchError as error:
        raise UserError(f"{mismatch}{error}") from None
    G.load_state_dict(weights)
    check_finite_weights(G, key, origin)


def read_generator_weights(folder: Path, info: GeneratorInfo) -> dict[str, Tensor]:
    """Return the weights in the folder of the generator of `info`. Raises ValueError if they are damaged."""
    path = folder / GENERATOR_WEIGHTS
    if not path.is_file() or hash_file(path) != info.sha256:
        raise UserError(f"generator must have the whole {GENERATOR_WEIGHTS} that its JSON describes, got {folder}")
    try:
        return load_file(path)
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        reason = format_on_one_line(error, limit=200)
        raise UserError(f"generator must have a {GENERATOR_WEIGHTS} of tensors, got {path}: {reason}") from None


def check_finite_weights(G: Generator, key: str, origin: Path) -> None:
    """Raise ValueError if a parameter is not finite, or NaN is in a buffer, which may hold infinities on purpose."""
    net = cast(nn.Module, G)
    wrong = [name for name, tensor in net.named_parameters() if not tensor.isfinite().all()]
    wrong += [name for name, tensor in net.named_buffers() if tensor.isnan().any()]
    if wrong:
        raise UserError(f"{key} must have finite weights, got NaN or infinity in {', '.join(wrong[:3])} of {origin}")


def build_generator(
    config: Mapping[str, Any],
    trusted: Sequence[str] = (),
    key: str = "generator",
    weights: Mapping[str, Any] | None = None,
) -> Generator:
    """Build the generator that a stored config describes; `key` is where it is stored. Raises ValueError if it cannot.

    With its `weights` it is built only if it is not larger than they are. The global random state is left as it was.
    """
    with user_errors(), torch.random.fork_rng(devices=[]):
        if weights is not None:
            check_size(config, trusted, key, weights)
        G: Any = build_stored(config, key, trusted)
    if not isinstance(G, nn.Module):
        raise UserError(f"{key} must be a torch.nn.Module, got a {type(G).__name__} of {config['_target_']}")
    check_generator(G)
    return cast(Generator, G)


def check_size(config: Mapping[str, Any], trusted: Sequence[str], key: str, weights: Mapping[str, Any]) -> None:
    """Raise UserError if a generator would be larger than its weights: a few digits can ask for terabytes.

    It is built without memory for this, which not every constructor of a trusted package allows.
    """
    try:
        with torch.device("meta"):
            G: Any = build_stored(config, key, trusted)
        sizes = {name: tensor.numel() for name, tensor in G.state_dict().items()} if isinstance(G, nn.Module) else {}
    except UserError:
        raise
    except Exception as error:  # of a known part: of its arguments
        if is_known_part(str(config.get("_target_"))):
            reason = format_on_one_line(error, with_type=True, limit=200)
            raise UserError(f"{key} must have the arguments of {config['_target_']}, got {reason}") from None
        return
    stored = {name: value.numel() for name, value in weights.items() if isinstance(value, Tensor)}
    for name, size in sizes.items():
        if size > stored.get(name, 0):
            raise UserError(f"{key} must have the weights of {config['_target_']}, got {stored.get(name, 0)} in {name}")
