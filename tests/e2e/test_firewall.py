"""What a sealed process can open: every case runs in a fork, because a seal cannot be lifted."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torchvision.io
from forks import in_fork
from PIL import Image

from adaptbench.data import audit_events, firewall, landlock, surroundings
from adaptbench.data.stream import TrainingStream
from adaptbench.errors import FirewallError, PluginError
from adaptbench.execution import job_context
from adaptbench.execution.stages.data import training_data
from adaptbench.execution.stages.planned import plan_stages
from adaptbench.execution.stages.sealing import seal
from adaptbench.records.jobspec import load_job

from .bench import PLUGINS, Bench

kernel = pytest.mark.skipif(landlock.missing() is not None, reason="this kernel has no Landlock")
Read = Callable[[Path], Any]


def _open_in(path: Path) -> int:
    root = os.open(path.parents[1], os.O_RDONLY)
    return os.open(f"{path.parent.name}/{path.name}", os.O_RDONLY, dir_fd=root)


def _link_in(path: Path) -> None:
    root = os.open(path.parents[1], os.O_RDONLY)
    os.link(f"{path.parent.name}/{path.name}", path.parents[1] / "link.png", src_dir_fd=root)


#: Routes that the audit hook sees: it names the file, and the job fails.
READERS: dict[str, Read] = {
    "open": lambda path: path.open("rb").read(),
    "read_bytes": Path.read_bytes,
    "os.open": lambda path: os.open(path, os.O_RDONLY),
    "os.open in a folder": _open_in,
    "pillow": lambda path: Image.open(path).load(),
    "opencv": lambda path: cv2.imread(str(path)),
    "opencv by keyword": lambda path: cv2.imread(filename=str(path)),
    "video": lambda path: cv2.VideoCapture(str(path)),
    "video opened later": lambda path: cv2.VideoCapture().open(str(path)),
    "torchvision": lambda path: torchvision.io.read_image(str(path)),
    "torchvision's operator": lambda path: torch.ops.image.read_file(str(path)),
    "torch.from_file": lambda path: torch.from_file(str(path), size=8, dtype=torch.uint8),
    "storage": lambda path: torch.UntypedStorage.from_file(str(path), False, 8),
    "numpy": lambda path: np.fromfile(path, np.uint8),
    "copy": lambda path: shutil.copyfile(path, path.parents[2] / "copy.png"),
    "rename": lambda path: path.rename(path.parents[2] / "moved.png"),
    "rename folder": lambda path: path.parent.rename(path.parents[1] / "moved-labels"),
    "rename root": lambda path: path.parents[1].rename(path.parents[2] / "moved-labels"),
    "hard link": lambda path: (path.parents[1] / "link.png").hardlink_to(path),
    "hard link in a folder": _link_in,
    "symbolic link": lambda path: (path.parents[1] / "elsewhere" / path.name).read_bytes(),
    "dots": lambda path: (path.parent / ".." / path.parent.name / path.name).read_bytes(),
    "process file system": lambda path: Path(f"/proc/self/root{path}").read_bytes(),
    "program": lambda path: subprocess.run(["cat", path]),
    "program in a folder": lambda path: subprocess.run(["cat", path.name], cwd=path.parent),
    "shell": lambda path: subprocess.run(f"cat '{path}'", shell=True),
    "os.system": lambda path: os.system(f"cat {path}"),
    "os.exec": lambda path: os.execvp("cat", ["cat", str(path)]),
    "os.posix_spawn": lambda path: os.posix_spawn("/bin/cat", ["cat", str(path)], {}),
}


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _c_open(path: Path) -> bytes:
    handle = _library().open(bytes(path), os.O_RDONLY)
    if handle < 0:
        raise OSError(ctypes.get_errno(), "open")
    return os.read(handle, 1 << 20)


def _c_moved(act: str, folder: bool = False, to: str = "labels/other.png") -> Read:
    """Renames or links with the C library, which no audit hook sees, and reads what came of it."""

    def read(path: Path) -> bytes:
        root = path.parents[1]
        source, target = (root, root.with_name(f"{root.name} moved")) if folder else (path, root / to)
        if getattr(_library(), act)(bytes(source), bytes(target)) < 0:
            raise OSError(ctypes.get_errno(), act)
        return _c_open(target / "labels" / path.name if folder else target)

    return read


def _shell(line: str) -> Read:
    """What a program reads that is not called with the file's name."""

    def read(path: Path) -> bytes:
        environment = {**os.environ, "WHERE": str(path.parent)}
        return subprocess.run(["sh", "-c", line], env=environment, capture_output=True, check=True).stdout

    return read


