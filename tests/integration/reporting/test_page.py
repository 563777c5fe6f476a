"""The web page: what stands on it, that nothing a record says becomes markup, and that it needs nothing else."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.documents import Unreadable
from adaptbench.records.jobspec import job_folder
from adaptbench.records.record import Record, save_record
from adaptbench.reporting.page.names import run_href
from adaptbench.reporting.page.site import write_page
from adaptbench.reporting.published.comparison import Facts, gather
from adaptbench.reporting.published.facts import Published, load_published

Maker = Callable[..., Record]
NOTHING = Facts(Published((), {}, {}), {})
VOID = {"meta", "link", "img", "input", "br", "line", "rect", "circle", "path", "polyline"}
SCRIPT = '<script>alert("x")</script>'


class Document(HTMLParser):
    """Tags with their attributes; complains about what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.tags if name == tag)


def readings(text: str) -> list[tuple[float, float | None, str]]:
    """What the first chart of a text says at the pointer."""
    (found,) = re.findall(r'data-readings="([^"]*)"', text)[:1]
    loaded: list[tuple[float, float | None, str]] = json.loads(html.unescape(found))
    return loaded


def documents(index: Path) -> dict[str, Document]:
    return {p.name: Document(p.read_text(encoding="utf-8")) for p in sorted(index.parent.glob("*.html"))}


def keep(record: Record, out: Path, lines: int = 5) -> Path:
    """A job folder with the record, a curve and a prediction."""
    folder = job_folder(out, record.benchmark, record.method, record.seed, record.job_hash)
    save_record(record, folder / "record.json")
    curve = [
        json.dumps({"iteration": 10 * i, "loss": 3.0 / (i + 1), "acc_seg": 10.0 * i}) for i in range(lines)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(curve) + "\n", encoding="utf-8")
    images = folder / "pictures" / record.scores[0].split.replace("/", "-")
    images.mkdir(parents=True)
    Image.new("L", (64, 32), 3).save(images / "one.png")
    return folder


def keep_matrix(job: Path) -> Path:
    """Road is taken for sidewalk once in four, sidewalk does not occur; all else is right."""
    matrix = 8 * np.eye(19, dtype=np.int64)
    matrix[0, :2], matrix[1, 1] = (3, 1), 0
    path = job / "confusion/cityscapes-val.npz"
    PerImageConfusion.collect({"one": matrix, "two": matrix}).save(path)
    return path


def keep_some(record: Maker, out: Path) -> list[Record]:
    """Runs of four methods, one of them a smoke run."""
    made = [record("dacs", 50.0, seed=s, further={"gta5/heldout": 60.0}) for s in range(2)]
    made += [record("hrda", 40.0, network="daformer-mini"), record("oracle", 70.0, tags=("oracle",))]
    made += [record("source_only", 30.0, tags=("control",)), record("dacs", 5.0, smoke=True)]
    for one in made:
        keep_matrix(keep(one, out))
    return made


@pytest.fixture
def records(record: Maker, tmp_path: Path) -> list[Record]:
    """Two of them, for a page of one's own."""
    made = [
        record("dacs", 50.0, further={"gta5/heldout": 60.0}),
        record("hrda", 40.0, network="daformer-mini"),
    ]
    for one in made:
        keep_matrix(keep(one, tmp_path))
    return made


