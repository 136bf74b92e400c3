"""What a user gets wrong ends in one line that names the key, before torch is imported."""

import copy
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hydra.errors import MissingConfigException
from omegaconf import open_dict

from compose_config import compose_config, list_choices
from gantry.commands.entry import disable_schema_copies, validate_early
from gantry.commands.resume import expand_resume, is_stored_override
from gantry.config import resolvers
from gantry.config.compose import CONFIG_DIR
from gantry.errors import LAUNCHER_EXTRAS, UserError, format_error, user_errors
from gantry.runs.checkpoint import find_newest_checkpoint, verify_checkpoint
from gantry.runs.folder import list_config_changes, write_config

ROOT = Path(__file__).parents[2]

MISTAKES = {
    "model=dcgam": "model must be one of dcgan, dcgan_small, mlp",
    "loss=wgan-gp": "loss must be one of bce, dragan",
    "data=cifar": "data must be one of cifar10",
    "trainer=tpu": "trainer must be one of cpu, ddp",
    "model.G.wdth=3": "did you mean width?",
    "epochs=3": "epochs must be one of the known keys",
    "dcgan": "each word of the command must be KEY=VALUE, got dcgan",
    "turns=abc": "turns must be an integer of at least 1, got abc",
    "turns=0": "turns must be an integer of at least 1, got 0",
    "seed=-1": "seed must be an integer of at least 0, got -1",
    "model.z_dim=1.5": "model.z_dim must be an integer, got 1.5",
    "loss.n_critic=0": "loss.n_critic must be an integer of at least 1, got 0",
    "recipe.lr=-1": "recipe.lr must be a number of at least 0, got -1",
    "optim.D.lr=-1": "optim.D.lr must be a number of at least 0, got -1",
    "optim.D.betas=[0.5,2]": "optim.D.betas must be two numbers in [0, 1), got [0.5, 2]",
    "data.shape=[1,27,27]": "data.shape must have a side of 8, 10, 12",
    "data=ring": "data.shape must have a side of",
    "trainer=ddp_cpu data.batch_size=7": "data.batch_size must be a multiple of 2 (2 devices), got 7",
    "trainer=ddp_cpu trainer.devices=0": "trainer.devices must be an integer of at least 1, -1 or auto for all, or",
    "trainer=ddp_cpu trainer.devices=-2": "of different device numbers, got -2",
    "trainer=ddp_cpu trainer.devices=-1": "trainer.devices must be an integer of at least 1 on the CPU, got -1",
    "trainer=ddp_cpu trainer.devices=[0,1]": "trainer.devices must be an integer of at least 1 on the CPU, got [0, 1]",
    "trainer=ddp trainer.devices=[1,1]": "of different device numbers, got [1, 1]",
    "trainer=ddp trainer.devices=all": "of different device numbers, got all",
    "trainer=ddp_cpu trainer.devices=null": "of different device numbers, got null",
    "trainer=ddp_cpu trainer.strategy=ddp": "trainer.strategy must be auto or a dict with _target_, as in trainer=ddp",
    "trainer=ddp_multinode": "trainer must be ddp or ddp_cpu unless torchrun or srun starts it, got ddp_multinode",
    "launcher=joblib": "launcher must be basic for a single run (-m makes a sweep, of one job too), got joblib",
    "hparams_search=tpe": "hparams_search must be null for a single run (-m makes a search), got tpe",
    "hparams_search=optuna": "hparams_search must be one of grid, random, tpe, got optuna",
    "run.auto_resume=true": "run.name must be given with run.auto_resume=true",
    "trainer.devices=2": "trainer.devices must be 1 for this trainer (trainer=ddp or ddp_cpu for more), got 2",
    "trainer=gpu trainer.devices=auto": "trainer.devices must be 1 for this trainer (trainer=ddp or ddp_cpu for more)",
    "trainer=gpu trainer.devices=[0,1]": "for more), got [0, 1]",
    "trainer.precision=16-mixed": "must be one of 32-true, bf16-mixed, bf16-true, 64-true, got 16-mixed",
    "trainer.precision=16": "trainer.precision must be one of 32-true, bf16-mixed, bf16-true, 64-true, got 16",
    "data=ring model=mlp augment=diffaugment": "augment must be none for points, got DiffAugment",
    "optim.accumulate=3": "data.batch_size must be a multiple of 3 (1 devices times 3 parts), got 64",
    "loss=wgan_gp model.D.norm=batch": "model.D.norm must not be batch with the penalties gp",
    "+loss.d_terms.r3=1": "loss.d_terms.r3 must be one of the known keys",
    "data=folder": "data.source.root must be given",
    "data=folder data.source.root=missing": "data.source.root must be a folder with images",
    "resume=missing": "run must be the folder of a run, got missing, which does not exist",
    "model=[a": "no viable alternative",
}


def refusal(*argv: str) -> str:
    resolvers.register_resolvers()
    with pytest.raises(UserError) as caught, user_errors():
        validate_early("train", expand_resume(list(argv)))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("words", MISTAKES)
