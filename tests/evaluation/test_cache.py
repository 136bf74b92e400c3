import logging
from pathlib import Path

import pytest
import torch

from gantry.evaluation import cache
from gantry.evaluation.cache import load_or_compute, make_cache_key, write_cached_tensors
from gantry.features.published_weights import TensorMapping

FACTS = {"extractor": "digits", "real_count": 3}
CPU = torch.device("cpu")


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> TensorMapping:
        self.calls += 1
        return {"n": torch.tensor(3), "mean": torch.arange(4.0, dtype=torch.float64)}


def test_the_second_call_reads_the_stored_file(tmp_path: Path) -> None:
    make = Maker()
    first = load_or_compute(tmp_path / "new", FACTS, make, CPU)
    second = load_or_compute(tmp_path / "new", FACTS, make, CPU)
    assert make.calls == 1
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".safetensors"]


def test_any_other_fact_has_a_key_of_its_own(tmp_path: Path) -> None:
    make = Maker()
    for facts in (FACTS, FACTS | {"real_count": 4}, FACTS | {"seed": 0}):
        load_or_compute(tmp_path, facts, make, CPU)
    assert make.calls == 3
    assert make_cache_key(FACTS) == make_cache_key(dict(reversed(FACTS.items())))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_damaged_file_is_detected_and_computed_again(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make = Maker()
    load_or_compute(tmp_path, FACTS, make, CPU)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes({"flip": bytes(data), "cut": data[:-4], "empty": b"", "other": b"<html>"}[damage])
    with caplog.at_level(logging.WARNING):
        again = load_or_compute(tmp_path, FACTS, make, CPU)
    assert "is damaged" in caplog.text
    assert make.calls == 2
    assert torch.equal(again["mean"], make()["mean"])
    load_or_compute(tmp_path, FACTS, make, CPU)
    assert make.calls == 3  # one of them above


def test_without_a_writable_folder_nothing_is_stored(tmp_path: Path) -> None:
    make = Maker()
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file" / "cache"):
        assert int(load_or_compute(folder, FACTS, make, CPU)["n"]) == 3
    assert make.calls == 2


def test_a_file_that_cannot_be_written_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fill_disk(tensors: TensorMapping, path: Path, metadata: dict[str, str]) -> None:
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "save_file", fill_disk)
    assert int(load_or_compute(tmp_path, FACTS, Maker(), CPU)["n"]) == 3
    assert list(tmp_path.iterdir()) == []
    (message,) = caplog.messages
    assert message.startswith("the statistics of the real images are not stored: ")
    assert message.endswith("cannot be written: No space left on device")


def test_a_whole_file_of_other_tensors_is_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_cached_tensors(tmp_path / f"{make_cache_key(FACTS)}.safetensors", {"n": torch.tensor(-1)}, FACTS)
    make = Maker()
    load_or_compute(tmp_path, FACTS, make, CPU, lambda tensors: int(tensors["n"]) == 3)
    assert make.calls == 1
    assert "is damaged" in caplog.text