@pytest.fixture(scope="module")
def index(record: Maker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of such runs; not to be changed."""
    out = tmp_path_factory.mktemp("page")
    return write_page(keep_some(record, out), out, NOTHING)


def test_there_is_a_page_per_board_and_run(index: Path) -> None:
    found = documents(index)
    assert len([name for name in found if name.startswith("run-")]) == 6
    assert len([name for name in found if name.startswith("board-")]) == 1
    text = next(index.parent.glob("board-*")).read_text(encoding="utf-8")
    assert "50.0 ± 0.0" in text and "generated world" in text and "Smoke runs" in text
    assert "mIoU (cityscapes19, cityscapes/val)" in text and "72 images of cityscapes/val" in text


def test_every_link_leads_to_a_file_of_the_folder(index: Path) -> None:
    for name, document in documents(index).items():
        places = [a.get("href") for tag in ("a", "link") for a in document.all(tag)]
        places += [a.get("src") for tag in ("img", "script") for a in document.all(tag)]
        for place in filter(None, places):
            if not place.startswith(("#", "data:")):
                assert (index.parent / place).is_file(), f"{name}: {place}"


def test_nothing_comes_from_elsewhere(index: Path) -> None:
    for path in [*index.parent.glob("*.html"), *(index.parent / "assets").iterdir()]:
        assert not re.search(
            r"(src|href)=\"?(https?:)?//|@import|url\((?!#)|fetch\(|XMLHttp", path.read_text()
        ), path


def test_names_stay_text(record: Maker, tmp_path: Path) -> None:
    evil = record(
        f"m{SCRIPT}",
        method_title=SCRIPT,
        benchmark=f"../../x'\"{SCRIPT}",
        benchmark_title=SCRIPT,
        network=f"n'{SCRIPT}",
        settings={f"key{SCRIPT}": SCRIPT},
        environment={"torch": SCRIPT},
    )
    index = write_page([evil], tmp_path, NOTHING, [Unreadable(SCRIPT, SCRIPT)])
    for document in documents(index).values():
        assert [a.get("src") for a in document.all("script")] == ["assets/page.js"]
        assert all("onload" not in attributes for _, attributes in document.tags)
    assert {p.name for p in tmp_path.iterdir()} == {"leaderboards"}


def test_tables_can_be_used_without_eyes_or_mouse(index: Path) -> None:
    for name, document in documents(index).items():
        assert [a.get("lang") for a in document.all("html")] == ["en"]
        headings = [int(tag[1]) for tag, _ in document.tags if re.fullmatch(r"h[1-6]", tag)]
        assert headings[0] == 1
        assert all(b - a <= 1 for a, b in pairwise(headings)), name
        assert all(a.get("scope") in ("col", "row") for a in document.all("th"))
        tables, captions = list(document.all("table")), list(document.all("caption"))
        assert len(tables) == len(captions)
        assert all(a.get("alt") for a in document.all("img"))
        ids = [a["id"] for _, a in document.tags if "id" in a]
        assert len(ids) == len(set(ids)), name
        labels = [a["aria-labelledby"] for _, a in document.tags if "aria-labelledby" in a]
        assert set(labels) <= set(ids)


def test_a_run_shows_its_settings_environment_and_curves(index: Path) -> None:
    text = next(index.parent.glob("run-*hrda*")).read_text(encoding="utf-8")
    for expected in ("daformer-mini", "2.15.0", "0.00025", "loss (sum of all terms)", "prediction for one"):
        assert expected in text


def test_a_run_shows_its_confusion_matrix(record: Maker, tmp_path: Path) -> None:
    one = record("dacs")
    matrices = keep_matrix(keep(one, tmp_path))
    index = write_page([one], tmp_path, NOTHING)
    text = next(index.parent.glob("run-*")).read_text(encoding="utf-8")
    figure = text[text.index('id="confusion"') :].split("</figure>")[0]
    said = [reading for _, _, reading in readings(figure)]
    assert said[:3] == [
        "75.0 % of road predicted as road",
        "25.0 % of road predicted as sidewalk",
        "100.0 % of building predicted as building",
    ]
    assert len(said) == 19
    assert re.findall(r"<text[^>]*>(\d+)</text>", figure) == ["75", "25"] + 17 * ["100"]
    assert figure.count("(absent)") == 1 and "sidewalk (absent)" in figure
    assert len(figure) < 20_000  # a page per run, of which there may be thousands
    matrices.write_bytes(b"damaged")
    text = next(write_page([one], tmp_path, NOTHING).parent.glob("run-*")).read_text(encoding="utf-8")
    assert "Confusion matrix" not in text


def test_the_same_folder_gives_the_same_bytes(records: list[Record], tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        folder = write_page(records[::-1], tmp_path, NOTHING).parent
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    first = content()
    records.reverse()
    assert content() == first
    assert [p.name for p in (tmp_path / "leaderboards").iterdir()] == ["page"]


def test_what_is_gone_leaves_the_page(records: list[Record], tmp_path: Path) -> None:
    index = write_page(records, tmp_path, NOTHING)
    (index.parent / "run-old.html").write_text("old")
    write_page(records[:1], tmp_path, NOTHING)
    assert len(list(index.parent.glob("run-*.html"))) == 1


def test_damaged_curves_and_missing_images_are_no_error(record: Maker, tmp_path: Path) -> None:
    one = record("dacs")
    folder = keep(one, tmp_path)
    (folder / "metrics.jsonl").write_text('{"iteration": 0, "loss": 1.0}\n{"iter', encoding="utf-8")
    (folder / "pictures/cityscapes-val/one.png").write_bytes(b"no image")
    said: list[str] = []
    index = write_page([one], tmp_path, NOTHING, say=said.append)
    text = next(index.parent.glob("board-*")).read_text(encoding="utf-8")
    assert "No images:" in text and "Learning curves" not in text
    assert len(said) == 3
    for line, name in zip(said, ("metrics.jsonl", "job.json", "one.png: it is no image"), strict=True):
        assert f"{folder}/" in line and name in line
    assert str(tmp_path) not in text  # a page may be shown to others


def test_printed_numbers_have_their_own_pages(tmp_path: Path) -> None:
    facts = gather(load_published(), plugins.discover())
    index = write_page([], tmp_path, facts)
    found = documents(index)
    text = (index.parent / "published-gta5_to_cityscapes.html").read_text(encoding="utf-8")
    assert "published-gta5_to_cityscapes.html" in found and "nothing on this page was measured" in text
    assert "No finished runs yet" in index.read_text(encoding="utf-8")
    assert 'href="https://arxiv.org/abs/2204.13132"' in text


def test_the_verb_writes_it_when_asked(
    records: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert not (tmp_path / "leaderboards/page").exists()
    assert main(["report", "--out", str(tmp_path), "--page"]) == 0
    assert f"Page: {tmp_path / 'leaderboards/page/index.html'}" in capsys.readouterr().out


def test_variants_stand_in_a_table_of_their_own(record: Maker, tmp_path: Path) -> None:
    changed = record("dacs", 60.0, overrides={"learning_rate": 1e-3})
    made = [record("dacs", 40.0), record("fada", 50.0, seed=1), changed]
    index = write_page(made, tmp_path, NOTHING)
    (page,) = (path.read_text(encoding="utf-8") for path in index.parent.glob("board-*.html"))
    first, second = page.split('<h2 id="h-variants">', 1)
    assert "learning_rate" not in first.split("<tbody>")[1] and "<strong>50.0</strong>" in first
    table = second.split("</section>")[0]
    assert "learning_rate=0.001" in table and "changed settings" in table and "<strong>" not in table
    assert "classes in the truth of the split" in first
    run = (index.parent / run_href(changed)).read_text(encoding="utf-8")
    assert "A variant without a place: changed settings." in run


def test_two_pages_at_once(record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one takes the place that this one has just made free."""
    target, rename, others = tmp_path / "leaderboards" / "page", Path.rename, iter((True, False))

    def rename_late(path: Path, to: Path) -> None:
        if to == target and next(others):
            target.mkdir()
            (target / "index.html").write_text("other")
        rename(path, to)

    monkeypatch.setattr(Path, "rename", rename_late)
    index = write_page([record("dacs")], tmp_path, NOTHING)
    assert index.read_text() != "other"
    assert [path.name for path in index.parents[1].iterdir()] == ["page"]
