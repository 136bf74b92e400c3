"""Mutations of the files of a run, also by somebody who wants a reader to execute code or to write elsewhere."""

import csv
import io
import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

from file_fuzz import ODD_VALUES, Touch, mutate_file, mutate_tree
from gantry.features.published_weights import hash_tensors
from gantry.runs.generator_json import hash_file
from gantry.runs.layout import GENERATOR_JSON

Values = tuple[Any, ...]
SECRET_VARIABLE, SECRET = "GANTRY_FUZZ_SECRET", "known-to-the-reader-alone"
LAUGHS = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9) if i else 'ha'}]" for i in range(12))
LINKED = (  # what a command writes, or a file that it writes first
    *("summary.json", "metrics.csv", "job.json", "train.log", ".lock", "config.yaml", "checkpoints", "generator"),
    *("samples", "plots", "generated", "wandb", "generator/best", "generator/last", "checkpoints/last.ckpt"),
    *("summary.json.part", "checkpoints/last.ckpt.part", "generator/last/model.safetensors.part"),
    "generated/grid-4-seed0.png.part",
)


def make_hostile_values(canary: Path) -> Values:
    """Return values that create the canary if they are built, resolved or unpickled, and one that tells a secret."""
    path = str(canary)
    touch = {"_target_": "os.mkdir", "_args_": [path]}
    return (
        *(touch, {"_target_": "os.mkdir", "path": path}, {"_target_": "builtins.open", "file": path, "mode": "w"}),
        *({"_target_": f"os.{name}", "command": f"touch {path}"} for name in ("system", "popen")),
        {"_target_": "subprocess.getoutput", "cmd": f"touch {path}"},
        {"_target_": "gantry.features.custom.os.mkdir", "path": path},
        {"_target_": "torch.nn.Sequential", "_args_": [touch]},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.Sequential", "_args_": [touch]}]},
        {"_target_": "hydra.utils.instantiate", "config": touch},
        {"_target_": "gantry.config.instantiate.build", "config": touch},
        {"_target_": "torch.hub.load", "repo_or_dir": path, "model": "x", "source": "local"},
        f"+callbacks.x={{_target_:os.mkdir,path:{path}}}",
        f"+callbacks.x._target_=os.mkdir +callbacks.x.path={path}",
        f"${{oc.env:{SECRET_VARIABLE}}}",
    )


def mutate_json(source: random.Random, path: Path, values: Values) -> None:
    path.write_text(json.dumps(mutate_tree(source, json.loads(path.read_text()), values)))


def mutate_yaml(source: random.Random, path: Path, values: Values) -> None:
    text = yaml.safe_dump(mutate_tree(source, yaml.safe_load(path.read_text()), values), allow_unicode=True)
    canary = find_canary(values) or "none"
    extras = ("", "", "", "", f"x: !!python/object/apply:os.mkdir ['{canary}']\n", "---\na: 1\n", "&a [*a, *a]\n", "\t")
    path.write_text(text + source.choice((*extras, LAUGHS)))


def mutate_csv(source: random.Random, path: Path, values: Values) -> None:
    rows = mutate_tree(source, list(csv.reader(io.StringIO(path.read_text()))), values)
    lines = rows if isinstance(rows, list) else [rows]
    path.write_text("\n".join(",".join(map(str, row)) if isinstance(row, list) else str(row) for row in lines))


def mutate_checkpoint(source: random.Random, path: Path, values: Values) -> None:
    state = mutate_state(source, torch.load(path, weights_only=True), values)
    canary = find_canary(values)
    torch.save(Touch(Path(canary)) if canary and source.random() < 0.3 else state, path)


def mutate_safetensors(source: random.Random, path: Path, values: Values) -> None:
    """Change a tensor of a generator or of stored statistics, and their checksums with it."""
    with safe_open(path, framework="pt") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    changed = mutate_state(source, tensors, values)
    plain = changed if isinstance(changed, dict) else {}
    plain = {str(k): v.clone().contiguous() for k, v in plain.items() if isinstance(v, torch.Tensor) and is_small(v)}
    if source.random() < 0.15:
        header = json.dumps({"n": {"dtype": "F64", "shape": [10**12], "data_offsets": [0, 8 * 10**12]}}).encode()
        path.write_bytes(struct.pack("<Q", source.choice([len(header), 2**62])) + header + b"\0" * 64)
    else:
        save_file(plain, path, {**about, "sha256": hash_tensors(plain)} if about else None)
    if (info := path.with_name(GENERATOR_JSON)).is_file():
        info.write_text(json.dumps(json.loads(info.read_text()) | {"sha256": hash_file(path)}))


def is_small(tensor: torch.Tensor) -> bool:
    return tensor.numel() < 10**7


def find_canary(values: Values) -> str | None:
    """Return the path that the first hostile value would create, None among values without one."""
    return values[0]["_args_"][0] if isinstance(values[0], dict) else None


def mutate_state(source: random.Random, tree: Any, values: Values) -> Any:
    """Return a tree of tensors with one of them replaced or changed in shape, type or size."""
    if isinstance(tree, torch.Tensor):
        changes: list[Any] = [tree.flatten()[:1], tree.to(torch.int8), tree * float("nan"), tree[None], tree.double()]
        changes += [torch.zeros(0), torch.zeros(()).expand(10**11), -tree.double(), torch.zeros(()).expand(tree.shape)]
        return source.choice([*changes, *values])
    if not isinstance(tree, dict | list) or not tree or source.random() < 0.1:
        return source.choice(values)
    changed: Any = tree.copy()
    key = source.choice(list(tree)) if isinstance(tree, dict) else source.randrange(len(tree))
    if source.random() < 0.15:
        del changed[key]
    else:
        changed[key] = mutate_state(source, tree[key], values)
    return changed


MUTATIONS: dict[str, Callable[..., None]] = {
    ".json": mutate_json,
    ".yaml": mutate_yaml,
    ".csv": mutate_csv,
    ".ckpt": mutate_checkpoint,
    ".safetensors": mutate_safetensors,
}


def mutate_run(source: random.Random, folder: Path, outside: Path, canary: Path) -> str:
    """Change one file of a run, or make it a link to a folder outside: -> its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".png", ".log"))
    if source.random() < 0.15:
        path = folder / source.choice(LINKED)
        add_link(source, path, outside)
        return f"{path.relative_to(folder)}, a link"
    named = [path for path in files if path.suffix in MUTATIONS and "wandb" not in path.parts]
    path = source.choice(named * 3 + files)
    hostile = make_hostile_values(canary)
    if path.suffix in MUTATIONS and source.random() < 0.75:
        MUTATIONS[path.suffix](source, path, source.choice([hostile, hostile + ODD_VALUES, ODD_VALUES]))
    else:
        mutate_file(source, path)
    return str(path.relative_to(folder))


def add_link(source: random.Random, path: Path, outside: Path) -> None:
    """Put a link to something outside in the place of a file or a folder, which may have been moved there."""
    target = outside / source.choice(["last", "new"])
    if path.exists():
        target = outside / "moved"
        shutil.move(path, target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=target.is_dir())


def read_tree(folder: Path) -> dict[str, bytes | None]:
    """Return the content of all files in a folder by path, None for what is no file."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}