def test_one_line_that_names_the_key(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert MISTAKES[words] in refusal(*words.split())
    assert list(tmp_path.iterdir()) == []


def test_all_choices_are_listed() -> None:
    assert refusal("model=none") == f"model must be one of {', '.join(list_choices('model'))}, got none"


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_no_gpu() -> None:
    assert "without a CUDA device" in refusal("trainer=gpu")


def test_the_command_is_quick_and_says_no_more(tmp_path: Path) -> None:
    started = time.monotonic()
    command = [sys.executable, str(ROOT / "src" / "train.py"), "model=foo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert time.monotonic() - started < 3
    assert done.returncode == 2
    assert done.stderr.startswith("error: model must be one of")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_heavy_is_imported_to_refuse() -> None:
    check = "import sys; import gantry.commands.entry; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT / "src", check=False).returncode == 0


def test_a_launcher_that_is_not_installed_names_its_extra() -> None:
    error = MissingConfigException("no such", "hydra/launcher/ray", ["basic"])
    assert format_error(error) == 'launcher must be installed (pip install "gantry[ray]"), got ray'
    installed = {path.stem for path in (CONFIG_DIR / "launcher").glob("*.yaml")} - {"basic"}
    assert installed == LAUNCHER_EXTRAS.keys()


def folder_of_a_run(folder: Path, *overrides: str) -> Path:
    cfg = compose_config(*overrides)
    with open_dict(cfg):
        cfg.run.overrides = list(overrides)
    write_config(cfg, folder)
    return folder


def test_what_may_change_when_a_run_goes_on(tmp_path: Path) -> None:
    folder = folder_of_a_run(tmp_path / "run", "model=mlp", "turns=10")
    assert f"resume must be the folder of a run with a checkpoint, got {folder}" in refusal(f"resume={folder}")
    checkpoint(folder / "checkpoints" / "before.ckpt")  # killed between the two renames
    validate_early("train", expand_resume([f"resume={folder}", "turns=20"]))
    assert list_config_changes(compose_config("model=mlp", "turns=20"), folder) == ["turns 10 -> 20"]
    assert list_config_changes(compose_config("model=mlp", "turns=10", "trainer.precision=bf16-mixed"), folder) == [
        "trainer.precision 32-true -> bf16-mixed"
    ]
    assert refusal(f"resume={folder}", "model.z_dim=7") == "model.G.z_dim must be 100 as in the run to resume, got 7"
    named = ["model=mlp", f"run.dir={folder}", "run.auto_resume=true"]
    validate_early("train", [*named, "turns=20"])
    assert "model.G.z_dim must be 100 as in the run to resume" in refusal(*named, "turns=10", "model.z_dim=7")
    assert "run.name must be new" in refusal(*named[:2])


def test_a_checkpoint_that_is_cut_short_is_refused_early(tmp_path: Path) -> None:
    folder = folder_of_a_run(tmp_path / "run", "model=mlp", "turns=10")
    last = checkpoint(folder / "checkpoints" / "last.ckpt")
    last.write_bytes(last.read_bytes()[:-100])
    assert refusal(f"resume={folder}").startswith(f"checkpoint must be whole, got {last}: ")


def test_a_job_of_a_sweep_goes_on_though_its_name_is_a_number(tmp_path: Path) -> None:
    folder = folder_of_a_run(tmp_path / "0", "model=mlp", "turns=10")
    checkpoint(folder / "checkpoints" / "last.ckpt")
    validate_early("train", expand_resume([f"resume={folder}", "turns=20"]))


def test_what_belongs_to_one_start_and_what_to_the_run() -> None:
    words = ["hparams_search=tpe", "hparams_search/pruner=none", "callbacks.pruning.pruner.n_startup_trials=1"]
    words += ["++callbacks.pruning.pruner.n_warmup_steps=1", "run.name=S", "resume=X", "launcher=joblib"]
    assert [word for word in words if is_stored_override(word)] == []
    assert all(map(is_stored_override, ["seed=1", "+loss.d_terms.r1=1", "callbacks.samples=null"]))


def checkpoint(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", bytes(range(256)) * 40)
    return path


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last = checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert find_newest_checkpoint(tmp_path) == last
    whole = last.read_bytes()
    last.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="checkpoint must be whole"):
        find_newest_checkpoint(tmp_path)
    last.write_bytes(whole[:500] + b"\xff" + whole[501:])
    with pytest.raises(ValueError, match=r"damaged|CRC"):
        verify_checkpoint(last)
    before = checkpoint(tmp_path / "checkpoints" / "before.ckpt")
    assert not caplog.records
    assert find_newest_checkpoint(tmp_path) == before
    (warning,) = caplog.messages
    assert f"got {last}: data is damaged; going on from the one before, {before}" in warning
    before.write_bytes(b"")
    with pytest.raises(ValueError, match=rf"got {last}: data is damaged, and the one before, {before}: .*not a zip"):
        find_newest_checkpoint(tmp_path)


def test_a_run_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume must be the folder of a run with a checkpoint"):
        find_newest_checkpoint(tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint must be a \.ckpt file, got nope, which does not exist"):
        verify_checkpoint(Path("nope"), "checkpoint", "a .ckpt file")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "64-true", "32", "bf16", "64", "'32'"])
def test_precisions_without_a_scaled_loss_are_taken(precision: str) -> None:
    assert compose_config(f"trainer.precision={precision}").trainer.precision is not None


def test_an_augmentation_of_images_and_none_of_points_are_taken() -> None:
    assert compose_config("augment=diffaugment").augment.cutout > 0
    assert list(compose_config("data=ring", "model=mlp").data.shape) == [2]


def test_help_copies_no_schemas_of_hydra_and_takes_what_it_needs_anyway() -> None:
    from hydra.core.config_store import ConfigStore

    disable_schema_copies()
    store = ConfigStore.instance()
    assert copy.deepcopy(store) is store  # for each group that is listed: two thirds of the time of --help
    before = store.load("hydra/config.yaml").node
    compose_config("model=mlp", "hydra.job.name=other")
    assert store.load("hydra/config.yaml").node == before
    assert compose_config().model.name == "dcgan_small"
