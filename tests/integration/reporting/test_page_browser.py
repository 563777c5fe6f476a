"""The web page in a real browser, from file://: sort, filter, open a run. Skipped where none is installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from adaptbench.contracts import plugins
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.found import scan_records
from adaptbench.records.jobspec import job_folder
from adaptbench.records.record import Cost, Record, save_record
from adaptbench.reporting.page.site import write_page
from adaptbench.reporting.published.comparison import gather
from adaptbench.reporting.published.facts import load_published

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Maker = Callable[..., Record]
#: Method, mIoU, training time, network, tags.
ROWS = (
    ("dacs", 50.5, 600.0, "deeplabv2-mini", ()),
    ("hrda", 40.5, 90.0, "daformer-mini", ()),
    ("mic", 45.5, 4000.0, "daformer-mini", ()),
    ("majority", 1.5, 8.0, "deeplabv2-mini", ("control",)),
)


@pytest.fixture(scope="module")
def page(record: Maker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    out = tmp_path_factory.mktemp("page")
    for number, (method, miou, seconds, network, tags) in enumerate(ROWS):
        cost = Cost(training_seconds=seconds, evaluation_seconds=1.0, peak_memory_mib=700.0, device="cpu")
        made = record(method, miou, network=network, tags=tags, cost=cost)
        folder = job_folder(out, made.benchmark, method, made.seed, made.job_hash)
        (folder / "pictures/cityscapes-val").mkdir(parents=True)
        Image.new("L", (64, 32), number).save(folder / "pictures/cityscapes-val/one.png")
        curve = [json.dumps({"iteration": 10 * i, "loss": number + 3 / (i + 1)}) for i in range(40)]
        (folder / "metrics.jsonl").write_text("\n".join(curve), encoding="utf-8")
        matrix = np.eye(19, dtype=np.int64) * 999
        matrix[0, 1] = 1
        PerImageConfusion.collect({"one": matrix}).save(folder / "confusion/cityscapes-val.npz")
        save_record(made, folder / "record.json")
    facts = gather(load_published(), plugins.discover())
    return write_page(scan_records(out).records, out, facts)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with chromedriver is installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1280,1000"):
        options.add_argument(flag)
    options.add_argument("--disable-background-networking")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    started = webdriver.Chrome(options, webdriver.ChromeService(executable_path=driver))
    yield started
    started.quit()


@pytest.fixture
def board(browser: webdriver.Chrome, page: Path) -> webdriver.Chrome:
    browser.get(page.as_uri())
    browser.find_element(By.CSS_SELECTOR, ".cards h3 a").click()
    return browser


def column(browser: webdriver.Chrome, table: str, number: int) -> list[str]:
    """The texts of a column in the rows that are shown."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter((row) => row.checkVisibility())"
        ".map((row) => row.cells[arguments[1]].innerText)",
        f"#{table} tbody tr",
        number,
    )
    return found


def header(browser: webdriver.Chrome, table: str, start: str) -> WebElement:
    found = browser.find_elements(By.CSS_SELECTOR, f"#{table} thead th")
    return next(one for one in found if one.text.startswith(start))


def sorter(browser: webdriver.Chrome) -> Callable[[str], str | None]:
    def click(start: str) -> str | None:
        head = header(browser, "leaderboard", start)
        head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)  # as from the keyboard
        return head.get_attribute("aria-sort")

    return click


def test_a_table_is_sorted_by_numbers_and_by_text(board: webdriver.Chrome) -> None:
    assert column(board, "leaderboard", 1) == ["dacs", "mic", "hrda", "majority"]
    click = sorter(board)
    assert click("time") == "ascending"
    assert column(board, "leaderboard", 1) == ["majority", "hrda", "dacs", "mic"]
    assert click("time") == "descending"
    assert column(board, "leaderboard", 1) == ["mic", "dacs", "hrda", "majority"]
    assert click("mIoU") == "descending"
    assert column(board, "leaderboard", 1) == ["dacs", "mic", "hrda", "majority"]
    assert click("method") == "ascending"
    assert column(board, "leaderboard", 1) == ["dacs", "hrda", "majority", "mic"]
    assert header(board, "leaderboard", "time").get_attribute("aria-sort") == "none"
    assert click("rank") == "ascending"  # no place: last, whatever the direction
    assert column(board, "leaderboard", 0) == ["1", "2", "3", "control"]
    assert click("rank") == "descending"
    assert column(board, "leaderboard", 0) == ["3", "2", "1", "control"]


