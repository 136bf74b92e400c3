"""Train every adversarial loss on the ring of eight Gaussians and print a Markdown table of the modes it covers.

python benchmarks/ring.py              # all losses
python benchmarks/ring.py hinge r1     # some
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
R1_TERM = "+loss.d_terms.r1=0.01"
SHORT_TRAINING = ["loss.n_critic=2", "turns=1800"]
LOSS_OVERRIDES: dict[str, list[str]] = {
    "minimax": [],
    "nonsaturating": [R1_TERM],
    "bce": [R1_TERM],
    "lsgan": [R1_TERM],
    "hinge": [R1_TERM, "loss.n_critic=1"],
    "wgan": ["turns=4000", "recipe.lr=1e-3"],
    "wgan_gp": ["loss.d_terms.gp.weight=0.1", *SHORT_TRAINING],
    "wgan_lp": ["loss.d_terms.lp.weight=0.1", *SHORT_TRAINING],
    "dragan": ["loss.d_terms.dragan.weight=0.01"],
    "r1": ["loss.d_terms.r1.weight=0.01"],
    "relativistic": [R1_TERM],
    "relativistic_average": [R1_TERM],
    "r3": ["loss.d_terms.r1.weight=0.01", "loss.d_terms.r2.weight=0.01"],
}


def train_ring(loss: str) -> dict[str, float]:
    """Train with a loss; return the final scores and the seconds of training."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "src" / "train.py"), *make_ring_overrides(loss), f"run.dir={folder}/run"]
        quiet = ["logger=csv", "callbacks.samples=null", "callbacks.evaluate.every=100000"]
        subprocess.run([*command, *quiet], check=True, stderr=subprocess.DEVNULL, cwd=folder)
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
    return {**summary["last"]["scores"], "turns": summary["turns"], "seconds": summary["seconds"]}


def make_ring_overrides(loss: str) -> list[str]:
    """Return the overrides of a loss."""
    return ["experiment=ring", f"loss={loss}", *LOSS_OVERRIDES[loss]]


def main() -> None:
    print("| overrides | turns | seconds | modes | high quality |\n|---|---|---|---|---|", flush=True)
    for loss in sys.argv[1:] or LOSS_OVERRIDES:
        scores = train_ring(loss)
        cells = [f"`{' '.join(make_ring_overrides(loss)[1:])}`", f"{scores['turns']:.0f}", f"{scores['seconds']:.0f}"]
        cells += [f"{scores['modes']:.0f} of 8", f"{scores['high_quality']:.1%}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