def _tampered(path: Path) -> bytes:
    firewall._walls.clear()
    firewall._sealed.clear()
    audit_events.paths = lambda *_: ()
    return path.read_bytes()


def _in_new_interpreter(path: Path) -> bytes:
    code = "import os; print(open(os.environ['LABEL'], 'rb').read())"
    environment = {**os.environ, "LABEL": str(path)}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], env=environment, capture_output=True, check=True
    )
    return done.stdout


def _in_c_fork(path: Path) -> bytes:
    ours, theirs = os.pipe()
    if os.fork() == 0:
        with contextlib.suppress(OSError):
            os.write(theirs, _c_open(path))
        os._exit(0)
    os.close(theirs)
    return os.read(ours, 1 << 20) or _nothing()


def _nothing() -> bytes:
    raise OSError(errno.EACCES, "nothing")


#: Routes past the audit hook, which the kernel closes.
PAST_THE_HOOK: dict[str, Read] = {
    "ctypes": _c_open,
    "ctypes, process file system": lambda path: _c_open(Path(f"/proc/self/root{path}")),
    "ctypes in a fork": _in_c_fork,
    "ctypes, renamed": _c_moved("rename"),
    "ctypes, moved": _c_moved("rename", to="images/other.png"),
    "ctypes, renamed root": _c_moved("rename", folder=True),
    "ctypes, linked": _c_moved("link"),
    "ctypes, linked elsewhere": _c_moved("link", to="images/other.png"),
    "program": _shell('cd "$WHERE"; cat *'),
    "program, moved": _shell('mv "$WHERE" "$WHERE-moved"; cat "$WHERE-moved"/*'),
    "program, copied": _shell('cp "$WHERE"/* "$WHERE/../images/copy.png"; cat "$WHERE/../images/copy.png"'),
    "interpreter": _in_new_interpreter,
    "lists of the hook cleared": _tampered,
    "opencv's own": lambda path: inspect.unwrap(cv2.imread)(str(path)).tobytes(),
    "torch's own": lambda path: bytes(
        torch._C._VariableFunctions.from_file(str(path), size=8, dtype=torch.uint8)
    ),
    "storage's own": lambda path: bytes(torch._C.StorageBase.from_file(str(path), False, 8)),
    "torchvision's own": lambda path: bytes(inspect.unwrap(torch.ops.image.read_file)(str(path))),
}


def _refused(read: Read, path: Path) -> None:
    with pytest.raises(FirewallError, match=r"tried to (open|rename) .*"):
        read(path)
    with pytest.raises(FirewallError):
        firewall.require_intact()


@pytest.fixture
def label(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for folder in ("labels", "images"):
        (root / folder).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 8), np.uint8)).save(root / folder / "canary.png")
    (root / "elsewhere").symlink_to(root / "labels")
    return root / "labels" / "canary.png"


@pytest.mark.parametrize("reader", READERS)
def test_forbidden_file_cannot_be_read(label: Path, reader: str) -> None:
    def act() -> None:
        firewall.seal([label.parent])
        _refused(READERS[reader], label)

    in_fork(act)
    assert label.exists()
    READERS["pillow"](label)  # the process that forked is not sealed


@kernel
@pytest.mark.parametrize("route", PAST_THE_HOOK)
def test_the_kernel_refuses_what_the_hook_does_not_see(label: Path, route: str) -> None:
    read = PAST_THE_HOOK[route]
    twin = shutil.copytree(label.parents[1], label.parents[2] / "twin") / "labels" / label.name

    def act() -> None:
        assert firewall.seal([label.parent]) is None
        with pytest.raises(
            (OSError, subprocess.CalledProcessError, RuntimeError, AttributeError, FirewallError)
        ):
            read(label)

    def act_unsealed() -> None:
        firewall._install()
        assert len(read(twin)) > 0

    in_fork(act)
    in_fork(act_unsealed)  # else the test would show nothing


