"""Statistics of real images, kept on disk under a key that hashes all that determines them."""

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
from gantry.features.published_weights import TensorMapping, hash_tensors

log = logging.getLogger(__name__)

CACHE_FORMAT = 1  # raise it when what the files mean changes: old files are then not found


def load_or_compute(
    folder: Path | None, facts: Mapping[str, Any], make: Callable[[], TensorMapping], device: torch.device
) -> TensorMapping:
    """Return make(), read from the folder if a whole file is there, else computed and written there.

    `facts` is everything that determines the tensors. Every process must call it; if one of them cannot read
    the file, all of them make the tensors together. Without a folder nothing is kept. `device` is where the
    processes vote.
    """
    path = None if folder is None else folder.expanduser() / f"{make_cache_key(facts)}.safetensors"
    cached = read_cached_tensors(path) if path is not None else None
    votes = int(collectives.all_reduce_sum_(torch.tensor(int(cached is not None), device=device)))
    if cached is not None and votes == collectives.world_size():
        return cached
    made = make()
    if path is not None and collectives.rank() == 0:
        write_cached_tensors(path, made, facts)
    collectives.barrier()
    return made


def make_cache_key(facts: Mapping[str, Any]) -> str:
    """One name for one set of facts."""
    text = json.dumps({"format": CACHE_FORMAT, **facts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_cached_tensors(path: Path) -> TensorMapping | None:
    """Return the tensors of a file; None if it is not there or, with a warning, if it is damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            is_intact = (file.metadata() or {}).get("sha256") == hash_tensors(tensors)
    except (SafetensorError, OSError):
        is_intact = False
    if not is_intact:
        log.warning("%s is damaged: the statistics of the real images are made again", path)
    return tensors if is_intact else None


def write_cached_tensors(path: Path, tensors: TensorMapping, facts: Mapping[str, Any]) -> None:
    """Write a whole file or none; a folder that cannot be written to costs a warning, not the run."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    about = {"sha256": hash_tensors(plain), "facts": json.dumps(facts, sort_keys=True)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(plain, part, metadata=about)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        log.warning("the statistics of the real images are not kept: %s", error)
