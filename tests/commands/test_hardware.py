"""The switches of `hardware`, applied to a GAN."""

import logging

import pytest
import torch

from compose_config import compose_config
from gantry.commands import hardware
from gantry.commands.train import build_gan
from gantry.errors import UserError
from gantry.features.arithmetic import apply_arithmetic
from gantry.training.executor import EagerExecutor


@pytest.fixture(autouse=True)
def _four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config.checks.count_cuda_devices", lambda: 4)
    monkeypatch.setattr("gantry.config.checks.is_apple", lambda: True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("trainer=gpu callbacks.health.skip=true", "callbacks.health.skip inspects each update"),
        ("trainer=ddp hardware.capture=true", "trainer.strategy starts several processes"),
    ],
)
def test_the_log_names_what_rules_cuda_graphs_out(words: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert isinstance(hardware.choose_executor(compose_config(*words.split())), EagerExecutor)
    (message,) = caplog.messages
    assert message.startswith("CUDA graphs disabled: ")
    assert message.endswith("(hardware.capture)")
    assert why in message


def test_turns_are_captured_only_on_one_gpu() -> None:
    assert hardware.find_capture_obstacle(compose_config("trainer=gpu")) is None
    captured = {
        name: compose_config(f"trainer={name}").hardware.capture for name in ("cpu", "gpu", "mps", "ddp", "ddp_cpu")
    }
    assert captured == {"cpu": False, "gpu": True, "mps": False, "ddp": False, "ddp_cpu": False}
    with pytest.raises(ValueError, match=r"^hardware\.capture must be false without a CUDA device .*, got true$"):
        compose_config("hardware.capture=true")


@pytest.mark.parametrize("name", ["capture", "compile", "channels_last", "tf32"])
def test_switches_are_true_or_false(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^hardware\.{name} must be true or false, got 2$"):
        compose_config(f"hardware.{name}=2")


def test_tf32_applies_to_the_matrix_products_of_the_run(tmp_path: object) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    try:
        for switch, precision, asked in (("true", "tf32", "high"), ("false", "ieee", "highest")):
            build_gan(compose_config("model=mlp", f"hardware.tf32={switch}", f"run.dir={tmp_path}"))
            assert matmul.fp32_precision == precision
            assert (cudnn.conv.fp32_precision == "tf32") is (switch == "true")
            assert torch.get_float32_matmul_precision() == asked  # Lightning asks as it sets up a GPU
            with apply_arithmetic(torch.device("cpu")):
                assert matmul.fp32_precision == cudnn.conv.fp32_precision == "ieee"
            assert torch.get_float32_matmul_precision() == asked
    finally:
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = True


def test_compiled_nets_have_the_same_parameter_names(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda net: compiled.append(net) or net)
    gan = build_gan(compose_config("model=mlp", "hardware.compile=true", f"run.dir={tmp_path}"))
    assert compiled == [gan.G, gan.D]
    assert {name.split(".")[0] for name in gan.state_dict()} == {"G", "D", "G_ema"}


@pytest.mark.parametrize(("devices", "images"), [("-1", 4), ("auto", 4), ("[0,1]", 2)])
def test_batchnorm_over_one_image_of_each_gpu_is_refused(
    devices: str, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    words = ["model=mlp", "trainer=ddp", "hardware.sync_batchnorm=false", f"trainer.devices={devices}"]
    with pytest.raises(UserError, match=rf"^data\.batch_size must leave at least 2 images .*, got {images}$"):
        build_gan(compose_config(*words, f"data.batch_size={images}"))
    build_gan(compose_config(*words, f"data.batch_size={2 * images}"))
