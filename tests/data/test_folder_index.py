"""Which files of a folder are images: links once, no loops, no hidden files; names on one line."""

from pathlib import Path

import pytest

from denied_folder import deny_folder
from gantry.data.folder_index import FolderWalk, sort_names


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_linked_class_folders_are_read(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "1.png", tmp_path / "root" / "cat" / "2.PNG", tmp_path / "image.png")
    (tmp_path / "root" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "cat" / "3.png").symlink_to(tmp_path / "image.png")
    assert sort_names(FolderWalk(tmp_path / "root")) == ["cat/2.PNG", "cat/3.png", "dog/1.png"]
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert len(list(FolderWalk(tmp_path / "link"))) == 3


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
    deny_folder(monkeypatch, "b")
    walk = FolderWalk(tmp_path)
    assert list(walk) == ["a/1.png"]
    assert walk.unreadable == {"b": "Permission denied"}
