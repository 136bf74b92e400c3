"""The command: what it writes, what it says, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fake_runs import write_fake_run, write_fake_sweep
from gantry.commands.compare import compare
from gantry.errors import UserError

ROOT = Path(__file__).parents[2]


def write_comparison(out: Path, *folders: Path | str, **other: object) -> Path:
    return compare(OmegaConf.create({"runs": [str(f) for f in folders], "out": str(out), "pictures": 3, **other}))


def test_a_page_a_table_and_the_verdict_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write_fake_sweep(tmp_path / "sweep")
    write_fake_run(sweep / "8", "model=sngan", done=40)
    assert write_comparison(tmp_path / "out", sweep) == tmp_path / "out" / "compare.html"
    text = (tmp_path / "out" / "compare.md").read_text()
    assert text.startswith("Best: model=dcgan loss=hinge with fd_digits 20.15 ± 0.64")
    assert "| 1 | dcgan | hinge | 1, 2 | 20.15 ± 0.64 | 21.15 ± 0.64 | A | finished |" in text
    assert "|  | sngan | - | 1 |  |  |  | 0 of 1 finished |" in text
    assert "model (mean best fd_digits over 2 matched settings): dcgan 22.15, mlp 42.15" in text
    assert "- 8 is interrupted: at turn 40 of 100" in text
    output = capsys.readouterr().out
    assert output.startswith("Best: model=dcgan loss=hinge")
    assert "- 8 is interrupted" in output
    assert write_comparison(tmp_path / "other.html", sweep).is_file()
    assert (tmp_path / "other.md").read_text() == text


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"runs": None}, "runs must be folders of runs or of sweeps"),
        ({"runs": []}, "runs must be folders of runs or of sweeps"),
        ({"runs": [3]}, "runs must be folders of runs or of sweeps"),
        ({"runs": ["missing"]}, "runs must be folders of runs, got missing, which does not exist"),
        ({"pictures": -1}, "pictures must be an integer of at least 0, got -1"),
        ({"pictures": True}, "pictures must be an integer of at least 0, got True"),
        ({"out": "x.md"}, "out must be a folder or a path that ends in .html, got x.md"),
        ({"out": "/dev/null/x.html"}, "out must be where a file can be written, got /dev/null/x.html"),
    ],
)
def test_mistakes_are_one_line(other: dict[str, object], message: str, tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", "model=mlp")
    cfg = {"runs": [str(run)], "out": str(tmp_path / "out"), "pictures": 0} | other
    with pytest.raises(UserError) as caught:
        compare(OmegaConf.create(cfg))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_needs_no_torch(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "run", "model=mlp")
    script = (
        "import sys, runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
        "sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    )
    words = [str(ROOT / "src" / "compare.py"), f"runs=[{tmp_path}]", f"out={tmp_path / 'out'}"]
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Best: all runs with fd_digits 10 (one seed)." in done.stdout
