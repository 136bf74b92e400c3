"""Statistics of real images, stored on disk under a key that hashes everything that determines them."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gantry.distributed import collectives
from gantry.errors import RunError
from gantry.features.published_weights import TensorMapping, hash_tensors
from gantry.files import atomic_write

log = logging.getLogger(__name__)

CACHE_FORMAT = 1  # to be raised when the meaning of the files changes, so that old files are not read


def load_or_compute(
    folder: Path | None,
    facts: Mapping[str, Any],
    make: Callable[[], TensorMapping],
    device: torch.device,
    is_right: Callable[[TensorMapping], bool] = bool,
) -> TensorMapping:
    """Return make(), read from the folder if it has a complete file, else computed and written to it.

    `facts` is everything that determines the tensors; those of a file must be `is_right`, too, since anybody may have
    written it. Every process must call it; if one of them cannot read the file,
    all of them compute the tensors together. Without a folder nothing is stored. The processes vote on `device`.
    """
    path = None if folder is None else folder.expanduser() / f"{make_cache_key(facts)}.safetensors"
    cached = read_cached_tensors(path, is_right) if path is not None else None
    votes = int(collectives.all_reduce_sum_(torch.tensor(int(cached is not None), device=device)))
    if cached is not None and votes == collectives.world_size():
        return cached
    tensors = make()
    if path is not None and collectives.rank() == 0:
        write_cached_tensors(path, tensors, facts)
    collectives.barrier()
    return tensors


def make_cache_key(facts: Mapping[str, Any]) -> str:
    """Return a file name that is unique to these facts."""
    text = json.dumps({"format": CACHE_FORMAT, **facts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_cached_tensors(path: Path, is_right: Callable[[TensorMapping], bool]) -> TensorMapping | None:
    """Return the tensors of a file; None if it is missing or, with a warning, if it is damaged."""
    if not os.access(path, os.F_OK):  # unlike the method of Path, also where the folder may not be looked into
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            is_intact = (file.metadata() or {}).get("sha256") == hash_tensors(tensors) and is_right(tensors)
    except (SafetensorError, OSError):
        is_intact = False
    if not is_intact:
        log.warning("%s is damaged: computing the statistics of the real images again", path)
    return tensors if is_intact else None


def write_cached_tensors(path: Path, tensors: TensorMapping, facts: Mapping[str, Any]) -> None:
    """Write a file completely or not at all; if the folder cannot be written to, log a warning."""
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    about = {"sha256": hash_tensors(plain), "facts": json.dumps(facts, sort_keys=True)}
    try:
        with atomic_write(path, path.with_name(f"{path.name}.{os.getpid()}.part")) as part:
            save_file(plain, part, metadata=about)
    except (RunError, SafetensorError) as error:
        log.warning("the statistics of the real images are not stored: %s", error)
