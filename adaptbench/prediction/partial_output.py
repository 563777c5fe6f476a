"""A folder of predictions that a killed command left half done, and the next one completes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from adaptbench.errors import RunStateError
from adaptbench.storage.atomic import append_text, cannot_write, write_bytes, write_text
from adaptbench.storage.plain_files import file_digest, read_text

if TYPE_CHECKING:
    from adaptbench.execution.checkpoints.scored import Checkpoint

_JOURNAL, _LOCK = "done.jsonl", ".lock"
#: Units: bytes.
_LARGEST = 64 << 20


def facts_of(checkpoint: Checkpoint, of: dict[str, Any], how: dict[str, Any]) -> dict[str, Any]:
    """What predictions are of a checkpoint; ``identity`` is what decides them, with what they are of, and how made."""
    decides = {
        "weights": checkpoint.weights_sha256,
        "settings": checkpoint.settings.model_dump(mode="json"),
        "profile": checkpoint.profile.name,
    }
    return {
        "identity": of | decides | how,
        "checkpoint": checkpoint.name,
        "method": checkpoint.method.title,
        "network": checkpoint.network,
        "class_set": checkpoint.class_set,
    }


class Kept:
    """Predictions of many images, a few files each. Locked until it is closed.

    Args:
        folder: made if it does not exist.
        title: name of the file that says what the predictions are.
        facts: that; part of them, ``identity``, decides which files belong together.

    Raises:
        RunStateError: the folder holds something else, is in use, or cannot be written.
    """

    def __init__(self, folder: Path, title: str, facts: Mapping[str, Any]) -> None:
        self.folder = folder
        self._lock = FileLock(folder / _LOCK)
        self._require_ours(title, facts)
        self._acquire()
        write_text(folder / title, json.dumps(dict(facts), indent=1) + "\n")
        self._done = self._read()

    def holds(self, name: str, sha256: str) -> bool:
        """Whether the predictions of this very image are there as they were written."""
        files = self._done.get((name, sha256))
        return files is not None and all(
            file_digest(self.folder / file) == digest for file, digest in files.items()
        )

    def keep(self, name: str, sha256: str, files: Mapping[str, bytes]) -> None:
        """Writes the files of an image (path below the folder -> content), and then that they are there."""
        for file, content in files.items():
            write_bytes(self.folder / file, content)
        digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        line = json.dumps({"name": name, "sha256": sha256, "files": digests})
        append_text(self.folder / _JOURNAL, f"{line}\n")
        self._done[name, sha256] = digests

    def close(self) -> None:
        """Lets others in."""
        self._lock.release()

    def _require_ours(self, title: str, facts: Mapping[str, Any]) -> None:
        """What is in the folder must be part of the same predictions."""
        content = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if not content - {_LOCK}:
            return
        try:
            stated = json.loads(read_text(self.folder / title, _LARGEST))["identity"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            stated = None
        wanted = json.loads(json.dumps(facts["identity"]))
        if stated == wanted:
            return
        what = "other content"
        if isinstance(stated, dict):
            differing = [key for key in wanted if stated.get(key) != wanted[key]]
            what = f"predictions with another {' and '.join(differing)}"
        raise RunStateError(
            f"{self.folder} holds {what}, which would be mixed with these. Move it away or delete it, or choose "
            "another folder with --name or --out."
        )

    def _acquire(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RunStateError(
                f"{self.folder} is being written by another command. Wait for its end."
            ) from error
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def _read(self) -> dict[tuple[str, str], dict[str, str]]:
        """Files and digests that the journal states; a line that was cut off, or has no digests, counts for nothing."""
        path = self.folder / _JOURNAL
        found: dict[tuple[str, str], dict[str, str]] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                found[entry["name"], entry["sha256"]] = dict(entry["files"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        if text and not text.endswith("\n"):
            append_text(path, "\n")
        return found
