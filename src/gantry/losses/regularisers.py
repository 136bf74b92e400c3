"""Terms on weights, features and the latent space: update -> [N], or [1] for a number of the whole batch."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from gantry import rng
from gantry.distributed import collectives
from gantry.errors import UserError
from gantry.losses.term import Requirements, requires
from gantry.losses.update import Update
from gantry.nets.contract import Judgement


@requires(Requirements("D"))
def orthogonal_d(update: Update) -> Tensor:
    """|W W^T o (1 - I)|^2 over the weights of D (BigGAN, Brock et al. 2019, eq. 3): -> [1]."""
    return sum_of_overlaps(update.D)


@requires(Requirements("G"))
def orthogonal_g(update: Update) -> Tensor:
    """|W W^T o (1 - I)|^2 over the weights of G (BigGAN, Brock et al. 2019, eq. 3): -> [1]."""
    return sum_of_overlaps(update.G)


def sum_of_overlaps(net: object) -> Tensor:
    """Return the sum of the squared products of different filters of a layer, over all layers: -> [1]."""
    overlaps = []
    for weight in iterate_filters(net):
        products = weight @ weight.T
        overlaps.append(products.square().sum() - products.diagonal().square().sum())
    return torch.stack(overlaps).sum().view(1)


def iterate_filters(net: object) -> Iterator[Tensor]:
    """Yield the weights of convolutions and linear layers, before any norm of weights, as [filters, inputs].

    Embeddings are left out, as in the authors' code.
    """
    assert isinstance(net, nn.Module)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            parametrizations = getattr(layer, "parametrizations", None)
            weight = parametrizations.weight.original if parametrizations is not None else layer.weight
            yield (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)


@requires(Requirements("G", couples_samples=True))
def feature_matching(update: Update) -> Tensor:
    """|mean f(x) - mean f(G(z))|^2 for D's features f (Salimans et al. 2016, section 3.1): -> [1].

    The means are over the global batch; the real images are those of the last batch of D.
    """
    with torch.no_grad():
        real = _require_features(update.judge(update.x_real, update.c))
    means = (collectives.all_gather(features).mean(0) for features in (real, _require_features(update.fake)))
    return (next(means) - next(means)).square().sum().view(1)


def _require_features(judgement: Judgement) -> Tensor:
    if judgement.features is None:
        raise UserError("loss.g_terms must be without feature matching unless D returns features, got a D without")
    return judgement.features


class PathLength(nn.Module):
    """(|J_w^T y| - a)^2, y ~ N(0, I) over the pixels (StyleGAN2, Karras et al. 2020, eq. 4): update -> [N].

    J_w is the Jacobian of G's synthesis by the styles w; the length is the root of the mean over layers of the squared
    norm. a is its moving average with `decay`, here as it was before the update, so that no part of a batch depends on
    another. One of each `share` samples is used. In G's update alone, with a G that has `map`, `select_noise` and
    `synthesize`.
    """

    requirements = Requirements("G")
    mean: Tensor

    def __init__(self, decay: float = 0.99, share: int = 2) -> None:
        super().__init__()
        self.decay, self.share = decay, share
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, update: Update) -> Tensor:
        lengths = self.compute_lengths(update)
        update.scalars["path/length"] = collectives.all_gather(lengths.detach()).mean()
        return (lengths - self.mean).square()

    def compute_lengths(self, update: Update) -> Tensor:
        """Return the lengths of the paths of every `share`-th sample: -> [N / share]."""
        G = update.G
        if not (hasattr(G, "map") and hasattr(G, "select_noise") and hasattr(G, "synthesize")):
            raise UserError("loss.g_terms must be without path lengths unless G has styles (model=stylegan2), got one")
        z, c = update.z[:: self.share], update.c_fake[:: self.share]
        w = G.map(z, c)
        x = G.synthesize(w, G.select_noise(z))
        y = rng.randn(len(x), *x.shape[1:], device=x.device) / math.sqrt(math.prod(x.shape[2:]))
        (slope,) = torch.autograd.grad((x * y).sum(), w, create_graph=True)
        return slope.square().sum(2).mean(1).sqrt()

    def observe(self, scalars: Mapping[str, Tensor]) -> None:
        """Move the average towards the mean length of the update."""
        self.mean.lerp_(scalars["path/length"], 1 - self.decay)
