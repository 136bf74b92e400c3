"""The names of files in a run folder are spelled in one module."""

import ast
from pathlib import Path

import yaml

from gantry.runs import layout

REPOSITORY = Path(__file__).parents[2]
FILE_NAMES = tuple(
    name
    for key, value in vars(layout).items()
    if key.isupper() and not key.endswith("_FOLDER")
    for name in (value if isinstance(value, tuple) else (value,))
    if "." in name
)
PACKAGE = REPOSITORY / "src/gantry"


def read_constants(path: Path) -> set[str]:
    """The strings in a module, or the constant parts of its f-strings, that are not docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return {node.value for node in constants if isinstance(node.value, str)}


def test_no_other_module_spells_the_name_of_a_file() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path != Path(layout.__file__)]
    strings = [(path, text) for path in modules for text in read_constants(path) if text.endswith(FILE_NAMES)]
    assert strings == [(PACKAGE / "data/torchvision_sets.py", ".lock")]  # of a download


def test_the_configuration_names_the_same_files() -> None:
    callbacks = yaml.safe_load((REPOSITORY / "configs/callbacks/checkpoints.yaml").read_text())
    assert callbacks["checkpoints"]["folder"] == f"${{run.dir}}/{layout.CHECKPOINTS_FOLDER}"
    train = yaml.safe_load((REPOSITORY / "configs/train.yaml").read_text())
    assert train["hydra"]["job"]["name"] == "${task}"
    assert f"{train['task']}.log" == layout.LOG_FILE


def test_sample_images_are_sorted_by_turn(tmp_path: Path) -> None:
    for name in (layout.sample_image_name(1_000_000), layout.sample_image_name(200), "grid.png", "samples.webp"):
        (tmp_path / name).touch()
    assert list(layout.list_sample_images(tmp_path)) == [200, 1_000_000]
