"""The page as a file: one of it, no address outside, scripts named by hash, data escaped."""

import base64
import hashlib
import re

import pytest
from hostile_notebook import ATTACK, OUTSIDE, Elements
from nbformat import v4

from cdp_lib.report.page import headlines_of, notebook_title, page_html
from cdp_lib.report.prose import Prose, clean_html

OUTWARD = {"src", "href", "srcset", "action", "formaction", "data", "poster", "background"}


@pytest.fixture(scope="module")
def html(hostile_notebook):
    return page_html(hostile_notebook, {"Shop": ATTACK}, index="index.html")


@pytest.fixture(scope="module")
def elements(html):
    return Elements(html)


def test_no_attribute_leads_outside(elements):
    for tag, attributes in elements.found:
        for name in OUTWARD & set(attributes):
            assert re.match(r"#|data:|index\.html$", attributes[name] or ""), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert not {"iframe", "object", "embed", "base", "form"} & {tag for tag, _ in elements.found}


def test_no_style_loads_anything(elements):
    styles = [text for _, text in elements.of("style")]
    assert styles and not re.search(r"@import|url\(", " ".join(styles))


def test_the_policy_names_every_script_by_its_hash_and_nothing_else(elements):
    policy = next(
        attributes["content"]
        for attributes, _ in elements.of("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ") and "unsafe-eval" not in policy
    allowed = re.search(r"script-src ([^;]*)", policy).group(1).split()
    scripts = [text for attributes, text in elements.of("script") if "type" not in attributes]
    assert allowed == [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in scripts
    ]


def test_plotly_stands_in_the_page_once_and_only_where_there_is_a_chart(html, hostile_notebook):
    mark = "plotly.js v"
    assert html.count(mark) == 1 and len(html.encode()) <= 6 * 2**20
    prose = v4.new_notebook(cells=[v4.new_markdown_cell("# No chart")])
    assert mark not in page_html(prose) and len(page_html(prose)) < 40_000


def test_a_headline_a_chart_and_a_table_are_each_shown_once(elements):
    classes = [attributes.get("class") or "" for _, attributes in elements.found]
    assert classes.count("card act") == 1
    assert classes.count("plot") == 3 == classes.count("chart")


def test_every_chart_has_words_and_its_data(elements):
    plots = [a for tag, a in elements.found if (a.get("class") or "") == "plot"]
    assert all(plot["role"] == "img" and len(plot["aria-label"]) > 20 for plot in plots)
    assert "90 entered at view_item" in plots[0]["aria-label"]
    assert len([1 for tag, _ in elements.found if tag == "details"]) == 3


def test_the_title_is_the_question_and_the_contents_lead_to_the_parts(elements, hostile_notebook):
    assert notebook_title(hostile_notebook) == "Where?" == elements.of("title")[0][1]
    anchors = {attributes.get("id") for _, attributes in elements.found}
    contents = [a["href"] for a, _ in elements.of("a") if a.get("href", "").startswith("#")]
    assert len(contents) >= 3
    assert {link.removeprefix("#") for link in contents} <= anchors


def test_the_headlines_can_be_read_back(hostile_notebook):
    assert [one["name"] for one in headlines_of(hostile_notebook)] == [ATTACK]


def test_an_outside_link_becomes_its_address_in_words():
    prose = Prose()
    html = prose.html("# T\n[here](https://example.org/x) [odd](//example.org) [in](#a)")
    assert "here (https://example.org/x)" in html and "odd (//example.org)" in html
    assert html.count("<a ") == 1 and prose.title == "T"


def test_cleaning_keeps_tables_and_drops_the_rest():
    html = clean_html(
        f'<style>x</style><table class="a" style="x"><tr><td colspan="2" onclick="y">1</td></tr>'
        f'</table><a href="{OUTSIDE}">z</a><svg><use href="{OUTSIDE}"/></svg><!-- c -->'
    )
    html = html.replace("<tbody>", "").replace("</tbody>", "")
    assert html == '<table class="a"><tr><td colspan="2">1</td></tr></table><a>z</a>'


def test_a_cell_that_failed_says_so_on_the_page():
    cell = v4.new_code_cell("1 / 0")
    cell.outputs = [v4.new_output("error", ename="E<b>", evalue=ATTACK, traceback=["\x1b[31mred"])]
    html = page_html(v4.new_notebook(cells=[cell]))
    assert "This page is incomplete." in html and "E&lt;b&gt;" in html
    assert "<script>window" not in html and "\x1b" not in html
