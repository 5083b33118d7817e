"""The report in a real browser: Debian's Chromium, without a window. Without one, all of this is skipped."""

import functools
import itertools
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import forescale as fs
from forescale.pages import report
from forescale.pages.contents import Control
from forescale.units import format_quantity

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BUDGETS = ["1e22", "5.76e23"]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install '.[test]'")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; on Debian: apt-get install chromium"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def made(hoffmann_fit):
    return report(hoffmann_fit, BUDGETS, plans={"</script><b>mine": ("70B", "1.4T")})


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root's processes do not have
        running = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


class Tab:
    """The page opened from disk, with all that the browser had to say of it."""

    def __init__(self, browser, path, **context):
        self.requests, self.complaints = [], []
        self.page = browser.new_page(**context)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(Path(path).as_uri())

    def rows(self):
        """What the control shows, by quantity."""
        found = {}
        for row in self.page.locator("#reader-rows tr").all():
            found[row.locator("th").inner_text()] = row.locator("td").all_inner_texts()
        return found


@pytest.fixture(scope="module")
def path(made, tmp_path_factory):
    return made.save(tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def tab(browser, path):
    opened = Tab(browser, path)
    yield opened
    opened.page.close()


def test_renders_without_a_complaint_and_asks_for_nothing(tab, made, path):
    page = tab.page
    assert page.title() == made.contents.title
    assert page.locator("h2").all_inner_texts() == [section.heading for section in made.contents.sections]
    images = page.evaluate("[...document.images].map((image) => [image.complete, image.naturalWidth])")
    assert len(images) >= 3
    assert all(complete and width > 300 for complete, width in images)
    assert page.locator("th", has_text="</script><b>mine").count() >= 1
    assert page.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # the style is in force
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [path.as_uri()]


def test_a_script_or_a_request_that_is_not_its_own_is_blocked(tab):
    tab.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.intruded = true";
            const image = document.createElement("img");
            image.src = "http://127.0.0.1:9/x.png";
            document.body.append(script, image);
        }"""
    )
    tab.page.wait_for_timeout(200)
    assert tab.page.evaluate("window.intruded") is None
    assert len([text for text in tab.complaints if "Content Security Policy" in text]) == 2


def test_control_says_what_the_tables_say(tab, hoffmann_fit):
    split = fs.allocate(hoffmann_fit, BUDGETS)
    for prob in (0.9, 0.5):
        tab.page.get_by_label("Probability of the bands").select_option(str(prob))
        for flops in BUDGETS:
            tab.page.get_by_label("Training compute, FLOPs").fill(flops)
            rows = tab.rows()
            table = split.table(prob).set_index(["flops", "quantity"])
            for label, quantity in (("N*, parameters", "n_params"), ("D*, tokens", "n_tokens")):
                row = table.loc[(float(flops), quantity)]
                assert rows[label] == [format_quantity(row[end]) for end in ("median", "lower", "upper")]
    answer = tab.page.locator("#answer > ul > li").nth(1).inner_text().replace("\u00a0", " ")
    assert " to ".join(read(tab, "5.76e23", "0.9")["loss, the law's curve (mean)"][1:]) in answer


def read(tab, flops, prob):
    tab.page.get_by_label("Probability of the bands").select_option(prob)
    tab.page.get_by_label("Training compute, FLOPs").fill(flops)
    return tab.rows()


def test_control_interpolates_as_it_says(tab, made, hoffmann_fit):
    (control,) = (part for part in made.contents.sections[0].parts if isinstance(part, Control))
    stated = float(re.search(r"there by at most ([\d.e-]+)\s%", control.note)[1]) / 100
    budgets = control.data["budgets"]
    for left, right in list(itertools.pairwise(budgets))[::12]:
        flops = float(f"{np.sqrt(left * right):.4g}")
        wanted = fs.allocate(hoffmann_fit, flops).table(0.9).set_index("quantity").loc["n_params"]
        shown = [fs.units.parse_quantity(text) for text in read(tab, repr(flops), "0.9")["N*, parameters"]]
        exact = wanted[["median", "lower", "upper"]].to_numpy(float)
        np.testing.assert_allclose(shown, exact, rtol=1.1 * stated + 0.005)  # three digits are shown


def test_control_writes_quantities_as_python_does(tab, made):
    (control,) = (part for part in made.contents.sections[0].parts if isinstance(part, Control))
    for place, flops in list(enumerate(control.data["budgets"]))[::5]:
        shown = read(tab, repr(flops), "0.9")
        for quantity in control.data["quantities"][:3]:
            assert shown[quantity["label"]][0] == format_quantity(quantity["levels"][0][place])


def test_control_by_keyboard_alone(tab):
    page = tab.page
    focused = functools.partial(page.evaluate, "document.activeElement.id")
    page.get_by_label("Training compute, FLOPs").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("1e22")
    page.keyboard.press("Enter")
    said = page.locator("#reader-said")
    assert said.get_attribute("aria-live") == "polite"
    first = said.inner_text()
    assert first.startswith("At 1e22 FLOPs: ")
    page.keyboard.press("Tab")
    assert focused() == "reader-slider"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    second = said.inner_text()
    assert second != first
    assert page.locator("#reader-slider").get_attribute("aria-valuetext") == second.split(": ")[0].removeprefix("At ")
    page.keyboard.press("Tab")
    assert focused() == "reader-prob"
    page.keyboard.press("Home")
    assert ", 50\u00a0% " in said.inner_text()


@pytest.mark.parametrize("text", ["", "many", "1e3", "1e40", "-1e22"])
def test_control_refuses_what_it_cannot_read(tab, text):
    field = tab.page.get_by_label("Training compute, FLOPs")
    before = tab.rows()
    field.fill(text)
    field.press("Enter")
    assert re.match(r"Give compute from 1e18 to 1e\d\d FLOPs", tab.page.locator("#reader-error").inner_text())
    assert field.get_attribute("aria-invalid") == "true"
    assert tab.rows() == before
    field.fill("1e23")
    assert tab.page.locator("#reader-error").inner_text() == ""
    assert tab.rows() != before


@pytest.mark.parametrize("width", [1200, 360])
def test_fits_the_width_of_a_screen(browser, path, width):
    opened = Tab(browser, path, viewport={"width": width, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.page.close()


def test_reads_without_scripts(browser, path):
    opened = Tab(browser, path, java_script_enabled=False)
    assert "switched off" in opened.page.locator("noscript").inner_text()
    assert not opened.page.locator("#reader").is_visible()
    assert opened.page.locator("#answer > ul > li").count() == 2
    opened.page.close()


def test_text_has_contrast(tab):
    """Every text is at least 4.5 to 1 against what is behind it: WCAG 2.1, AA."""
    found = tab.page.evaluate(
        """() => {
            const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
            const behind = (element) => {
                for (let each = element; each; each = each.parentElement) {
                    const colour = rgb(getComputedStyle(each).backgroundColor);
                    if (colour.length < 4 || colour[3] > 0) return colour;
                }
                return [255, 255, 255];
            };
            const text = [...document.querySelectorAll("h1, h2, p, li, th, td, a, code, caption, figcaption, label")];
            return text.map((each) => [each.tagName, rgb(getComputedStyle(each).color), behind(each)]);
        }"""
    )

    def luminance(colour):
        share = np.array(colour[:3]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    assert len(found) > 100
    for tag, ink, paper in found:
        dark, light = sorted([luminance(ink), luminance(paper)])
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (tag, ink, paper)
