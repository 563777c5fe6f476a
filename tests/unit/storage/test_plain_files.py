"""What is no plain file of a bearable size is refused, and never waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adaptbench.storage.plain_files import file_digest, read_text, require_plain


def test_pipes_devices_folders_and_loops(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "loop", tmp_path / "none"):
        with pytest.raises(OSError):
            require_plain(path)
        with pytest.raises(OSError):
            read_text(path, 10)
        assert file_digest(path) is None


def test_a_file_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="1,099,511,627,776 bytes, and at most 10 are read"):
        read_text(tmp_path / "large", 10)


def test_what_is_plain_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("é")
    (tmp_path / "link").symlink_to("a")
    assert read_text(tmp_path / "link", 2) == "é"
    require_plain(tmp_path / "a")
