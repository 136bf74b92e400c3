"""Configurations in a folder of the user: the option that names it, and short forms of the files in it."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from compose_config import compose_config
from gantry.commands.help import format_help
from gantry.config.search_path import format_search_path, list_user_sources, replace_config_dir

TERM = "{_target_: gantry.losses.term.Term, penalty: {_target_: gantry.losses.penalties.r1, _partial_: true}}"


@pytest.fixture
def search_path(tmp_path: Path) -> str:
    """The override for a folder, with a blank in its name, that has a term, a score and a loss with a name of ours."""
    folder = tmp_path / "my configs"
    contents = {"loss/term/mine": TERM, "metrics/score/mine": "{_target_: my_gan.Score}", "loss/hinge": "broken: ["}
    for name, text in contents.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (override,) = replace_config_dir([f"--config-dir={folder}"])
    return override


@pytest.mark.parametrize("words", [["--config-dir", "{}"], ["--config-dir={}"], ["-cd", "{}"], ["-cd={}"]])
def test_the_option_becomes_an_override(words: list[str], tmp_path: Path) -> None:
    arguments = ["-m", "a=1", *(word.format(tmp_path) for word in words), "b=2"]
    assert replace_config_dir(arguments) == ["-m", "a=1", "b=2", f'hydra.searchpath=["file://{tmp_path}"]']


def test_relative_and_several_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    expected = format_search_path([f"file://{tmp_path}/mine", f"file://{tmp_path}"])
    assert replace_config_dir(["--config-dir=mine", "--config-dir=."]) == [expected]
    assert replace_config_dir(["a=--config-dir"]) == ["a=--config-dir"]


@pytest.mark.parametrize("words", [["--config-dir=gone"], ["--config-dir"], ["-cd", "hydra.searchpath=[]"]])
def test_what_is_no_folder_is_refused(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^--config-dir must be a folder of configurations, got "):
        replace_config_dir(words)


def test_a_search_path_beside_the_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^hydra\.searchpath must be left out beside --config-dir, got both"):
        replace_config_dir([f"--config-dir={tmp_path}", "hydra.searchpath=[pkg://mine]"])


def test_files_of_the_user_have_short_forms(search_path: str) -> None:
    cfg = compose_config(search_path, "loss=hinge", "+loss.d_terms.mine=0.25", "+metrics.scores.mine=true")
    term = {"_target_": "gantry.losses.term.Term", "weight": 0.25}
    assert OmegaConf.to_container(cfg.loss.d_terms) == {
        "mine": term | {"penalty": {"_target_": "gantry.losses.penalties.r1", "_partial_": True}}
    }
    assert cfg.metrics.scores.mine == {"_target_": "my_gan.Score"}


def test_help_lists_files_of_the_user(search_path: str) -> None:
    lines = format_help("train", [search_path]).splitlines()
    (terms,) = (line for line in lines if line.startswith("loss/term: "))
    assert {"gp", "mine", "r1"} <= set(terms.removeprefix("loss/term: ").split(", "))


def test_the_search_path_can_be_given_to_another_process(search_path: str) -> None:
    compose_config(search_path)
    assert format_search_path(list_user_sources()) == search_path
    compose_config()
    assert format_search_path(list_user_sources()) == "hydra.searchpath=[]"
