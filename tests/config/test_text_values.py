"""Names and paths on the command line stay text."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from gantry.commands.resume import check_run_name
from gantry.config.text_values import parse_overrides, quote_text, quote_text_values, read_text_value
from gantry.errors import format_error


def read_value(word: str) -> object:
    """Return the value of a word as Hydra reads it after Gantry has quoted it."""
    return OverridesParser.create().parse_override(*quote_text_values([word])).value()


TEXTS = [
    "12e4567",
    "1e5",
    "1_000",
    "True",
    "nan",
    "lr=1e-4,seed=1",
    "run (2)",
    "[x]",
    "ü",
    "a#b",
    "it's",
    "a,b",
    "{a:1}",
]


@pytest.mark.parametrize("text", [*TEXTS, "a\\", "range(1,3)", "a\"b'c", "x y"])
@pytest.mark.parametrize("key", ["run.name", "run.group", "resume", "++run.dir", "run", "out", "paths.logs"])
def test_a_text_is_read_as_it_was_typed(key: str, text: str) -> None:
    assert read_value(f"{key}={text}") == text
    assert read_value(f"{key}={quote_text(text)}") == text


def test_null_is_text_for_a_name_and_nothing_for_a_path() -> None:
    assert read_value("run.name=null") == "null"
    assert read_value("resume=null") is None
    assert read_text_value(quote_text_values(["resume=a=b"]), "resume") == "a=b"
    assert read_text_value(["turns=3"], "resume") is None


def test_interpolations_and_sweeps_are_left_as_they_are() -> None:
    assert quote_text_values(["run.name=${oc.env:WANDB_RUN_ID}"]) == ["run.name=${oc.env:WANDB_RUN_ID}"]
    assert quote_text_values(["-m", "run.name=a,b", "seed=1e5"]) == ["-m", "run.name=a,b", "seed=1e5"]


def test_items_of_a_list_are_text_and_a_path_with_a_comma_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "lr=1,seed=1"
    folder.mkdir()
    assert read_value("tags=[12e4567,1e5,null,a]") == ["12e4567", "1e5", "null", "a"]
    assert read_value(f"runs=[{folder},x (2)]") == [str(folder), "x (2)"]
    assert read_value(f"runs=['{folder}',x]") == [str(folder), "x"]


@pytest.mark.parametrize("word", ["run.name=", "resume=''", "run= ", "samples="])
def test_an_empty_value_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=rf"^{word.partition('=')[0]} must not be empty"):
        quote_text_values([word])


@pytest.mark.parametrize("name", ["", " ", ".", "..", "../up", "a/b", "é" * 128, 5, float("inf")])
def test_a_name_that_is_none_of_one_folder_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match=r"^run\.name must be"):
        check_run_name(name)


def test_any_other_key_is_told_how_to_quote() -> None:
    with pytest.raises(OverrideParseException) as caught:
        OverridesParser.create().parse_overrides(["data.source.x=a ü"])
    line = "data.source.x must be a value that Hydra can read (text with special characters in quotes: "
    assert format_error(caught.value) == f"{line}'data.source.x=\"a ü\"'), got a ü"


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 2000 + "]" * 2000])
def test_a_value_that_hydra_cannot_hold_is_refused_by_its_key(value: str) -> None:
    with pytest.raises(
        ValueError, match=r"^turns must be a value that Hydra can read, got .{200}\.\.\. \(\d,000 characters\): too"
    ):
        parse_overrides([f"turns={value}"])
