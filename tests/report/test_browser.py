"""The page in a real Chromium: opened from disk, the network off, as a stakeholder would."""

import pytest
from hostile_notebook import ATTACK

from cdp_lib.report.page import page_html

pytestmark = pytest.mark.browser
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def page_file(hostile_notebook, tmp_path_factory):
    path = tmp_path_factory.mktemp("browser") / "page.html"
    path.write_bytes(page_html(hostile_notebook, {"Shop": ATTACK}).encode())
    return path


@pytest.fixture
def open_page(chromium, page_file):
    """Open the page; gives the page, what it asked of the network, and what it complained of."""
    contexts = []

    def go(viewport=WIDE, path=page_file, **options):
        context = chromium.new_context(viewport=viewport, offline=True, **options)
        contexts.append(context)
        page, asked, complaints = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('.plot')].every(p => p.querySelector('.main-svg'))"
        )
        return page, asked, complaints

    yield go
    for context in contexts:
        context.close()


def test_it_opens_without_network_and_without_complaint(open_page, page_file):
    page, asked, complaints = open_page()
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert complaints == []
    assert page.title() == "Where?"


def test_the_charts_are_drawn(open_page):
    page, *_ = open_page()
    drawn = page.eval_on_selector_all(
        ".plot",
        "plots => plots.map(p => p.querySelectorAll('.point path, .lines path, .hm image').length)",
    )
    # Three bars and three open parts; one line; one picture of the heatmap's shades.
    assert drawn[0] >= 6 and drawn[1] >= 1 and drawn[2] >= 1
    box = page.locator(".plot").first.bounding_box()
    assert box["width"] > 500 and box["height"] > 150


def test_nothing_from_the_data_runs_or_becomes_markup(open_page):
    page, *_ = open_page()
    page.locator(".plot").first.hover()
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, main a[href^='http'], svg a").count() == 0
    assert ATTACK in page.locator(".table caption").first.inner_text()
    # innerText leaves out the tag only if a browser read it as one.
    assert page.locator(".card h3").inner_text() == ATTACK
    label = page.locator(".plot .yaxislayer-above text").all_text_contents()
    assert any("<script>" in text for text in label)


def test_a_script_put_in_later_does_not_run(open_page):
    page, _, complaints = open_page()
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 2';"
        " document.body.append(s); const i = document.createElement('img');"
        " i.src = 'https://example.org/x.png'; document.body.append(i); }"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert len([text for text in complaints if "Content Security Policy" in text]) >= 2


def test_the_button_shows_and_hides_the_code_and_its_warnings(open_page):
    page, *_ = open_page()
    button = page.locator("#toggle-code")
    hidden = [page.locator(".source").first, page.get_by_text("a warning", exact=True)]
    assert not any(part.is_visible() for part in hidden)
    button.click()
    assert all(part.is_visible() for part in hidden) and button.inner_text() == "Hide code"
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert not any(part.is_visible() for part in hidden) and button.inner_text() == "Show code"


def test_the_data_behind_a_chart_opens(open_page):
    page, *_ = open_page()
    cell = page.locator("details.data td", has_text="view_item").first
    assert not cell.is_visible()
    page.locator("details.data summary").first.click()
    assert cell.is_visible()


def test_a_phone_needs_no_sideways_scroll(open_page):
    page, *_ = open_page(PHONE)
    page.locator("#toggle-code").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for plot in page.locator(".plot").all():
        assert plot.bounding_box()["width"] <= PHONE["width"]
    assert float(page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")) >= 14


def test_text_is_dark_on_white(open_page):
    page, *_ = open_page(color_scheme="dark")
    style = page.evaluate(
        "(() => { const s = getComputedStyle(document.body); return [s.color, "
        "s.backgroundColor]; })()"
    )
    assert style == ["rgb(23, 32, 43)", "rgb(255, 255, 255)"]


def test_on_paper_the_charts_fit_and_the_buttons_are_gone(open_page):
    page, *_ = open_page()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(200)
    assert not page.locator("#toggle-code").is_visible()
    widths = page.eval_on_selector_all(
        ".plot .main-svg", "all => all.map(s => s.getBoundingClientRect().width)"
    )
    assert max(widths) <= 660  # A4 less its margins is 180 mm, 680 CSS pixels
    assert len(page.pdf(format="A4")) > 20_000
