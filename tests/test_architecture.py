"""The dependency rule: arrows point to the mathematics."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
BASE = {"noise", "pixels", "plain", "world"}
MATHEMATICS = {"nets", "losses", "augment", "metrics"}
MACHINERY = {"training", "callbacks", "data", "runs"}
PURE = {
    "torch",
    "numpy",
    "scipy",
    "threadpoolctl",
    "torch_fidelity",
    "timm",
    "safetensors",
    "gantry",
}  # what mathematics may import

FILES = sorted((SRC / "gantry").rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "gantry" else {module}
    return found


def part(path: Path) -> str:
    return path.relative_to(SRC / "gantry").parts[0].removesuffix(".py")


def parts_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("gantry.")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_arrows_point_to_the_mathematics(path: Path) -> None:
    own = part(path)
    allowed = BASE | {own}
    if own in MACHINERY:
        allowed |= MATHEMATICS | MACHINERY
    assert parts_imported(path) <= allowed


@pytest.mark.parametrize(
    "path", [p for p in FILES if part(p) in MATHEMATICS | BASE], ids=lambda p: str(p.relative_to(SRC))
)
def test_mathematics_knows_no_framework(path: Path) -> None:
    import sys

    outside = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)
    assert outside <= PURE


@pytest.mark.parametrize("path", [p for p in FILES if part(p) != "runs"], ids=lambda p: str(p.relative_to(SRC)))
def test_only_runs_sees_configurations(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & {"hydra", "omegaconf"}


def test_package_files_are_empty() -> None:
    assert [p for p in FILES if p.name == "__init__.py" and p.read_text()] == []


def test_entry_points_alone_are_scripts() -> None:
    scripts = sorted(SRC.glob("*.py"))
    assert scripts
    assert all(len(path.read_text().splitlines()) <= 60 for path in scripts)
    assert [p for p in FILES if "__main__" in p.read_text()] == []


def test_no_file_is_long() -> None:
    assert [str(p) for p in FILES if len(p.read_text().splitlines()) > 220] == []
