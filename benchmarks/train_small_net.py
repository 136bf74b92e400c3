"""Train the small networks that ship with Gantry as feature extractors, and store them.

    python benchmarks/train_small_net.py cifar10

The known ingredients of fast CIFAR-10 training: a whitened stem, SGD with Nesterov momentum, a learning rate
that rises once and falls once, flips and translations (Page 2018, "How to train your ResNet"; Jordan 2024,
"94% on CIFAR-10 in 3.29 seconds on a single GPU"). Training computes in bfloat16. Its batch norms are folded
into the convolutions before the weights are rounded to float16 and stored. The accuracy printed at the end is
that of the stored file, computed in float32 on the test split, which nothing before has looked at.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from gantry.data.digits import Digits
from gantry.data.images import InMemoryImages, RealData
from gantry.data.torchvision_sets import TorchvisionDataset
from gantry.features.small_classifier import SmallNet, load_small_net

WEIGHTS_FOLDER = Path(__file__).parents[1] / "src/gantry/features/weights"
DATA_ROOT = os.environ.get("GANTRY_DATA_DIR", "~/.cache/gantry")


@dataclass(frozen=True)
class TrainingRecipe:
    """How one network is trained; `shift` is the largest translation in pixels."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    smoothing: float
    shift: int
    flip: bool


TRAINING_RECIPES = {
    "digits": TrainingRecipe(40, batch_size=64, lr=0.1, weight_decay=1e-3, smoothing=0.0, shift=1, flip=False),
    "mnist": TrainingRecipe(10, batch_size=256, lr=0.2, weight_decay=1e-3, smoothing=0.0, shift=2, flip=False),
    "cifar10": TrainingRecipe(16, batch_size=512, lr=0.5, weight_decay=1e-3, smoothing=0.1, shift=4, flip=True),
}


def load_real_data(name: str, root: str) -> RealData:
    """The data set of that name, with its own held-out split, which is the test."""
    if name == "digits":
        return Digits().load()
    return TorchvisionDataset("MNIST" if name == "mnist" else "CIFAR10", root).load()


def set_standardisation(net: SmallNet, images: Tensor) -> None:
    """Give the network the mean and standard deviation of each channel of the training images."""
    x = images.double() / 255
    net.mean.copy_(x.mean((0, 2, 3)).view_as(net.mean))
    net.std.copy_(x.std((0, 2, 3)).view_as(net.std))


def whiten_stem(stem: nn.Conv2d, x: Tensor, eps: float = 1e-3) -> None:
    """Fix the stem to the principal directions of 2x2 patches, scaled to unit variance, with both signs."""
    patches = F.unfold(x, 2).movedim(1, 2).flatten(0, 1)  # [N positions, 4 C]
    values, vectors = torch.linalg.eigh(patches.double().T.cov())
    filters = (vectors / (values + eps).sqrt()).T
    stem.weight.data.copy_(torch.cat([filters, -filters]).view_as(stem.weight))
    stem.bias.data.zero_()
    stem.requires_grad_(False)


def add_batch_norms(net: SmallNet) -> None:
    """Follow every convolution of the stages by a batch norm, which takes over the bias."""
    for stage in net.stages:
        for name, conv in list(stage.named_children()):
            plain = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1, bias=False)
            nn.init.dirac_(plain.weight.data[: conv.in_channels])  # starts near the identity
            setattr(stage, name, nn.Sequential(plain, nn.BatchNorm2d(conv.out_channels)))


def fold_batch_norms(net: SmallNet) -> None:
    """The opposite, in eval mode: the same function, with plain convolutions."""
    for stage in net.stages:
        for name, (conv, norm) in list(stage.named_children()):
            setattr(stage, name, fuse_conv_bn_eval(conv, norm))


