"""Which files of a folder are images: links once, no loops, no hidden files; names on one line."""

import os
from pathlib import Path

import pytest

from gantry.data.folder_index import FolderWalk, list_image_files, sort_names, to_printable


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_linked_class_folders_are_read(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "1.png", tmp_path / "root" / "cat" / "2.PNG", tmp_path / "image.png")
    (tmp_path / "root" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "cat" / "3.png").symlink_to(tmp_path / "image.png")
    assert list_image_files(str(tmp_path / "root")) == ["cat/2.PNG", "cat/3.png", "dog/1.png"]
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert len(list_image_files(str(tmp_path / "link"))) == 3


def test_a_folder_is_read_once_and_loops_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    touch(root / "z" / "deep" / "1.png", tmp_path / "beside" / "2.png")
    for name, target in {
        "again": root / "z",
        "deeper": root / "z" / "deep",
        "z/up": root,
        "z/deep/above": tmp_path,
        "self": root / "self",
        "ab": root / "ba",
        "ba": root / "ab",
        "nothing": root / "missing",
    }.items():
        (root / name).symlink_to(target)
    walk = FolderWalk(root)
    assert sort_names(walk) == ["z/deep/1.png"]
    assert walk.skipped == {
        "again": "the same folder as z",
        "deeper": "the same folder as z/deep",
        "z/up": "a link to a folder that it lies in",
        "z/deep/above": "a link to a folder that it lies in",
    }


def test_of_two_links_to_one_folder_the_first_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "far" / "1.png")
    (tmp_path / "root").mkdir()
    for name in ("b", "a"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "far")
    walk = FolderWalk(tmp_path / "root")
    assert list(walk) == ["a/1.png"]
    assert walk.skipped == {"b": "the same folder as a"}


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a" / "1.png", tmp_path / "b" / "2.png")
    scan = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    walk = FolderWalk(tmp_path)
    assert list(walk) == ["a/1.png"]
    assert walk.unreadable == {"b": "Permission denied"}


def test_names_of_any_bytes_fit_on_one_line() -> None:
    name = os.fsdecode(b"caf\xe9\n\x1b[31m.png")
    assert to_printable(name) == r"caf\udce9\n\x1b[31m.png"
    assert to_printable("日本 é.png") == "日本 é.png"