def test_forks_are_sealed_and_what_they_were_refused_is_noted(label: Path) -> None:
    def act() -> None:
        firewall.seal([label.parent])
        if (child := os.fork()) == 0:
            with contextlib.suppress(FirewallError):
                label.read_bytes()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(FirewallError, match="canary"):
            firewall.require_intact()

    in_fork(act)


def test_who_waits_is_told_even_if_the_method_hides_it(label: Path) -> None:
    heard, line = os.pipe()

    def act() -> None:
        firewall.seal([label.parent], line=line)
        for _ in range(2):
            with contextlib.suppress(FirewallError):
                label.read_bytes()
        firewall._sealed.clear()
        firewall.require_intact()

    in_fork(act)
    os.close(line)
    assert os.read(heard, 1 << 16).count(b"canary.png") == 1


def test_a_process_that_cannot_be_heard_ends(label: Path) -> None:
    heard, line = os.pipe()

    def act() -> None:
        firewall.seal([label.parent], line=line)
        if (child := os.fork()) == 0:
            os.close(line)
            with contextlib.suppress(BaseException):
                label.read_bytes()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == firewall._EXIT_UNHEARD

    in_fork(act)
    os.close(heard)
    os.close(line)


def test_threads_that_would_stay_outside_are_an_error(label: Path) -> None:
    def act() -> None:
        waiting = threading.Event()
        threading.Thread(target=waiting.wait).start()
        with pytest.raises(FirewallError, match="started threads"):
            firewall.seal([label.parent])
        waiting.set()

    in_fork(act)


def test_without_landlock_the_hook_stands_and_it_is_said(
    label: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "missing", lambda: "the kernel has none")

    def act() -> None:
        assert firewall.seal([label.parent]) == "Landlock is missing: the kernel has none"
        _refused(Path.read_bytes, label)

    in_fork(act)


