"""What is granted so that some files alone stay closed, and what other names they have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adaptbench.data.surroundings import Mount, aliases, around, holds, linked, mounts, parents


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for file in ("data/labels/a/x", "data/labels/y", "data/images/x", "data/read me", "out/runs/z"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


def test_parents_end_at_the_root() -> None:
    assert list(parents("/a/b/c")) == ["/a/b", "/a", "/"]
    assert list(parents("/")) == []


def test_holds_looks_at_whole_names() -> None:
    assert holds({"/a/b"}, "/a/b/c/d") and holds({"/a/b"}, "/a/b") and holds({"/"}, "/x")
    assert not holds({"/a/b"}, "/a/bc") and not holds({"/a/b"}, "/a")


def test_around_is_everything_but_what_is_closed(tree: Path) -> None:
    found = set(around({str(tree / "data" / "labels"), str(tree / "data" / "labels" / "a")}))
    below = {path for path in found if path.startswith(str(tree))}
    assert below == {str(tree / name) for name in ("data/images", "data/read me", "out")}
    assert "/proc" in found and "/" not in found


def test_around_single_files_and_several_roots(tree: Path) -> None:
    found = set(around({str(tree / "data/labels/y"), str(tree / "out/runs")}))
    below = {path for path in found if path.startswith(str(tree))}
    assert below == {str(tree / name) for name in ("data/images", "data/read me", "data/labels/a")}


def test_links_are_followed_and_loops_and_the_way_up_are_not(tree: Path) -> None:
    labels, store = tree / "data" / "labels", tree / "store"
    (store / "deep").mkdir(parents=True)
    (store / "file").touch()
    (labels / "a" / "up").symlink_to(tree)
    (labels / "a" / "loop").symlink_to(labels)
    (labels / "a" / "folder").symlink_to(store / "deep")
    (store / "deep" / "on").symlink_to(store / "file")
    (labels / "gone").symlink_to(tree / "gone")
    assert linked([str(labels)]) == {str(store / "deep"), str(store / "file")}
    assert linked([str(tree / "nothing")]) == set()


def test_aliases_through_other_mounts(tree: Path) -> None:
    os.link(tree / "data/labels/y", tree / "out/y")  # stands for the same file in another mount
    disk, root = "8:1", str(tree)
    table = [
        Mount("8:9", "/", "/"),
        Mount(disk, "/disk", root),
        Mount(disk, "/disk/data/labels/y", f"{root}/out/y"),
    ]
    assert aliases([f"{root}/data/labels/y"], table) == {f"{root}/out/y"}
    assert aliases([f"{root}/data/labels"], table) == {f"{root}/out/y"}, "a mount of something within"
    assert aliases([f"{root}/data/images"], table) == set()
    assert aliases([f"{root}/data/labels"], table[:2]) == set()


def test_a_mount_that_another_one_hides_is_no_alias(tree: Path) -> None:
    table = [Mount("8:1", "/", "/"), Mount("8:1", str(tree / "data"), str(tree / "out"))]
    assert aliases([str(tree / "data" / "labels")], table) == set(), "nothing is there"


def test_the_table_of_mounts(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n")
    assert mounts(str(table)) == [Mount("98:0", "/mnt1", "/mnt 2")]
    assert mounts(str(tmp_path / "none")) == []