def test_rows_are_filtered_by_choice_and_by_words(board: webdriver.Chrome) -> None:
    form = board.find_element(By.CSS_SELECTOR, "form[data-table=leaderboard]")
    output = form.find_element(By.TAG_NAME, "output")
    assert output.text == "4 rows"
    network = next(s for s in form.find_elements(By.TAG_NAME, "select") if "daformer-mini" in s.text)
    choice = next(o.text for o in Select(network).options if o.text.startswith("daformer-mini"))
    Select(network).select_by_visible_text(choice)
    assert column(board, "leaderboard", 1) == ["mic", "hrda"]
    form.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("HRD")
    assert column(board, "leaderboard", 1) == ["hrda"] and output.text == "1 of 4 rows"
    form.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    WebDriverWait(board, 10).until(lambda _: output.text == "4 rows")  # a form is reset after the event
    assert len(column(board, "leaderboard", 1)) == 4


def test_a_run_is_opened_and_leads_back(board: webdriver.Chrome) -> None:
    board.find_element(By.CSS_SELECTOR, "#leaderboard").find_element(By.LINK_TEXT, "mic").click()
    assert "mic, seed 0" in board.title
    assert "daformer-mini" in board.find_element(By.CSS_SELECTOR, ".facts").text
    image = board.find_element(By.CSS_SELECTOR, ".image img")
    board.execute_script("arguments[0].scrollIntoView()", image)
    WebDriverWait(board, 10).until(lambda _: image.get_property("naturalWidth") == 64)
    board.find_element(By.CSS_SELECTOR, "header nav a:nth-of-type(2)").click()
    assert board.find_element(By.CSS_SELECTOR, "#leaderboard").is_displayed()


def test_charts_tell_their_values(board: webdriver.Chrome) -> None:
    chart = board.find_element(By.CSS_SELECTOR, "#curve-0 .plot")
    tip = board.find_element(By.CSS_SELECTOR, ".tip")
    chart.send_keys(Keys.ARROW_RIGHT)
    assert tip.text.startswith("iteration 0") and "dacs" in tip.text
    chart.send_keys(Keys.ARROW_RIGHT)
    assert tip.text.startswith("iteration 10")
    chart.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()
    point = board.find_element(By.CSS_SELECTOR, "#time a")
    board.execute_script("arguments[0].focus()", point)
    assert tip.is_displayed() and "mIoU" in tip.text


def test_bars_tell_the_values_of_a_class(board: webdriver.Chrome) -> None:
    plot = board.find_element(By.CSS_SELECTOR, "#bars .plot")
    board.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    ActionChains(board).move_to_element_with_offset(plot, -plot.size["width"] // 2 + 70, 0).perform()
    lines = board.find_element(By.CSS_SELECTOR, ".tip").text.splitlines()
    assert lines[0] == "road" and [line.split()[1] for line in lines[1:]] == [
        "dacs",
        "mic",
        "hrda",
        "majority",
    ]


def test_a_confusion_matrix_tells_its_shares(board: webdriver.Chrome, page: Path) -> None:
    board.get(next(page.parent.glob("run-*dacs*")).as_uri())
    plot = board.find_element(By.CSS_SELECTOR, "#confusion .plot")
    shown = [text.text for text in plot.find_elements(By.TAG_NAME, "text") if text.text.isdecimal()]
    assert shown == 19 * ["100"]
    board.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    sidewalk = json.loads(plot.get_attribute("data-readings") or "")[1]
    width, height = plot.size["width"], plot.size["height"]
    place = (round((sidewalk[0] - 0.5) * width), round((sidewalk[1] - 0.5) * height))
    ActionChains(board).move_to_element_with_offset(plot, *place).perform()
    tip = board.find_element(By.CSS_SELECTOR, ".tip")
    assert tip.text == "0.1 % of road predicted as sidewalk"
    ActionChains(board).move_to_element(board.find_element(By.CSS_SELECTOR, "#h-confusion")).perform()
    assert not tip.is_displayed()


def test_a_published_board_has_filters(browser: webdriver.Chrome, page: Path) -> None:
    browser.get((page.parent / "published-gta5_to_cityscapes.html").as_uri())
    form = browser.find_element(By.CSS_SELECTOR, "form[data-table=values-0]")
    Select(form.find_element(By.CSS_SELECTOR, "select")).select_by_visible_text("source only")
    assert set(column(browser, "values-0", 2)) == {"source only"}


@pytest.mark.parametrize("width", [380, 1280])
def test_pages_fit_the_window_and_log_no_error(board: webdriver.Chrome, page: Path, width: int) -> None:
    board.set_window_size(width, 900)
    run = next(page.parent.glob("run-*dacs*"))
    for path in (
        page,
        next(page.parent.glob("board-*")),
        run,
        page.parent / "published-gta5_to_cityscapes.html",
    ):
        board.get(path.as_uri())
        WebDriverWait(board, 10).until(  # charts find their size after they are loaded
            lambda b: b.execute_script("return document.documentElement.scrollWidth <= innerWidth"),
            f"{path.name} is wider than a window of {width}",
        )
    board.set_window_size(1280, 1000)
    assert [entry for entry in board.get_log("browser") if entry["level"] == "SEVERE"] == []
