"""W&B runs, written offline and read back from their files."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wandb
from PIL import Image
from wandb.proto.wandb_internal_pb2 import Record

from gantry.loggers import wandb_logger
from gantry.loggers.dispatch import close_loggers, log_config, log_generator, log_histogram, log_image, log_summary
from gantry.loggers.wandb_logger import WandbLogger
from gantry.loggers.wandb_login import choose_wandb_mode, is_logged_in, set_cache_folder
from wandb_offline import (
    filter_records,
    find_wandb_logs,
    items_to_dict,
    read_wandb_records,
    read_wandb_run,
)

PICTURE = np.linspace(40, 200, 20 * 30, dtype=np.uint8).reshape(20, 30, 1)
KEY = "0123456789" * 4


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield
    wandb.teardown()  # it remembers the environment


def logger(folder: Path, name: str = "first") -> WandbLogger:
    """A logger as configs/logger/wandb.yaml describes it."""
    return WandbLogger(str(folder), "gantry", name=name, group="sweep", job_type="train", tags=["a", "b"])


def train(folder: Path, name: str, turns: range, success: bool = True) -> None:
    loggers = [logger(folder, name)]
    log_config(loggers, {"seed": 3, "optim": {"lr": 2e-4}}, {"model": "dcgan"})
    for turn in turns:
        loggers[0].log_metrics({"loss/D": turn / 3, "turn": turn, "kimg": turn * 0.064}, step=turn)
        loggers[0].log_metrics({"score/fid": 100.0 - turn, "turn": turn, "kimg": turn * 0.064}, step=turn)
        log_image(loggers, "samples", PICTURE, turn)
    log_summary(loggers, {"best/fid": 12.5, "last/fid": 14.5})
    close_loggers(loggers, success)


def records(folder: Path) -> list[Record]:
    """Return the contents of the finished offline runs in a folder, in the order of their writing."""
    paths = sorted((folder / "wandb").glob("offline-run-*/*.wandb"))
    return [record for path in paths for record in ended(path)]


def ended(path: Path) -> list[Record]:
    """The records of a run that has been ended, whose file W&B completes a little later."""
    for _ in range(200):
        result = list(read_wandb_records(path))
        if filter_records("exit", result):
            return result
        time.sleep(0.05)
    pytest.fail(f"{path} is not complete")


def turns(all_records: list[Record]) -> list[int]:
    """The turns of the history."""
    return [items_to_dict(row.item)["turn"] for row in filter_records("history", all_records)]


def test_the_offline_run_has_all_logged_data(tmp_path: Path) -> None:
    train(tmp_path, "first", range(25))
    got = records(tmp_path)

    (run,) = filter_records("run", got)
    assert (run.display_name, run.project) == ("first", "gantry")
    assert (run.run_group, run.job_type, list(run.tags)) == ("sweep", "train", ["a", "b"])

    config = {
        key: value for record in filter_records("config", got) for key, value in items_to_dict(record.update).items()
    }
    assert config == {"seed": 3, "optim/lr": 2e-4, "model": "dcgan"}

    rows = [items_to_dict(row.item) for row in filter_records("history", got)]
    assert [row["_step"] for row in rows] == list(range(25))  # one row a turn, and a step is a turn
    for turn, row in enumerate(rows):
        assert row["loss/D"] == turn / 3
        assert row["score/fid"] == 100.0 - turn
        assert (row["turn"], row["kimg"]) == (turn, pytest.approx(turn * 0.064))

    (files,) = (tmp_path / "wandb").glob("offline-run-*/files")
    for row in rows:
        pixels = np.asarray(Image.open(files / row["samples.path"]))
        np.testing.assert_array_equal(pixels, PICTURE[..., 0])

    summary = {
        key: value for record in filter_records("summary", got) for key, value in items_to_dict(record.update).items()
    }
    assert (summary["best/fid"], summary["last/fid"], summary["turn"]) == (12.5, 14.5, 24)
    axes = {metric.name or metric.glob_name: metric.step_metric for metric in filter_records("metric", got)}
    assert axes == {"turn": "", "kimg": "", "*": "turn"}
    assert [exited.exit_code for exited in filter_records("exit", got)] == [0]


def test_histograms_are_in_the_rows_of_their_turns(tmp_path: Path) -> None:
    loggers = [logger(tmp_path)]
    values = np.linspace(-1, 3, 1000)
    for turn in (0, 10):
        loggers[0].log_metrics({"loss/D": 0.5, "turn": turn}, step=turn)
        log_histogram(loggers, "logits/histogram/fake", np.append(values + turn, np.nan), turn)
    close_loggers(loggers, success=True)
    rows = [items_to_dict(row.item) for row in filter_records("history", records(tmp_path))]
    assert [row["turn"] for row in rows] == [0, 10]
    for row in rows:
        assert sum(row["logits/histogram/fake.values"]) == 1000
        bins = np.array(row["logits/histogram/fake.bins"])
        assert (bins[0], bins[-1]) == pytest.approx((row["turn"] - 1, row["turn"] + 3))
    assert set(read_wandb_run(find_wandb_logs(tmp_path)).metrics) == {"turn", "kimg", "loss/D"}


def test_the_generator_is_an_artifact_with_its_files_in_the_run_folder(tmp_path: Path) -> None:
    generator = tmp_path / "generator" / "best"
    (generator / "inner").mkdir(parents=True)
    (generator / "model.safetensors").write_bytes(b"weights")
    (generator / "inner" / "generator.json").write_text("{}")
    loggers = [logger(tmp_path)]
    log_generator(loggers, generator, {"turn": 7, "scores": {"fid": 12.5}, "protocol": {"extractor": "small"}})
    (generator / "model.safetensors").write_bytes(b"of a resumed run")  # which keeps an artifact of its own
    close_loggers(loggers, success=True)
    (artifact,) = filter_records("artifact", records(tmp_path))
    assert (artifact.type, sorted(artifact.aliases)) == ("model", ["best", "latest"])  # W&B keeps a set of them
    about = {"turn": 7, "scores/fid": 12.5, "protocol/extractor": "small"}
    assert json.loads(artifact.metadata) == about
    files = {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}
    assert set(files) == {"model.safetensors", "inner/generator.json"}
    assert files["model.safetensors"].read_bytes() == b"weights"
    (log,) = find_wandb_logs(tmp_path)
    assert all(path.is_relative_to(log.parent) for path in files.values())


def test_a_run_of_a_wandb_sweep_has_the_id_of_its_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "abcd1234")
    train(tmp_path, "first", range(2))
    records(tmp_path)  # W&B has written all
    assert read_wandb_run(find_wandb_logs(tmp_path)).id == "abcd1234"


def test_a_run_is_read_back_completely_without_a_server(tmp_path: Path) -> None:
    train(tmp_path, "first", range(3), success=False)
    records(tmp_path)  # W&B has written all
    time.sleep(1)  # W&B names its folders by the second
    train(tmp_path, "first", range(3, 25))
    records(tmp_path)
    run = read_wandb_run(find_wandb_logs(tmp_path))
    assert (run.name, run.group, run.job_type, run.tags) == ("first", "sweep", "train", ("a", "b"))
    assert run.config == {"seed": 3, "optim/lr": 2e-4, "model": "dcgan"}
    assert (run.summary["best/fid"], run.summary["last/fid"]) == (12.5, 14.5)
    np.testing.assert_array_equal(run.metrics["turn"], np.arange(25))
    np.testing.assert_array_equal(run.metrics["loss/D"], np.arange(25) / 3)
    assert set(run.metrics) == {"turn", "kimg", "loss/D", "score/fid"}
    assert sorted(run.images) == list(range(25))
    np.testing.assert_array_equal(np.asarray(Image.open(run.images[0])), PICTURE[..., 0])
    assert run.exit_code == 0


def test_a_running_run_is_read_up_to_its_last_record(tmp_path: Path) -> None:
    train(tmp_path, "first", range(40))
    records(tmp_path)
    (path,) = find_wandb_logs(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run = read_wandb_run([path])
    assert run.exit_code is None
    assert 0 < len(run.rows) < 40


def test_two_jobs_of_one_process_are_two_runs_and_a_resumed_one_keeps_its_id(tmp_path: Path) -> None:
    train(tmp_path / "one", "one", range(2), success=False)
    train(tmp_path / "two", "two", range(2))
    time.sleep(1)  # W&B names its folders by the second
    train(tmp_path / "one", "one", range(2, 4))
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    ids = [run.run_id for run in filter_records("run", one) + filter_records("run", two)]
    assert ids[0] == ids[1] != ids[2]
    assert turns(one) == [0, 1, 2, 3]
    assert [exited.exit_code for exited in filter_records("exit", one)] == [1, 0]
    assert wandb.run is None


def test_a_job_that_left_its_run_open_does_not_log_to_the_next_one(tmp_path: Path) -> None:
    forgotten = logger(tmp_path / "one")
    forgotten.log_metrics({"turn": 7}, step=7)
    train(tmp_path / "two", "two", range(2))
    assert turns(records(tmp_path / "one")) == [7]
    assert turns(records(tmp_path / "two")) == [0, 1]


def test_an_unreachable_server_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setitem(wandb_logger.WANDB_SETTINGS, "init_timeout", 1)
    train(tmp_path, "first", range(3))
    assert "This run is logged offline" in caplog.text
    assert turns(records(tmp_path)) == [0, 1, 2]


@pytest.mark.parametrize("setting", ["online", "offline", "dryrun", "shared", "run"])
def test_without_a_login_the_mode_is_offline(setting: str, tmp_path: Path) -> None:
    assert choose_wandb_mode(setting, {"NETRC": str(tmp_path / "none")}) == "offline"


def test_modes_with_a_login() -> None:
    modes = {
        setting: choose_wandb_mode(setting, {"WANDB_API_KEY": KEY})
        for setting in ("online", "offline", "dryrun", "disabled")
    }
    assert modes == {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


@pytest.mark.parametrize(
    ("server", "logged_in"),
    [({}, True), ({"WANDB_BASE_URL": "https://wandb.example:8080"}, False)],
)
def test_the_key_of_wandb_login_is_read(tmp_path: Path, server: dict[str, str], logged_in: bool) -> None:
    path = tmp_path / "netrc"
    path.write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    assert is_logged_in({"NETRC": str(path), **server}) is logged_in


def test_a_broken_netrc_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine api.wandb.ai login\npassword oh no")
    assert not is_logged_in({"NETRC": str(path)})


def test_the_mode_disabled_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    train(tmp_path, "first", range(2))
    assert not list((tmp_path / "wandb").glob("*run-*"))


def test_without_a_cache_folder_wandb_writes_its_own_log_into_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache" / "new")}
    set_cache_folder(tmp_path / "run", environment)
    assert environment == {"XDG_CACHE_HOME": str(tmp_path / "cache" / "new")}
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for environment in ({}, {"XDG_CACHE_HOME": ""}):
        set_cache_folder(tmp_path / "run", environment)
        assert not environment.get("XDG_CACHE_HOME")
    (tmp_path / "home").touch()
    environment = {}
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.F_OK)
    set_cache_folder(tmp_path / "run", environment)
    assert environment == {"XDG_CACHE_HOME": str(tmp_path / "run")}


def test_a_netrc_file_that_may_not_be_read_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password KEY\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert is_logged_in({})
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert not is_logged_in({})
