"""What a user gets wrong ends in one line that names the key, before torch is imported."""

import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hydra.errors import MissingConfigException
from omegaconf import open_dict

from compose_config import compose_config, list_choices
from gantry.commands.entry import validate_early
from gantry.commands.resume import expand_resume, is_stored_override
from gantry.config import checks, resolvers
from gantry.config.choices import check_choices
from gantry.config.compose import CONFIG_DIR
from gantry.config.instantiate import build_all
from gantry.config.text_values import quote_text_values
from gantry.errors import LAUNCHER_EXTRAS, UserError, format_error, user_errors
from gantry.runs.checkpoint import find_newest_checkpoint, verify_checkpoint
from gantry.runs.folder import list_config_changes, write_config

ROOT = Path(__file__).parents[2]

MISTAKES = {
    "turns=${nosuch}": "nosuch must be given, since turns refers to it, got nothing",
    "turns=${seed} seed=${turns}": "turns must be a value or a link to one, got ${seed}: it refers to itself",
    "model.G.shape=[${nosuch},8,8]": "nosuch must be given, since model.G.shape[0] refers to it, got nothing",
    "run.name=${run.name}": "run.name must be a value or a link to one, got ${run.name}: it refers to itself",
    "turns=???": "turns must be given, got nothing",
    "callbacks.health.patience=???": "callbacks.health.patience must be given, got nothing",
    "optim.D.lr=???": "optim.D.lr must be given, got nothing",
    "model.name=${..}": "model.name must be a text or a link ${another.key}, got ${..}, which is neither",
    "callbacks.health=${seed}": "got 0 (callbacks.health refers to it)",
    "loss=null": "loss must be one of bce, dragan",
    "paths=5": "paths must be one of default, got 5",
    "data=[[]]": "data must be one of cifar10",
    "logger=[csv,5]": "logger must be one of csv",
    "data=../up": "data must be one of cifar10",
    "data=${data.name}": "data must be one of cifar10",
    f"model={'x' * 5000}": "xxx... (5,000 characters)",
    f"metrics.reference={'x' * 5000}": "metrics.reference must be a path, got xxx",
    "model=dcgam": "model must be one of biggan, biggan_cifar, dcgan, dcgan_small, mlp",
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
    "hparams_search=optuna": "hparams_search must be one of grid, random, tpe, got optuna",
    "run.auto_resume=true": "run.name must be given with run.auto_resume=true",
    "trainer.devices=2": "trainer.devices must be 1 for this trainer (trainer=ddp or ddp_cpu for more), got 2",
    "trainer=gpu trainer.devices=auto": "trainer.devices must be 1 for this trainer (trainer=ddp or ddp_cpu for more)",
    "trainer=gpu trainer.devices=[0,1]": "for more), got [0, 1]",
    "trainer.precision=16-mixed": "must be one of 32-true, bf16-mixed, bf16-true, 64-true, got 16-mixed",
    "trainer.precision=16": "trainer.precision must be one of 32-true, bf16-mixed, bf16-true, 64-true, got 16",
    "data=ring model=mlp augment=diffaugment": "augment must be none for points, got DiffAugment",
    "optim.accumulate=3": "data.batch_size must be a multiple of 3 (1 devices times 3 parts), got 64",
    "model=stylegan2 data.batch_size=48": "model.D.group must be a divisor of 48, the images that D judges at a time",
    "model=stylegan2 optim.accumulate=4": "data.batch_size, per process and part), got 32",
    "model=stylegan2 model.D.kind=skips": "model.D.kind must be one of skip, resnet, orig, got skips",
    "model=stylegan2 model.G.mixing=2": "model.G.mixing must be a number in [0, 1], got 2",
    "loss=wgan_gp model.D.norm=batch": "model.D.norm must not be batch with the penalties gp",
    "+loss.d_terms.r3=1": "loss.d_terms.r3 must be one of the known keys",
    "data=folder": "data.source.root must be given",
    "data=folder data.source.root=missing": "data.source.root must be a folder with images",
    "resume=missing": "resume must be the folder of a run, got missing, which does not exist",
    "model=[a": "model must be a value that Hydra can read",
    "model.G=abc": "model.G must be a dict with _target_, got abc",
    "ema=null": "ema must be a dict with _target_, got null",
    "~ema": "ema must be a dict with _target_, got null",
    "loss.d=5": "loss.d must be a dict with _target_, got 5",
    "loss.d_terms=5": "loss.d_terms must be a dict, got 5",
    "+loss.d_terms.r1=abc": "loss.d_terms.r1 must be a weight or a dict with _target_, got abc",
    "loss.d_terms.r1=1": "loss.d_terms.r1 must be written +loss.d_terms.r1, which adds a key",
    "metrics.report=abc": "metrics.report must be a dict with _target_ or null, got abc",
    "+metrics.scores.kid=abc": "metrics.scores.kid must be true, false or a dict with _target_, got abc",
    "metrics=own": "metrics.extractor.net._target_ must be given, got nothing",
    "optim.schedule=linear": "optim.schedule must be a dict with _target_, got linear",
    "optim.G.betas=null": "optim.G.betas must be two numbers in [0, 1), got null",
    "data.shape=[]": "data.shape must be [channels, height, width] or [2], got []",
    "trainer.num_nodes=0": "trainer.num_nodes must be an integer of at least 1, got 0",
    "trainer.strategy=null": "trainer.strategy must be auto or a dict with _target_, as in trainer=ddp, got null",
    "callbacks.samples=5": "callbacks.samples must be a dict with _target_, null or false, got 5",
    "callbacks.samples.every=0": "callbacks.samples.every must be an integer of at least 1, got 0",
    "trainer.max_steps=-1": "trainer.max_steps must be left at turns, which is the budget: turns=1200, got -1",
    "trainer.max_steps=3 turns=6": "trainer.max_steps must be left at turns, which is the budget: turns=6, got 3",
    "trainer.max_epochs=3": "trainer.max_epochs must be -1: turns is the budget, got 3",
    "+trainer.limit_train_batches=2": "trainer.limit_train_batches must be left out: turns is the budget, data.limit",
    "+trainer.gradient_clip_val=1": "trainer.gradient_clip_val must be left out: optim.clip bounds gradients, got 1",
    "+trainer.accumulate_grad_batches=2": "must be left out: optim.accumulate computes a batch in parts, got 2",
    "trainer.accelerator=gpu": "trainer.accelerator must be cpu, cuda or mps (as in trainer=cpu, gpu, mps), got gpu",
    "model.conditional=flase": "model.conditional must be true or false, got flase",
    "ema.ramp=nan": "ema.ramp must be a number above 0 or null, got nan",
    "ema.half_life=inf": "ema.half_life must be a finite number, got inf",
    "seed=99999999999999999999": "seed must be an integer of at most 9223372036854775807",
    "recipe.betas=[nan,0.5]": "recipe.betas must be two numbers in [0, 1), got [nan, 0.5]",
    "model=mlp model.G.hidden=[0]": "model.G.hidden must be a list of integers of at least 1, got [0]",
    "+loss.g_terms.r1=1": "loss.g_terms.r1 must be a term of G, got one of D (+loss.d_terms.r1)",
    "loss=wgan_gp loss.d_terms.r1=1": "the known keys gp, got an unknown one (+loss.d_terms.r1 adds one)",
    "loss.d=null": "loss.d must be a dict with _target_, got null",
    "metrics.extractor=5": "metrics.extractor must be a dict with _target_ or null, got 5",
    "callbacks.evaluate.evaluation=5": "callbacks.evaluate.evaluation must be a dict with _target_, got 5",
    "callbacks.samples.keep=1": "callbacks.samples.keep must be an integer of at least 2, got 1",
    "callbacks.samples.rows=0": "callbacks.samples.rows must be an integer from 1 to 1000, got 0",
    "loss.d._partial_=false": "loss.d._partial_ must be true: real_logits, fake_logits of gantry.losses.adversarial.",
    "optim.G._partial_=false": "optim.G._partial_ must be true: it is called later, got false",
    "metrics.extractor._partial_=false": "metrics.extractor._partial_ must be true: it is called later, got false",
    "+model.G._partial_=true": "model.G._partial_ must be false: it is no function, got true",
    "+ema._partial_=true": "ema._partial_ must be false: it is no function, got true",
    "model.G._target_=gantry.nets.dcgan": "must be a class or a function, got gantry.nets.dcgan, a module",
    "model.G._target_=torch.nn": "model.G._target_ must be a class or a function, got torch.nn, a module",
    "model.G._target_=gantry.nets.dcgan.Gen": "must be a class or a function of gantry.nets.dcgan, got Gen",
    "logger.csv._target_=abc": "logger.csv._target_ must be the dotted name of a class or a function, got abc",
    "~loss.d": "loss.d must be given, got nothing",
    "tags=5": "tags must be a list of texts, got 5",
    "optim.G.betas=${model}": "optim.G.betas must be two numbers in [0, 1), got",
    "model.sides=a.b": "model.sides must be something that can be imported, got a.b: No module named 'a'",
    "model.G._target_=5": "model.G._target_ must be the dotted name of a class or a function, got 5",
    "+model.G._args_=5": "model.G._args_ must be a list, got 5",
    "+model.G._args_=[x]": "model.G._args_[0] must be a list of integers, got x",
    "+model.G._convert_=none": "model.G._convert_ must be all, partial or object",
    "+model.G._partial_=5": "model.G._partial_ must be true or false, got 5",
    "turns=null": "turns must be an integer of at least 1, got null",
    "turns=": "turns must be an integer of at least 1, got nothing",
    "recipe=5": "recipe must be a dict, got 5",
    "task={}": "task must be the name of a folder, got {}",
    "model=": "model must be one of biggan, biggan_cifar, dcgan, ",
    "~hardware=5": "hardware must be one of cpu, ddp, gpu, mps, got 5",
    "data=[5]": ", stacked_mnist, got [5]",
    "hydra/sweeper=5": "hydra/sweeper must be the name of a choice, got 5",
    "model@x=mlp": "model@x must be a key or a choice that this command has, got mlp",
    "+model=mlp": "model must be written without +, since there is one already",
    "logger=[csv,nosuch]": "logger must be one of csv, mlflow, none, tensorboard, wandb, got nosuch",
    "callbacks=[default,nosuch]": "callbacks must be one of ",
    "+optim.G.lr=1": "optim.G.lr must be written without +, since there is one already, got +optim.G.lr",
    "~logger": "logger must be left out by logger=[], got ~logger",
    "~nosuch": "~nosuch must be a key or a choice that there is",
    "hydra.run.dir=null": "hydra.run.dir must not be null, got null",
    "hydra.mode=5": "hydra.mode must be of the kind that Hydra takes (Invalid value '5', expected one of",
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


OWN_PARTS = [
    "+callbacks.mine={_target_:my.Callback,weight:-0.5,every:0,patience:0,seed:-1,lr:auto,betas:null,precision:16}",
    "+callbacks.mine={_target_:torch.nn.Identity,weight:-0.5,every:0,seed:-1}",
    "optim.G._target_=my.Optimizer optim.G.lr=auto optim.G.betas=null",
    "model.G._target_=my.Generator model.G.num_classes=-1",
]


@pytest.mark.parametrize("words", OWN_PARTS)
def test_keys_of_own_parts_have_no_rules_by_their_names(words: str) -> None:
    resolvers.register_resolvers()
    validate_early("train", words.split())


SWEEP_WORDS = ["optim.D.lr=interval(1e-4,1e-2)", "model.z_dim=2,3", "model.z_dim=range(2,5)"]


@pytest.mark.parametrize("swept", SWEEP_WORDS)
def test_swept_values_belong_to_a_search_or_a_sweep(
    swept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "--multirun" in refusal("model=mlp", swept)
    validate_early("train", ["hparams_search=tpe", "model=mlp", swept])
    assert "epochs must be one of the known keys" in refusal("hparams_search=tpe", "epochs=3", swept)


def test_the_signature_of_an_own_part_has_rules() -> None:
    own = "+callbacks.mine={_target_:recording_callbacks.SignalSender,number:auto}"
    assert refusal(own) == "callbacks.mine.number must be an integer, got auto"


@pytest.mark.parametrize("value", ["null", "false"])
def test_callbacks_and_loggers_can_be_left_out(value: str) -> None:
    cfg = compose_config(*(f"callbacks.{name}={value}" for name in compose_config().callbacks), f"logger.csv={value}")
    assert build_all(cfg.callbacks) == {}
    assert "csv" not in build_all({name: node for name, node in cfg.logger.items() if name == "csv"})  # type: ignore[arg-type]


@pytest.mark.parametrize("group", ["model", "loss", "hardware"])
def test_all_choices_are_listed(group: str) -> None:
    assert refusal(f"{group}=nosuch") == f"{group} must be one of {', '.join(list_choices(group))}, got nosuch"


COMMANDS = ["train", "evaluate", "sample", "compare", "workspace"]
GROUPS = sorted({path.parent.relative_to(CONFIG_DIR).as_posix() for path in CONFIG_DIR.glob("*/**/*.yaml")})


def test_a_choice_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    resolvers.register_resolvers()
    for command in COMMANDS:
        for group in [*GROUPS, "hydra", "hydra/launcher"]:
            for value in ("5", "1.5", "true", "null", "[5]"):
                with pytest.raises(UserError) as caught, user_errors():
                    validate_early(command, [f"{group}={value}"])
                assert re.fullmatch(
                    rf"{group} must be (one of|the name of) .*, got {re.escape(value)}", str(caught.value)
                )


@pytest.mark.parametrize("words", ["hardware=5", "hardware=gpu,5", "model=null,mlp"])
def test_a_choice_in_a_sweep_is_a_name(words: str) -> None:
    assert refusal("-m", words).startswith(f"{words.partition('=')[0]} must be one of ")


def test_names_in_quotes_and_all_ways_to_sweep_them_are_choices() -> None:
    words = ["model='mlp'", "logger=[csv]", "data={limit:8}", "~debug", "turns=5"]
    check_choices([*words, "hydra/launcher=joblib"], CONFIG_DIR)
    check_choices(["-m", "model='mlp',dcgan", "loss=glob(*)", "optim=choice(adam,rmsprop)"], CONFIG_DIR)


def test_a_choice_of_another_command_is_refused_by_its_key() -> None:
    with (
        pytest.raises(UserError, match=r"^loss must be a key or a choice that this command has, got hinge$"),
        user_errors(),
    ):
        validate_early("evaluate", ["loss=hinge"])


@pytest.mark.parametrize(("command", "key"), [("evaluate", "output"), ("compare", "out")])
def test_a_path_that_must_be_given_is_not_null(command: str, key: str) -> None:
    with pytest.raises(UserError, match=rf"^{key} must be a path, got null$"), user_errors():
        validate_early(command, quote_text_values([f"{key}=null"]))
    with pytest.raises(UserError, match=rf"^paths\.logs must be given, since {key} refers to it"), user_errors():
        validate_early(command, ["paths=[]"])


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_no_gpu() -> None:
    assert "without a CUDA device" in refusal("trainer=gpu")


def test_a_device_that_another_line_offers_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "count_cuda_devices", lambda: 0)
    monkeypatch.setattr(checks, "is_apple", lambda: False)
    assert refusal("trainer=gpu").startswith("trainer must be cpu or ddp_cpu on a machine without a CUDA device")
    apple = "trainer must be cpu, ddp_cpu or gpu on a machine without Apple's GPU, got mps"
    assert refusal("trainer=mps") == refusal("trainer.accelerator=mps") == apple
    monkeypatch.setattr(checks, "is_apple", lambda: True)
    assert refusal("trainer=gpu").startswith("trainer must be cpu, ddp_cpu or mps on a machine")


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
    complete = last.read_bytes()
    last.write_bytes(complete[:-100])
    with pytest.raises(ValueError, match="checkpoint must be whole"):
        find_newest_checkpoint(tmp_path)
    last.write_bytes(complete[:500] + b"\xff" + complete[501:])
    with pytest.raises(ValueError, match=r"damaged|CRC"):
        verify_checkpoint(last)
    before = checkpoint(tmp_path / "checkpoints" / "before.ckpt")
    assert not caplog.records
    assert find_newest_checkpoint(tmp_path) == before
    (warning,) = caplog.messages
    assert f"got {last}: data is damaged. Resuming from the previous checkpoint {before}" in warning
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
