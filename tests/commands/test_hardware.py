"""What the trainer's switches make of a GAN."""

import logging

import pytest
import torch

from compose_config import compose_config
from gantry.commands import hardware
from gantry.commands.train import build_gan
from gantry.features.arithmetic import apply_arithmetic
from gantry.training.executor import EagerExecutor


@pytest.fixture(autouse=True)
def _four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config.checks.count_cuda_devices", lambda: 4)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("trainer=gpu callbacks.health.skip=true", "callbacks.health.skip looks at each update"),
        ("trainer=ddp trainer.capture=true", "the processes of trainer.strategy talk to one another"),
    ],
)
def test_what_keeps_turns_from_being_recorded_is_said(words: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert isinstance(hardware.choose_executor(compose_config(*words.split())), EagerExecutor)
    (said,) = caplog.messages
    assert said.startswith("trainer.capture: turns are not recorded, since ")
    assert why in said


def test_turns_are_recorded_on_one_gpu_and_nowhere_else() -> None:
    assert hardware.find_capture_obstacle(compose_config("trainer=gpu")) is None
    recorded = {
        name: compose_config(f"trainer={name}").trainer.capture for name in ("cpu", "gpu", "mps", "ddp", "ddp_cpu")
    }
    assert recorded == {"cpu": False, "gpu": True, "mps": False, "ddp": False, "ddp_cpu": False}
    with pytest.raises(ValueError, match=r"^trainer\.capture must be false without a CUDA device .*, got true$"):
        compose_config("trainer.capture=true")


@pytest.mark.parametrize("name", ["capture", "compile", "channels_last", "tf32"])
def test_switches_are_true_or_false(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^trainer\.{name} must be true or false, got 2$"):
        compose_config(f"trainer.{name}=2")


def test_tf32_is_for_the_products_of_the_run(tmp_path: object) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    try:
        for switch, precision, asked in (("true", "tf32", "high"), ("false", "ieee", "highest")):
            build_gan(compose_config("model=mlp", f"trainer.tf32={switch}", f"run.dir={tmp_path}"))
            assert matmul.fp32_precision == precision
            assert (cudnn.conv.fp32_precision == "tf32") is (switch == "true")
            assert torch.get_float32_matmul_precision() == asked  # Lightning asks as it sets up a GPU
            with apply_arithmetic(torch.device("cpu")):
                assert matmul.fp32_precision == cudnn.conv.fp32_precision == "ieee"
            assert torch.get_float32_matmul_precision() == asked
    finally:
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = True


def test_compiled_nets_have_the_names_of_plain_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    made: list[torch.nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda net: made.append(net) or net)
    gan = build_gan(compose_config("model=mlp", "trainer.compile=true", f"run.dir={tmp_path}"))
    assert made == [gan.G, gan.D]
    assert {name.split(".")[0] for name in gan.state_dict()} == {"G", "D", "G_ema"}
