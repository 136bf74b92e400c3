"""Compare two ways to average gradients over two processes: one message per backward pass, DistributedDataParallel.

    python benchmarks/ddp.py

Both train the same nets on the same batches with `trainer=ddp_cpu`, alternately; the table has the median milliseconds
of a turn. DistributedDataParallel needs `find_unused_parameters=True` and `requires_grad` switched for each net, since
the gradients of D must not wait for those of G.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

TURNS, REPEATS = 60, 3
HOOKS_VARIABLE = "GANTRY_BENCHMARK_HOOKS"  # set in processes that use DistributedDataParallel
OVERRIDES_TO_COMPARE = (
    ["model=mlp", "loss=nonsaturating"],
    ["model=dcgan_small", "loss=nonsaturating"],
    ["model=dcgan_small", "loss=wgan_gp", "loss.n_critic=2"],
)


def make_hooked_gan_class() -> type:
    """Return a GAN class whose gradients are averaged by the hooks of DistributedDataParallel in the backward pass."""
    from torch import Tensor

    from gantry.losses.update import Batch
    from gantry.training.executor import ScalarTensors
    from gantry.training.gan import GAN, LossFunction
    from gantry.training.optim import NetName

    class HookedGan(GAN):
        def minimize(
            self, net: NetName, compute_loss: LossFunction, x: Tensor, c: Tensor, fakes: int = 1
        ) -> ScalarTensors:
            optimizer = self.trainer.optimizers["GD".index(net)]
            ids = {id(p) for group in optimizer.param_groups for p in group["params"]}
            for module in (self.G, self.D):
                for p in module.parameters():
                    p.requires_grad_(id(p) in ids)
            optimizer.zero_grad()
            loss, scalars = compute_loss(Batch(x, c, *self.sample_latents(x, c, fakes)))
            self.manual_backward(loss)
            optimizer.step()
            for module in (self.G, self.D):
                module.requires_grad_(True)
            return scalars

    return HookedGan


def run_train_process() -> None:
    """Run one process of a training, with the command line of src/train.py."""
    from gantry.commands.entry import command

    @command("train")
    def main(cfg: Any) -> None:
        from gantry.commands import train, workers

        workers.TRAIN_SCRIPT = Path(__file__)  # the other ranks must run this file, too
        if os.environ.get(HOOKS_VARIABLE):
            train.GAN = make_hooked_gan_class()  # type: ignore[misc,assignment]
        train.train(cfg)

    main()


def measure_turn_ms(overrides: list[str], hooks: bool, trainer: str = "ddp_cpu", threads: int = 1) -> float:
    """Return the median time of a turn without the first third of the turns; `threads` is the number per process."""
    quiet = [
        "logger=csv",
        "callbacks.samples=null",
        "metrics=none",
        "callbacks.scalars.every=1",
        "callbacks.export=null",
    ]
    lightning_ddp = [
        "trainer.strategy._target_=lightning.pytorch.strategies.DDPStrategy",
        "+trainer.strategy.find_unused_parameters=true",
    ]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"trainer={trainer}", f"turns={TURNS}", *overrides, *quiet, f"run.dir={folder}/run"]
        arguments += lightning_ddp if hooks else []
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), HOOKS_VARIABLE: "1" if hooks else ""}
        subprocess.run([sys.executable, __file__, *arguments], check=True, stderr=subprocess.DEVNULL, env=environment)
        return read_turn_ms(Path(folder) / "run")


def read_turn_ms(run: Path) -> float:
    """Compute the median milliseconds of a turn from the speeds in metrics.csv."""
    from gantry.runs.metrics_csv import read_columns

    metrics = read_columns(run)
    images = 1000 * metrics["kimg"][-1] / metrics["turn"][-1]
    speeds = metrics["speed/images_per_second"]
    return float(median(1000 * images / speed for speed in speeds[TURNS // 3 :] if speed == speed))


def main() -> None:
    print("| | one message | hooks | hooks / one message |\n|---|---|---|---|")
    for overrides in OVERRIDES_TO_COMPARE:
        pairs = [
            (measure_turn_ms(overrides, hooks=False), measure_turn_ms(overrides, hooks=True)) for _ in range(REPEATS)
        ]
        ours, theirs = (median(values) for values in zip(*pairs))
        print(f"| `{' '.join(overrides)}` | {ours:.1f} ms | {theirs:.1f} ms | {theirs / ours:.2f} |", flush=True)


if __name__ == "__main__":
    run_train_process() if len(sys.argv) > 1 else main()
