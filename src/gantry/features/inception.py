"""The Inception-v3 of FID, IS and KID: torch-fidelity's port of the published TensorFlow net (2015-12-05)."""

import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from gantry.features.arithmetic import apply_arithmetic
from gantry.features.extractor import INCEPTION, ExtractorOutput
from gantry.features.published_weights import PublishedWeights, make_weights_error, read_weights

INCEPTION_WEIGHTS_FILE = URL_INCEPTION_V3.rpartition("/")[2]
INCEPTION_WEIGHTS = PublishedWeights(INCEPTION, URL_INCEPTION_V3, sha256_prefix="6726825d")


class Inception(nn.Module):
    """Extractor: uint8 [N, 1 or 3, H, W] -> ExtractorOutput with 2,048 features and 1,008 probabilities.

    As torch-fidelity computes them: pool3 features, and for the Inception Score a softmax of the logits without their
    bias. `weights` names their file; None: the published ones, from the cache of torch.hub or downloaded. `name` is
    "inception" with the published weights alone; other weights add a part of their digest. Raises ValueError if the
    weights are missing or cannot be read.
    """

    dim, num_classes = 2048, 1008
    resizer = "grey repeated to three channels; bilinear to 299x299 as TensorFlow 1.x does it"

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        path, self.digest = INCEPTION_WEIGHTS.find_file(weights)
        self.name = INCEPTION_WEIGHTS.make_extractor_name(INCEPTION, self.digest)
        self.net = _load_inception_net(path)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> ExtractorOutput:
        """x uint8 [N, 1 or 3, H, W], any side -> float32: features [N, 2048], probabilities [N, 1008]."""
        with apply_arithmetic(x.device):
            (features,) = self.net(x.expand(-1, 3, -1, -1))
        exact = torch.float32 if x.device.type == "mps" else torch.float64  # no TF32 in a product of float64
        logits = features.to(exact) @ self.net.fc.weight.to(exact).T
        return ExtractorOutput(features.float(), logits.softmax(1).float())


def _load_inception_net(path: Path) -> FeatureExtractorInceptionV3:
    """Return the net with the weights of a file.

    torch-fidelity unpickles its file: it gets our own copy of the tensors, in memory.
    """
    torch.save(read_weights(path, "Inception-v3"), copy := io.BytesIO())
    copy.seek(0)
    try:
        return FeatureExtractorInceptionV3(INCEPTION, ["2048"], copy)
    except (KeyError, RuntimeError) as error:
        raise make_weights_error(path, "Inception-v3", error) from None