def augment_images(x: Tensor, shift: int, flip: bool) -> Tensor:
    """x [N, C, H, W] -> each image mirrored with probability one half and moved by up to `shift` pixels."""
    n, _, h, w = x.shape
    padded = F.pad(x, [shift] * 4, mode="reflect").movedim(1, 3)
    rows = torch.randint(2 * shift + 1, (n, 1)) + torch.arange(h)  # [N, H]
    columns = torch.randint(2 * shift + 1, (n, 1)) + torch.arange(w)  # [N, W]
    if flip:
        columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    return padded[torch.arange(n).view(n, 1, 1), rows.unsqueeze(2), columns.unsqueeze(1)].movedim(3, 1)


def iter_batches(x: Tensor, c: Tensor, recipe: TrainingRecipe) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches; what is left over at the end of the permutation is dropped."""
    for index in torch.randperm(len(x)).split(recipe.batch_size):
        if len(index) == recipe.batch_size:
            yield augment_images(x[index], recipe.shift, recipe.flip), c[index]


def make_optimizer(net: SmallNet, recipe: TrainingRecipe) -> torch.optim.SGD:
    """Nesterov SGD; weight decay on weights, not on biases and batch norms."""
    trained = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)


def one_cycle_factor(progress: float, peak: float = 0.2) -> float:
    """Factor of the learning rate: linear from 0 to 1 at `peak`, linear back to 0 at progress 1."""
    return progress / peak if progress < peak else (1 - progress) / (1 - peak)


def train_net(net: SmallNet, images: InMemoryImages, recipe: TrainingRecipe) -> None:
    """Minimise the smoothed cross-entropy for `recipe.epochs` epochs, printing one line each."""
    x, c = net.preprocess(images.x), images.c
    steps = recipe.epochs * (len(x) // recipe.batch_size)
    optim = make_optimizer(net, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optim, lambda step: one_cycle_factor((step + 1) / (steps + 1)))
    start = time.perf_counter()
    net.train()
    for epoch in range(recipe.epochs):
        for x_batch, c_batch in iter_batches(x, c, recipe):
            with torch.autocast("cpu", torch.bfloat16):
                logits = net.head(net.extract_features(x_batch))
            loss = F.cross_entropy(logits.float(), c_batch, label_smoothing=recipe.smoothing)
            optim.zero_grad()
            loss.backward()
            optim.step()
            schedule.step()
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1:2d}  loss of the last batch {loss.item():.4f}  {seconds:.0f} s", flush=True)


def compute_accuracy(net: SmallNet, images: InMemoryImages) -> float:
    """Share of images whose most probable class is the true one, without test-time augmentation."""
    guesses = torch.cat([net(x).probabilities.argmax(1) for x in images.x.split(500)])
    return (guesses == images.c).double().mean().item()


def save_net(net: SmallNet, folder: Path) -> Path:
    """Write the folded network: weights as float16, the constants of standardisation as they are."""
    weights = {key: value.detach().half().contiguous() for key, value in net.named_parameters()}
    path = folder / f"{net.name}.safetensors"
    save_file(weights | dict(net.named_buffers()), path)
    path.chmod(0o644)  # safetensors lets nobody but the owner read
    return path


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=TRAINING_RECIPES)
    parser.add_argument("--root", default=DATA_ROOT, help="folder of the data, filled if it is empty")
    parser.add_argument("--out", type=Path, default=WEIGHTS_FOLDER, help="folder of the weights file")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    recipe = TRAINING_RECIPES[args.which]
    recipe = replace(recipe, epochs=args.epochs or recipe.epochs)
    torch.manual_seed(args.seed)
    data = load_real_data(args.which, args.root)
    assert isinstance(data.train, InMemoryImages)
    assert isinstance(data.test, InMemoryImages)
    net = SmallNet(args.which)
    set_standardisation(net, data.train.x)
    whiten_stem(net.stem, net.preprocess(data.train.x[:5000]))
    add_batch_norms(net)
    train_net(net.to(memory_format=torch.channels_last), data.train, recipe)
    fold_batch_norms(net.eval())
    path = save_net(net, args.out)
    share = compute_accuracy(load_small_net(args.which, args.out), data.test)
    print(f"{path.name}: {path.stat().st_size:,} bytes, test accuracy {share:.2%}")


if __name__ == "__main__":
    main()
