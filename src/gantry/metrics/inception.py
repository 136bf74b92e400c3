"""The Inception-v3 of FID, IS and KID: torch-fidelity's port of the published TensorFlow net (2015-12-05)."""

import hashlib
import io
import os
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from gantry import world
from gantry.metrics.features import Features
from gantry.metrics.precision import full_precision
from gantry.metrics.score import INCEPTION

FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d"  # how the digest of the published file begins


class Inception(nn.Module):
    """Extractor: uint8 [N, 1 or 3, H, W] -> Features with 2,048 features and 1,008 probabilities.

    As torch-fidelity computes them: pool3 features, and for the Inception Score a softmax of the logits
    without their bias. `weights` names their file; None: the published ones, from the cache of torch.hub or
    downloaded. `name` is "inception" with the published weights alone; with others it tells them apart.
    Raises ValueError when weights cannot be had or read.
    """

    dim, num_classes = 2048, 1008
    resizer = "grey repeated to three channels; bilinear to 299x299 as TensorFlow 1.x does it"

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        path = published_weights() if weights is None else Path(weights).expanduser()
        if not path.is_file():
            raise ValueError(f"metrics.weights must be null or a file, got {path}, which does not exist")
        data = path.read_bytes()
        self.digest = hashlib.sha256(data).hexdigest()
        published = self.digest.startswith(SHA256)
        if weights is None and not published:
            raise ValueError(f"metrics=inception needs whole weights: delete {path}, which is damaged")
        self.name = INCEPTION if published else f"{INCEPTION}-{self.digest[:8]}"
        self.net = _network(data, path)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Features:
        """x uint8 [N, 1 or 3, H, W], any side -> float32: features [N, 2048], probabilities [N, 1008]."""
        with full_precision(x.device):
            (features,) = self.net(x.expand(-1, 3, -1, -1))
        exact = torch.float32 if x.device.type == "mps" else torch.float64  # no TF32 in a product of float64
        logits = features.to(exact) @ self.net.fc.weight.to(exact).T
        return Features(features, logits.softmax(1).float())


def published_weights() -> Path:
    """Where torch.hub keeps the file; if it is not there, one process downloads and checks it."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    problem = ""
    if not path.is_file() and int(os.environ.get("LOCAL_RANK", 0)) == 0:
        problem = _download(path)
    world.barrier()
    if not path.is_file():
        raise ValueError(
            f"metrics=inception needs {path}: download {URL_INCEPTION_V3} to that place, or name the file by "
            f"metrics.weights=PATH{problem and f' (downloading it failed: {problem})'}"
        )
    return path


def _download(path: Path) -> str:
    """Fetch the file; -> what went wrong, "" if nothing did."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix=SHA256, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        return " ".join(str(error).split())
    return ""


def _network(data: bytes, path: Path) -> FeatureExtractorInceptionV3:
    """The net with the weights of a file that may come from anywhere, without running code that it may hold.

    torch-fidelity unpickles what it is given; it is given our own copy of the tensors, in memory.
    """
    try:
        weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        torch.save(weights, copy := io.BytesIO())
        copy.seek(0)
        return FeatureExtractorInceptionV3(INCEPTION, ["2048"], copy)
    except Exception as error:  # of a file of another kind, an unpickler can say anything
        reason = str(error).partition("\n")[0]
        raise ValueError(f"metrics.weights must be those of Inception-v3, got {path}: {reason}") from None
