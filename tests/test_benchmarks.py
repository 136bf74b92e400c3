"""The speed benchmarks: the baseline loop does the same work as Gantry, and every part runs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn

from gantry import rng
from gantry.losses import adversarial
from gantry.losses.objective import Objective
from gantry.nets import mlp
from gantry.training.ema import Ema
from gantry.training.gan import GAN
from gantry.training.optim import Optim

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
PARTS = ("turn", "switches", "floor", "loader", "evaluation", "memory", "scaling", "start")


@pytest.fixture(autouse=True)
def _add_benchmarks_to_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def extract_block(page: str, part: str, device: str) -> str:
    return page.split(f"<!-- {part}, {device} -->\n")[1].split("<!-- end -->")[0]


def test_replace_block_changes_only_the_block_of_its_device() -> None:
    from speed.markdown_page import replace_block

    page = PAGE.read_text()
    changed = replace_block(page, "turn", "cuda", "| new |\n")
    assert extract_block(changed, "turn", "cuda") == "| new |\n"
    assert changed.replace("| new |\n", extract_block(page, "turn", "cuda")) == page
    with pytest.raises(ValueError, match="must have a block <!-- turn, tpu -->"):
        replace_block(page, "turn", "tpu", "| new |")


def test_page_has_a_block_for_every_part() -> None:
    blocks = re.findall(r"<!-- (\w+), (\w+) -->", PAGE.read_text())
    expected = [(part, device) for part in PARTS for device in ("cpu", "cuda")]
    assert blocks == [block for block in expected if block != ("start", "cuda")]


def test_format_ratio_uses_the_ratio_of_each_round() -> None:
    from speed.timing import format_ratio

    assert format_ratio([2.0, 4.0, 30.0], [1.0, 2.0, 10.0]) == "2.00 (2.00 to 2.50)"


def test_count_cost_equals_closed_forms() -> None:
    from speed.operation_cost import count_cost

    a, b = torch.ones(3, 5), torch.ones(5, 7)
    cost = count_cost(lambda: (a @ b).view(-1))
    assert cost.flops == 2 * 3 * 5 * 7
    assert cost.bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)  # the view copies nothing


N, TURNS, ADAM = 8, 3, {"lr": 1e-2, "betas": (0.5, 0.9)}
LOSSES = {
    "nonsaturating": Objective(adversarial.minimax_d, adversarial.nonsaturating_g),
    "hinge": Objective(adversarial.hinge_d, adversarial.hinge_g, n_critic=3),
}


def make_nets() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    G = mlp.Generator((2,), 3, hidden=[4], norm="batch", activation="relu")
    return G, mlp.Discriminator((2,), hidden=[4], norm="none")


class PointLoader:
    """Turns of n_critic batches of points."""

    def __init__(self, n_critic: int) -> None:
        self.x = torch.rand(TURNS, n_critic, N, 2, generator=torch.Generator().manual_seed(1))
        self.c = torch.zeros(TURNS, n_critic, N, dtype=torch.int64)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(self.x, self.c))


@pytest.fixture
def _float64() -> Iterator[None]:
    """Use float64: gradients of biases before BatchNorm are rounding errors, which Adam scales up in float32."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_plain_loop_trains_the_same_nets_as_gantry(loss: str, tuned: bool) -> None:
    """Start from the same weights, images and latents."""
    from speed.plain_loop import LoopRecipe, PlainLoop

    loader, adam = PointLoader(LOSSES[loss].n_critic), partial(torch.optim.Adam, **ADAM)
    gan = GAN(*make_nets(), LOSSES[loss], Optim(adam, adam), Ema(0.0), turns=TURNS, batch_size=N, seed=5)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_steps=TURNS, max_epochs=-1, enable_model_summary=False, **quiet)
    trainer.fit(gan, train_dataloaders=loader)

    recipe = LoopRecipe(loss, LOSSES[loss].n_critic, N, ADAM)
    loop = PlainLoop(*make_nets(), torch.zeros(N, 2), torch.zeros(N, dtype=torch.int64), recipe, tuned)
    batches = iter(list(zip(loader.x.flatten(0, 1), loader.c.flatten(0, 1))))
    loop.next_batch, loop.draw_z = lambda: next(batches), lambda: rng.randn(N, 3)  # type: ignore[method-assign]
    for turn in range(TURNS):
        rng.seed_turn(5, turn)
        loop.run_turn()
    for ours, theirs in ((gan.G, loop.G), (gan.D, loop.D)):
        torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=1e-9, atol=1e-9)


def test_memory_benchmark_does_not_import_lightning() -> None:
    code = "import speed.memory, sys; sys.exit('lightning' in sys.modules)"
    paths = [str(ROOT / "src"), str(ROOT / "benchmarks")]
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_fills_its_block(part: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    tiny = ["--toy", "--rounds", "2", "--seconds", "0.01", "--write", "--page", str(page)]
    command = [sys.executable, str(ROOT / "benchmarks" / "bench.py"), part, *tiny]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    rows = [line for line in extract_block(page.read_text(), part, "cpu").splitlines() if line.startswith("| ")]
    assert len(rows) >= 3
    assert all(row.count("|") >= 3 for row in rows)
    assert extract_block(page.read_text(), part, "cpu") in result.stdout
