"""The page in a headless Chromium: it loads, filters, sorts, opens and fits a phone.

Debian: `apt install chromium`; another one is named by the environment variable CHROMIUM. No root is needed otherwise.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.report.case import make_report, run_report

sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed: make setup")
NAMES = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((found for name in NAMES if name and (found := shutil.which(name))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: the report was not tested in one. `apt install chromium`"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The report on three evaluations of four images each."""
    root = tmp_path_factory.mktemp("report")
    before = Path.cwd()
    make_report(root)
    os.chdir(root)
    try:
        run_report()
    finally:
        os.chdir(before)
    yield root / "out/index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: "sync_api.Browser", page_file: Path) -> Iterator["sync_api.Page"]:
    """The page, opened from disk; whatever it logs, throws or asks for fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(page_file.as_uri())
    yield opened
    assert problems == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    opened.close()


def names(page: "sync_api.Page") -> list[str]:
    return [text.splitlines()[0] for text in page.locator("#gallery .card").all_inner_texts()]


def scores(page: "sync_api.Page") -> list[float]:
    return [float(text.split(" x ")[0]) for text in page.locator("#gallery .badge").all_inner_texts()]


def test_it_loads_and_a_screenshot_is_made(page: "sync_api.Page", tmp_path: Path) -> None:
    assert page.title() == "Oddpart: report"
    assert page.locator("#overview").is_visible()
    assert page.locator("#images").is_hidden()
    assert page.locator("tbody tr").count() > 3
    page.screenshot(path=tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_filters_work(page: "sync_api.Page") -> None:
    page.click("[data-view=images]")
    assert page.inner_text("#count") == "8 of 12 images"  # of the first method; others on request
    assert page.input_value("#filter-method") == "*"
    page.select_option("#filter-method", "")
    assert page.inner_text("#count") == "12 of 12 images"
    page.select_option("#filter-category", "<b>&cell")
    assert page.inner_text("#count") == "4 of 12 images"
    page.select_option("#filter-kind", "logical")
    assert page.inner_text("#count") == "2 of 12 images"
    page.check("#only-wrong")
    assert names(page) == ["test/<img> 2.png (logical: bent <pin>)"]
    assert page.locator("#gallery .card.wrong").count() == 1
    page.uncheck("#only-wrong")
    page.check("#only-unsure")
    assert names(page) == ["test/<img> 3.png (logical: bent <pin>)"]
    page.select_option("#filter-kind", "structural")
    assert page.inner_text("#count") == "0 of 12 images"
    page.select_option("#filter-kind", "")
    page.select_option("#filter-category", "")
    page.select_option("#filter-method", "theirs")
    assert page.inner_text("#count") == "1 of 12 images"


def test_sorting_works(page: "sync_api.Page") -> None:
    page.click("[data-view=images]")
    page.select_option("#filter-method", "")
    assert page.locator("#gallery .badge").first.inner_text() == "2.0 x threshold distance, p = 0.5"
    assert scores(page) == sorted(scores(page), reverse=True)
    page.select_option("#sort", "up")
    assert scores(page) == sorted(scores(page))
    page.select_option("#sort", "name")
    assert names(page) == sorted(names(page))


def test_the_disagreement_of_branches_is_shown_on_demand(page: "sync_api.Page") -> None:
    page.click("[data-view=images]")
    page.select_option("#filter-method", "")
    overlays = page.locator("#gallery .overlay")
    assert overlays.count() == 0
    page.check("#disagreement")
    assert overlays.count() == 6  # two of the four images of each evaluation have several maps
    assert page.locator("#gallery .card").count() == 12
    picture = overlays.first.locator("xpath=..").locator("img:not(.overlay)").bounding_box()
    assert overlays.first.bounding_box() == pytest.approx(picture, abs=0.1)
    assert overlays.first.evaluate("one => one.complete && one.naturalWidth") == 8
    page.select_option("#sort", "name")
    page.locator("#gallery .card", has=page.locator(".overlay")).first.click()
    label = "where the branches or students disagree"
    assert page.locator(f'#detail .overlay[alt="{label}"]').count() == 1
    page.keyboard.press("Escape")
    page.uncheck("#disagreement")
    assert overlays.count() == 0


def test_keys_move_open_and_close(page: "sync_api.Page") -> None:
    page.click("[data-view=images]")
    page.select_option("#sort", "name")
    page.focus("#gallery .card")
    page.keyboard.press("ArrowRight")
    focused = "document.activeElement.dataset.position"
    assert page.evaluate(focused) == page.locator("#gallery .card").nth(1).get_attribute("data-position")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert page.locator("#detail").is_visible()
    assert page.inner_text("#detail h2") == "tray: test/<img> 0.png"
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#detail h2").endswith("test/<img> 3.png")
    assert "component 1 smaller (0.5 x): top" in page.inner_text("#detail-body")  # <b>&cell has no names
    page.keyboard.press("ArrowLeft")
    assert "the <i>label smaller (0.5 x): top" in page.inner_text("#detail-body")
    box = page.locator("#detail .box").bounding_box()
    frame = page.locator("#detail .frame").first.bounding_box()
    assert box is not None and frame is not None
    assert box["x"] - frame["x"] == pytest.approx(0.25 * frame["width"], abs=1)
    assert box["height"] == pytest.approx(0.5 * frame["height"], abs=1)
    assert page.locator("#detail .overlay").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("#detail").is_hidden()


def test_the_data_set_shows_badges_and_red_masks(page: "sync_api.Page") -> None:
    page.click("[data-view=data-set]")
    assert page.locator("#dataset .label").all_inner_texts() == ["Normal", "Normal", "Anomalous", "Anomalous"]
    colour = "(one) => getComputedStyle(one).backgroundColor"
    assert page.locator("#dataset .label.normal").first.evaluate(colour) == "rgb(0, 120, 90)"
    assert page.locator("#dataset .label.anomalous").first.evaluate(colour) == "rgb(179, 38, 30)"
    assert page.locator("#dataset .overlay").count() == 2
    page.uncheck("#true-mask")
    assert page.locator("#dataset .overlay").count() == 0


def test_colours_and_themes(page: "sync_api.Page") -> None:
    page.click("[data-view=data-set]")
    page.click("#palette")
    colour = "(one) => getComputedStyle(one).backgroundColor"
    assert page.locator("#dataset .label.normal").first.evaluate(colour) == "rgb(0, 96, 160)"
    page.emulate_media(color_scheme="dark")
    dark = page.locator("body").evaluate(colour)
    page.emulate_media(color_scheme="light")
    assert page.locator("body").evaluate(colour) == "rgb(255, 255, 255)"
    page.click("#theme")  # light
    page.click("#theme")  # dark, whatever the system says
    assert page.locator("body").evaluate(colour) == dark == "rgb(21, 24, 27)"


def test_strips_show_their_cards_when_opened(page: "sync_api.Page") -> None:
    first = page.locator("details:has([data-positions])").first
    assert first.locator(".card").count() == 0
    first.locator("summary").click()
    first.locator(".card").first.wait_for()
    assert first.locator(".card").all_inner_texts()[0].startswith("test/<img> 2.png")


def test_other_methods_are_shown_on_request(page: "sync_api.Page") -> None:
    others = page.locator("details.others")
    heading = page.get_by_role("heading", name="tray: theirs")
    assert heading.is_hidden()
    assert page.get_by_role("heading", name="tray: ours").is_visible()
    others.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert heading.is_visible()
    assert others.locator(".card").count() == 0  # strips inside wait until they are opened themselves
    others.locator("details:has([data-positions]) > summary").first.click()
    others.locator(".card").first.wait_for()


def test_charts_use_the_width_of_the_page(page: "sync_api.Page") -> None:
    for width, share in ((1280, 0.4), (360, 0.85)):
        page.set_viewport_size({"width": width, "height": 740})
        box = page.locator(".chart").first.bounding_box()
        assert box is not None
        assert box["width"] > share * width


def test_without_scripts_the_overview_and_other_methods_can_be_read(
    browser: "sync_api.Browser", page_file: Path
) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(page_file.as_uri())
    assert page.get_by_role("heading", name="What this run can see").is_visible()
    page.locator("details.others > summary").click()
    assert page.get_by_role("heading", name="tray: theirs").is_visible()
    page.context.close()


@pytest.mark.parametrize("view", ["overview", "images", "data-set", "data-health"])
def test_a_phone_needs_no_sideways_scrolling(page: "sync_api.Page", view: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.click(f"[data-view={view}]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
