"""Reading the YAML and the JSON of a run folder."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gantry.runs.folder import read_config
from gantry.runs.layout import CONFIG_FILE, JOB_FILE, METRICS_FILE, SUMMARY_FILE
from gantry.runs.metrics_csv import read_columns
from gantry.runs.status import read_choices, read_run_status
from gantry.runs.stored_values import check_values, iterate_texts, parse_yaml, read_json, read_yaml
from gantry.runs.summary import read_summary, select_best_and_last

LAUGHS = "\n".join(["a: &a [x, x]", *(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]" for a, b in zip("abcdefghi", "bcdefghij"))])
MERGES = "\n".join(
    ["a: &a {k: 1}", *(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}" for a, b in zip("abcdefg", "bcdefgh"))]
)
CHAIN = "\n".join(["a0: &a0 [x]", *(f"a{i + 1}: &a{i + 1} [*a{i}]" for i in range(3000))])

HOSTILE_YAML = {
    "aliases": (LAUGHS, "values, more than 20,000"),
    "merged aliases": (MERGES, "has a value with the tag merge"),
    "a chain of aliases": (CHAIN, "values, more than 20,000"),
    "deep": ("[" * 5000 + "]" * 5000, "which is nested too deeply"),
    "deeper than recursions should go": ("{a: " * 60 + "1" + "}" * 60, "nested more than 40 deep"),
    "itself": ("a: &a [*a]", "it refers to itself"),
    "two documents": ("a: 1\n---\nb: 2\n", "expected a single document"),
    "an object": ("a: !!python/object/apply:os.system ['touch canary']", "tag !?python/object"),
    "a tag of one's own": ("a: !mine 1", "tag !mine"),
    "a date": ("a: 2026-01-01", "tag timestamp"),
    "bytes": ("a: !!binary aGk=", "tag binary"),
    "a set": ("a: !!set {x, y}", "tag set"),
    "too long an integer": (f"a: {'1' * 5000}", "4300"),
    "no text": ("a: \xff", "codec"),
}


@pytest.mark.parametrize("name", HOSTILE_YAML)
def test_yaml_that_is_not_plain_is_refused_at_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, reason = HOSTILE_YAML[name]
    path = tmp_path / CONFIG_FILE
    path.write_bytes(text.encode("latin-1"))
    start = time.monotonic()
    with pytest.raises(ValueError, match=rf"^config\.yaml must be YAML, got [^\n]*{reason}[^\n]*$"):
        read_yaml(path)
    assert time.monotonic() - start < 20
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^zero must be JSON, got /dev/zero: it has more than [\d,]+ bytes$"):
        read_json(Path("/dev/zero"))
    with pytest.raises(ValueError, match=r"^zero must be YAML, got /dev/zero: it has more than 1,048,576 bytes$"):
        read_yaml(Path("/dev/zero"))


def test_plain_yaml_with_aliases_is_read() -> None:
    text = "a: &a {x: 1, y: [1.5, null, true, 'no']}\nb: *a\n3: ~\n"
    assert parse_yaml(text) == {"a": {"x": 1, "y": [1.5, None, True, "no"]}, 3: None} | {"b": parse_yaml(text)["a"]}
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * 60 + "]" * 60, "nested more than 40 deep"),
        ("{", "property name"),
        ("1" * 5000, "4300"),
        ('"\udcff"', "codec"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_not_plain_is_refused_at_once(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / SUMMARY_FILE
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=rf"^summary\.json must be JSON, got [^\n]*{reason}[^\n]*$"):
        read_json(path)


ENTRY: Mapping[str, Any] = {"turn": 1, "kimg": 0.1, "scores": {"fd": 1.0, "kd": None}, "protocol": {"scores": {}}}

WRONG_SUMMARIES: list[tuple[Any, str]] = [
    (5, "hold a mapping"),
    ([["turns", 3]], "hold a mapping"),
    ({"best": 5}, "have a mapping at best"),
    ({"last": {"scores": {}}}, "have scores and their protocol at last"),
    ({"report": {"best": {"protocol": {}}}}, r"have scores and their protocol at report\.best"),
    ({"report": []}, "have a mapping at report"),
    ({"report": {"best": ENTRY | {"scores": [1]}}}, r"have a mapping at report\.best\.scores"),
    ({"report": {"last": ENTRY | {"scores": {"fd": "1"}}}}, r"have a number or null at report\.last\.scores\.fd"),
    ({"best": ENTRY | {"scores": {"fd": True}}}, r"have a number or null at best\.scores\.fd"),
    ({"best": ENTRY | {"protocol": {"scores": 3}}}, r"have a mapping at best\.protocol\.scores"),
    ({"evaluations": [ENTRY, 3]}, r"have a mapping at evaluations\.1"),
    ({"turns": -1}, "have an integer of at least 0 at turns"),
    ({"turns": 1.5}, "have an integer of at least 0 at turns"),
    ({"turns": True}, "have an integer of at least 0 at turns"),
    ({"turns": 10**30}, "have an integer of at least 0 at turns"),
    ({"seconds": "1"}, "have a number at seconds"),
]


@pytest.mark.parametrize(("summary", "rule"), WRONG_SUMMARIES)
def test_a_summary_of_other_types_names_the_key(summary: Any, rule: str, tmp_path: Path) -> None:
    (tmp_path / SUMMARY_FILE).write_text(json.dumps(summary))
    with pytest.raises(ValueError, match=rf"^summary\.json must {rule}, got [^\n]* in [^\n]*summary\.json$"):
        select_best_and_last(tmp_path, read_summary(tmp_path))


def test_a_summary_as_runs_write_it_is_read(tmp_path: Path) -> None:
    summary = {"start": ENTRY, "best": ENTRY, "report": {"best": ENTRY, "last": ENTRY}, "evaluations": [ENTRY]}
    summary |= {"turns": 3, "kimg": 0.3, "seconds": 1, "parameters": {"G": 3}}
    (tmp_path / SUMMARY_FILE).write_text(json.dumps(summary))
    assert read_summary(tmp_path) == summary


@pytest.mark.parametrize(
    ("job", "rule"),
    [
        ([1], "hold a mapping"),
        ({"choices": 3}, "have a mapping at choices"),
        ({"choices": {"model": ["mlp"]}}, r"have a text at choices\.model"),
        ({"pid": "1"}, "have an integer of at least 0 at pid"),
        ({"failed": ["x"]}, "have a text at failed"),
        ({"overrides": "seed=1"}, "have a list of texts at overrides"),
        ({"ended": 1}, "have true or false at ended"),
    ],
)
def test_a_job_of_other_types_names_the_key(job: Any, rule: str, tmp_path: Path) -> None:
    (tmp_path / JOB_FILE).write_text(json.dumps(job))
    for read in (read_choices, lambda folder: read_run_status(folder, 3)):
        with pytest.raises(ValueError, match=rf"^job\.json must {rule}, got [^\n]* in [^\n]*job\.json$"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ("[1]", "hold a configuration"),
        ("model: 3", "have a mapping or null at model"),
        ("run: {overrides: seed=1}", r"have a list of texts at run\.overrides"),
        ("run: {overrides: [1]}", r"have a list of texts at run\.overrides"),
        ("turns: x", "have an integer of at least 0 at turns"),
        ("tags: [1]", "have a list of texts or null at tags"),
        ("recipe: {lr: x}", r"have a number or null at recipe\.lr"),
        ("model: {G: {a: ['${oc.env:SECRET}']}}", r"have no interpolations"),
        ("model: {'${oc.env:SECRET}': 1}", r"have no interpolations"),
        ("run: {overrides: ['x=${oc.decode:1}']}", r"have no interpolations"),
        ("tags: ['${turns}']", r"have no interpolations"),
        ("~: 1", "have no null among its keys(?=, got null in )"),
        ("model: {G: [{~: 1}]}", r"have no null among its keys(?=, got model\.G\.0\.null in )"),
    ],
)
def test_a_configuration_of_other_types_names_the_key(
    config: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "a-secret-value")
    (tmp_path / CONFIG_FILE).write_text(config)
    with pytest.raises(ValueError, match=rf"^config\.yaml must {rule}[^\n]*, got [^\n]* in [^\n]*$") as caught:
        read_config(tmp_path)
    assert "a-secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("turn,a\nx,1\n", "a,b\n1,2\n", "turn\n-1\n", "turn\nnan\n", "turn\n1e400\n", "turn\n0.5\n", "turn,a\n1,x\n"),
        *("turn,a\n,1\n", f"turn,a\n1,{'1' * 200_000}\n", "turn,a\n1,\xff\n", "turn,turn\n1,2\n\x00,2\n"),
    ],
)
def test_a_table_of_something_else_names_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / METRICS_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"^metrics\.csv must be a table of numbers by turn, got [^\n]*$"):
        read_columns(tmp_path)


def test_rules_reach_lists_and_every_name() -> None:
    values = {"a": [{"b": 1}, {"b": "x"}], "c": {"d": 3}}
    check_values(Path("f"), values, {"a.*.b": ("", lambda _: True), "gone.*": ("", lambda _: False)})
    with pytest.raises(ValueError, match=r"^f must have no text at a\.1\.b, got x in f$"):
        check_values(Path("f"), values, {"a.*.b": ("no text", lambda value: not isinstance(value, str))})
    assert list(iterate_texts({"a": [{"b": "x"}], 3: 4})) == [("", "a"), ("a.0", "b"), ("a.0.b", "x")]