@kernel
def test_where_the_surroundings_cannot_be_listed_the_hook_stands(
    label: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def around(closed: object) -> list[str]:
        raise PermissionError(errno.EACCES, "closed", "/home")

    monkeypatch.setattr(surroundings, "around", around)

    def act() -> None:
        assert "/home" in str(firewall.seal([label.parent]))
        _refused(Path.read_bytes, label)

    in_fork(act)


@kernel
def test_data_in_shared_memory_is_left_to_the_hook() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        label = Path(folder) / "label"
        label.touch()

        def act() -> None:
            assert "share memory" in str(firewall.seal([label.parent]))
            _refused(Path.read_bytes, label)

        in_fork(act)


@kernel
def test_links_in_label_folders_close_what_they_lead_to(label: Path) -> None:
    store = label.parents[2] / "store"
    store.mkdir()
    for name in ("closed", "trained on", "other"):
        (store / name).write_text(name)
    (label.parent / "a.png").symlink_to(store / "closed")
    (label.parent / "b.png").symlink_to(store / "trained on")

    def act() -> None:
        assert firewall.seal([label.parent], [label.parent / "b.png"]) is None
        for path in (label.parent / "a.png", store / "closed"):
            _refused(Path.read_bytes, path)
            with pytest.raises(PermissionError):
                _c_open(path)
        for path in (label.parent / "b.png", store / "trained on", store / "other"):
            assert path.read_bytes() == _c_open(path)

    in_fork(act)


@kernel
def test_open_files_of_other_processes_are_out_of_reach(label: Path) -> None:
    with label.open("rb") as held:
        place = Path(f"/proc/{os.getpid()}/fd/{held.fileno()}")

        def act() -> None:
            assert _c_open(place) == label.read_bytes()
            firewall.seal([label.parent])
            with pytest.raises(PermissionError):
                _c_open(place)

        in_fork(act)


def _mount(source: Path, target: Path) -> None:
    """Mounts a folder a second time, for this process alone."""
    new_mounts, new_user = 0x20000, 0x10000000
    if _library().unshare(new_mounts) < 0 and _library().unshare(new_mounts | new_user) < 0:
        raise _NoMountsError
    recursive, private, bind = 0x4000, 0x40000, 0x1000
    _library().mount(None, b"/", None, recursive | private, None)
    if _library().mount(bytes(source), bytes(target), None, bind, None) < 0:
        raise _NoMountsError


class _NoMountsError(Exception):
    """This user may not mount anything."""


@kernel
@pytest.mark.parametrize("mounted", ["data", "data/labels"])
def test_folders_that_are_mounted_twice_are_closed_twice(label: Path, mounted: str) -> None:
    top = label.parents[2]
    second = top / "second"
    second.mkdir()

    def act() -> None:
        try:
            _mount(top / mounted, second)
        except _NoMountsError:
            Path(top / "no mounts").touch()
            return
        alias = second / label.relative_to(top / mounted)
        assert alias.read_bytes() == label.read_bytes()
        assert firewall.seal([label.parent]) is None
        for path in (label, alias):
            _refused(Path.read_bytes, path)
            with pytest.raises(PermissionError):
                _c_open(path)
        if mounted == "data":
            assert _c_open(second / "images" / label.name)

    in_fork(act)
    if (top / "no mounts").exists():
        pytest.skip("this user may not mount anything")


@kernel
def test_everything_else_is_as_before(label: Path) -> None:
    root = label.parents[1]
    out, made = root.parent / "out", root.parent / "made later"
    (out / "deep").mkdir(parents=True)
    allowed = label.with_name("allowed.png")
    shutil.copy(label, allowed)

    def act() -> None:
        assert firewall.seal([label.parent], [allowed], used=[made]) is None
        for path in (root / "images" / "canary.png", allowed):
            assert subprocess.run(["cat", path], capture_output=True, check=True).stdout == path.read_bytes()
        (out / "deep" / "new").write_text("written")
        (out / "deep" / "new").replace(out / "moved")
        (made / "new").write_text("written")
        assert (out / "moved").read_text() == (made / "new").read_text() == "written"
        with Path("/dev/urandom").open("rb") as device:
            assert len(device.read(8)) == 8
        assert Path("/proc/self/status").read_text()
        loader = torch.utils.data.DataLoader(torch.arange(64.0).reshape(4, 16), num_workers=1)
        assert sum(float(batch.sum()) for batch in loader) == 64 * 63 / 2
        firewall.require_intact()

    in_fork(act)


def test_what_is_trained_on_can_be_read(label: Path) -> None:
    def act() -> None:
        firewall.seal([label.parent], allowed=[label])
        READERS["pillow"](label)
        READERS["opencv"](label)
        firewall.require_intact()

    in_fork(act)


def test_closed_only_within_the_block(label: Path) -> None:
    def act() -> None:
        stolen_reader = inspect.unwrap(cv2.imread)  # another test of this process may have closed something
        with firewall.closed([label.parent]):
            early = cv2.imread
            _refused(READERS["opencv"], label)
        early(str(label))
        READERS["pillow"](label)
        firewall.seal([label.parent])
        with pytest.raises(FirewallError):
            early(str(label))
        assert stolen_reader is not early

    in_fork(act)


def test_oracle_reads_target_labels_of_training_alone(reference: Bench) -> None:
    def act() -> None:
        folder = reference.folder("after_oracle")
        context = job_context.open_job_context(load_job(folder), folder)
        first = plan_stages(context)[0]
        labelled, target = training_data(context, first.stage)
        seal(context, TrainingStream(labelled, target, first.stage.settings, 0))
        cityscapes, gta5 = context.datasets["cityscapes"], context.datasets["gta5"]
        cityscapes.read_label(cityscapes.samples("train")[0])
        firewall.require_intact()
        for dataset, split in ((cityscapes, "val"), (gta5, "all")):
            with pytest.raises(FirewallError, match="tried to open"):
                dataset.read_label(dataset.samples(split)[0])

    in_fork(act)


def test_method_cannot_read_labels_when_it_is_imported(
    reference: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        folder = reference.folder("source_only")
        plugins = [str(path) for path in (*reference.plugins, PLUGINS / "hasty.py")]
        spec = load_job(folder).model_copy(update={"method": "hasty", "plugins": plugins})
        with pytest.raises(PluginError, match=r"tried to open .*gtFine"):
            job_context.open_job_context(spec, folder)

    monkeypatch.setenv("ADAPTBENCH_CACHE", str(reference.cache))
    in_fork(act)
