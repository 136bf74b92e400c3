"""The order of the rooms, who may import Hydra, and which modules must import without torch."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
PACKAGE = SRC / "gantry"

# From the ground up. A module may import from its own room and from the floors below it. The rooms of one floor do not
# know each other, but for the ground, where a room may import those to its left.
GROUND = ("errors", "values", "schedules", "pixels", "files", "distributed", "rng")
FLOORS = (
    ("nets",),
    ("features",),
    ("losses", "augment", "metrics", "data", "sampling"),
    ("evaluation", "training", "config"),
    ("runs",),
    ("loggers",),
    ("compare", "figures"),
    ("callbacks",),
    ("sweeps", "commands"),
    ("api",),
)
MATHEMATICS = {"nets", "features", "losses", "augment", "metrics", "rng", "pixels", "schedules", "values"}
MATHEMATICS_MAY_IMPORT = {
    "gantry",
    "numpy",
    "safetensors",
    "scipy",
    "threadpoolctl",
    "timm",
    "torch",
    "torch_fidelity",
    "torchmetrics",
}
CONFIGURATION = ("config", "commands", "sweeps", "errors", "runs/folder")  # may import Hydra

# What answers before torch is imported: a mistake, --help, a comparison. The list is closed under imports.
WITHOUT_TORCH = [
    "api",
    "errors",
    "values",
    "files",
    "schedules",
    "nets/resolution",
    "distributed/environment",
    "evaluation/protocol",
    "evaluation/score_settings",
    "sampling/batchnorm_mode",
    "data/archives",
    "data/arrays",
    "data/class_names",
    "data/folder_index",
    "training/run_state",
    "loggers/wandb_login",
    "figures/animation",
    "figures/garbage",
    "runs/checkpoint",
    "runs/folder",
    "runs/generator_json",
    "runs/layout",
    "runs/lock",
    "runs/metrics_csv",
    "runs/migrate",
    "runs/new_folder",
    "runs/status",
    "runs/stored_values",
    "runs/summary",
    "config/checks",
    "config/choices",
    "config/compose",
    "config/instantiate",
    "config/key_rules",
    "config/kinds",
    "config/links",
    "config/resolvers",
    "config/rules",
    "config/scores",
    "config/search_path",
    "config/signatures",
    "config/stored_overrides",
    "config/text_values",
    "config/trainer_rules",
    "config/trust",
    "config/validate",
    "compare/comparison",
    "compare/config_diff",
    "compare/data_sets",
    "compare/find_runs",
    "compare/groups",
    "compare/markdown",
    "compare/page/page",
    "compare/page/page_data",
    "compare/page/reasons",
    "compare/page/scatter",
    "compare/page/text",
    "compare/protocols",
    "compare/run_record",
    "compare/score_columns",
    "compare/score_direction",
    "sweeps/hydra_callbacks",
    "sweeps/seeds",
    "sweeps/table",
    "sweeps/search/grid_sampler",
    "sweeps/search/loop",
    "sweeps/search/settings",
    "sweeps/search/space",
    "sweeps/search/study",
    "sweeps/search/sweeper",
    "sweeps/search/trials",
    "commands/compare",
    "commands/entry",
    "commands/help",
    "commands/evaluate",
    "commands/log_results",
    "commands/resume",
    "commands/sample",
    "commands/sample_request",
    "commands/show",
    "commands/workspace",
]
HEAVY = {"torch", "lightning", "torchvision", "torchmetrics", "torch_fidelity", "wandb", "matplotlib", "sklearn"}

FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [path for path in FILES if path.name != "__init__.py"]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room_of(path: Path) -> str:
    return name_of(path).partition("/")[0]


def statements(path: Path, everywhere: bool) -> list[ast.stmt]:
    """Import statements of a file: all of them, or those that run when it is imported."""
    result: list[ast.stmt] = []
    queue: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            result.append(node)
        elif everywhere or not (isinstance(node, ast.FunctionDef | ast.Lambda) or is_type_checking(node)):
            queue += ast.iter_child_nodes(node)
    return result


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def imports(path: Path, everywhere: bool = True) -> frozenset[str]:
    """Dotted names of everything that a file imports, with and without the last part of a `from` import."""
    result = set()
    for node in statements(path, everywhere):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            result |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(result)


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("gantry.")}


def libraries_imported(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)


def allowed_rooms(room: str) -> set[str]:
    if room in GROUND:
        return set(GROUND[: GROUND.index(room) + 1])
    floor = next(i for i, rooms in enumerate(FLOORS) if room in rooms)
    return {room, *GROUND, *(below for rooms in FLOORS[:floor] for below in rooms)}


def modules_reached(path: Path) -> set[Path]:
    """The modules of Gantry that are imported with this one."""
    reached, queue = set(), [path]
    while queue:
        here = queue.pop()
        if here not in reached:
            reached.add(here)
            names = {name.replace(".", "/") for name in imports(here, everywhere=False)}
            queue += [other for other in MODULES if f"gantry/{name_of(other)}" in names]
    return reached


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_from_the_floors_below_it(path: Path) -> None:
    assert rooms_imported(path) <= allowed_rooms(room_of(path))


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in MODULES} == {*GROUND, *(room for rooms in FLOORS for room in rooms)}


def test_modules_of_a_room_import_each_other_without_circles() -> None:
    below: dict[Path, set[Path]] = {path: modules_reached(path) - {path} for path in MODULES}
    assert [name_of(a) for a in MODULES if any(a in below[b] for b in below[a])] == []


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(p) in MATHEMATICS], ids=name_of)
def test_mathematics_knows_no_framework(path: Path) -> None:
    assert libraries_imported(path) <= MATHEMATICS_MAY_IMPORT


@pytest.mark.parametrize("path", [p for p in MODULES if not name_of(p).startswith(CONFIGURATION)], ids=name_of)
def test_parts_know_no_configuration(path: Path) -> None:
    assert not libraries_imported(path) & {"hydra", "omegaconf"}


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_answers_come_before_torch_is_imported(name: str) -> None:
    for path in modules_reached(PACKAGE / f"{name}.py"):
        assert not {library.split(".")[0] for library in imports(path, everywhere=False)} & HEAVY, path


def test_the_list_of_modules_without_torch_is_whole() -> None:
    light = {
        name_of(path)
        for path in MODULES
        if not any(
            {library.split(".")[0] for library in imports(other, everywhere=False)} & HEAVY
            for other in modules_reached(path)
        )
    }
    assert light == set(WITHOUT_TORCH)


def test_package_files_are_empty() -> None:
    packages = [path for path in FILES if path.name == "__init__.py" and path.parent != PACKAGE]
    assert [path for path in packages if path.read_text()] == []


def test_every_folder_is_a_package_of_at_most_eighteen_modules() -> None:
    folders = {path.parent for path in MODULES}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
    assert [folder for folder in folders if len(list(folder.glob("*.py"))) > 19] == []


def test_scripts_are_short_and_alone() -> None:
    scripts = sorted(SRC.glob("*.py"))
    assert scripts
    assert all(len(path.read_text().splitlines()) <= 60 for path in scripts)
    assert [path for path in FILES if "__main__" in path.read_text()] == []


def test_no_file_and_no_function_is_long() -> None:
    assert [name_of(path) for path in FILES if len(path.read_text().splitlines()) > 250] == []
    functions = [
        (f"{name_of(path)}.{node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    assert [(name, lines) for name, lines in functions if lines > 35] == []


def test_a_top_level_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name_of(path))
    several = {name: result for name, result in places.items() if len(result) > 1}
    assert several.keys() <= {"Generator", "Discriminator"}, several  # the papers' names, one pair for each family


def test_tests_mirror_the_source() -> None:
    tests = Path(__file__).parent
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    rooms = {path.parent.relative_to(PACKAGE) for path in FILES}
    assert folders <= {*rooms, Path("fuzz")}, folders - rooms


BANNED_NAMES = {"said", "told", "drawn", "made", "found", "asked", "begun", "settled", "named", "shown"}
BANNED_NAMES |= {"described", "merged", "kept", "given", "done", "gone", "beside", "whole"}


def test_docstrings_begin_with_what_they_return_or_do() -> None:
    nodes = [(path, node) for path in FILES for node in ast.walk(ast.parse(path.read_text()))]
    parts = [(path, node) for path, node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)]
    docs = [(name_of(path), ast.get_docstring(node) or "") for path, node in parts]
    assert [(name, doc) for name, doc in docs if doc.startswith(("What ", "Whether ", "How ", "Of ", "Which "))] == []


def test_functions_and_classes_are_not_named_by_participles() -> None:
    nodes = [(path, node) for path in FILES for node in ast.walk(ast.parse(path.read_text()))]
    names = [(name_of(path), node.name) for path, node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert [(path, name) for path, name in names if name.strip("_") in BANNED_NAMES] == []
