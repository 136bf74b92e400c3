"""Published weights: found on the disk or downloaded once, checked, and read without running code in them."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor

from gantry.distributed import collectives
from gantry.errors import UserError, format_on_one_line


@dataclass(frozen=True)
class PublishedWeights:
    """A published file: the choice of `metrics` that needs it, its address and the first digits of its sha256."""

    metrics_choice: str
    url: str
    sha256_prefix: str

    def find_file(self, weights: str | None) -> tuple[Path, str]:
        """Return the file `weights`, or the published one for None, and its sha256; every process must call it.

        The published file comes from the cache of torch.hub; if it is not there, one process downloads it. Raises
        ValueError if there is no such file, or the published one is damaged.
        """
        path = self._find_or_download() if weights is None else Path(weights).expanduser()
        if not path.is_file():
            raise UserError(f"metrics.weights must be null or a file, got {path}, which does not exist")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if weights is None and not digest.startswith(self.sha256_prefix):
            raise UserError(f"metrics={self.metrics_choice} needs complete weights: delete {path}, which is damaged")
        return path, digest

    def make_extractor_name(self, known: str, digest: str) -> str:
        """Return the name of an extractor with weights of this digest: `known` for the published ones alone."""
        return known if digest.startswith(self.sha256_prefix) else f"{known}-{digest[:8]}"

    def _find_or_download(self) -> Path:
        path = Path(torch.hub.get_dir()) / "checkpoints" / self.url.rpartition("/")[2]
        problem = ""
        if not path.is_file() and int(os.environ.get("LOCAL_RANK", 0)) == 0:
            problem = self._download(path)
        collectives.barrier()
        if not path.is_file():
            raise UserError(
                f"metrics={self.metrics_choice} needs {path}: download {self.url} to that path, or name the file by "
                f"metrics.weights=PATH{problem and f' (downloading it failed: {problem})'}"
            )
        return path

    def _download(self, path: Path) -> str:
        """Download the file; -> the reason why that failed, "" if it did not."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(path), hash_prefix=self.sha256_prefix, progress=False)
        except (URLError, OSError, RuntimeError) as error:
            return format_on_one_line(error, limit=200)
        return ""


def read_weights(path: Path, whose: str) -> dict[str, Tensor]:
    """Return the tensors of a file from anywhere, without running code that it may contain.

    Raises ValueError for any other file; the message has the name of the network, `whose`.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(tensors, dict):
            raise TypeError(f"it holds a {type(tensors).__name__}")
    except Exception as error:  # unpickling a file of another kind can raise anything
        raise make_weights_error(path, whose, error) from None
    return tensors


def make_weights_error(path: Path, whose: str, error: Exception) -> UserError:
    """Return the error, in one line, for a file of weights that cannot be used."""
    return UserError(f"metrics.weights must be those of {whose}, got {path}: {format_on_one_line(error, limit=200)}")


TensorMapping = dict[str, Tensor]


def hash_tensors(tensors: TensorMapping) -> str:
    """Return a hash of names, types, shapes and every byte."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
