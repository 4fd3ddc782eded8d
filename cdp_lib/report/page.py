"""One executed notebook as one HTML file that opens from disk with the network off.

Cells become prose, cards, charts and tables; code waits behind a button. plotly.js stands in
the page once, and only when there is a chart. A Content-Security-Policy names the page's own
scripts by hash, so nothing else can run or load.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from cdp_lib.report.cards import card_html, template
from cdp_lib.report.findings import HEADLINE_MIME, PLOTLY_MIME
from cdp_lib.report.parameters import without_ansi
from cdp_lib.report.prose import Prose, clean_html


@dataclass
class _Page:
    """What is gathered while a notebook's cells are turned into HTML."""

    prose: Prose = field(default_factory=Prose)
    blocks: list[str] = field(default_factory=list)
    n_charts: int = 0


def page_html(notebook, about: Mapping[str, str] | None = None, index: str = "") -> str:
    """The page of an executed notebook (nbformat).

    `about` is a few words and values shown under the title, such as shop and week; `index` the
    relative address of the overview, if there is one.
    """
    page = _Page()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            page.blocks.append(f'<div class="prose">{page.prose.html(cell.source)}</div>')
        elif cell.cell_type == "code" and cell.source.strip():
            page.blocks.append(_code_html(cell.source, cell.get("outputs", [])))
            page.blocks.extend(
                filter(None, (_output_html(page, output) for output in cell.get("outputs", [])))
            )
    scripts = [template("page.js").replace("\r\n", "\n")]
    if page.n_charts:
        from plotly.offline import get_plotlyjs

        scripts.insert(0, get_plotlyjs())
    return shell_html(
        title=page.prose.title or "Report",
        body="\n".join(page.blocks),
        contents=[entry for entry in page.prose.contents if entry.level == 2],
        about=about or {},
        index=index,
        scripts=scripts,
        styles=[template(name) for name in ("house.css", "card.css", "table.css")]
        + [_highlight_css()],
    )


def notebook_title(notebook) -> str:
    """The first heading of a notebook, or "" when it has none."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return ""


def headlines_of(notebook) -> list[dict]:
    """The headlines shown in an executed notebook, in their order."""
    return [
        dict(output.data[HEADLINE_MIME])
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.get("outputs", [])
        if HEADLINE_MIME in output.get("data", {})
    ]


def shell_html(**parts) -> str:
    """The frame around a page's body: head, policy, styles, title, contents and scripts.

    `scripts` and `styles` are lists of text; `body` is HTML; everything else is escaped.
    """
    import jinja2

    scripts = [_safe_script(text) for text in parts.pop("scripts", [])]
    hashes = " ".join(f"'sha256-{_sha256(text)}'" for text in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes or chr(39) + 'none' + chr(39)}; "
        "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    frame = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        template("page.html")
    )
    return frame.render(**parts, scripts=scripts, policy=policy)


def _safe_script(text: str) -> str:
    """A script that cannot end its own element early."""
    return re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE)


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _output_html(page: _Page, output) -> str:
    if output.output_type == "stream":
        if output.name == "stderr":
            return ""
        return f'<pre class="text">{escape(without_ansi(output.text))}</pre>'
    if output.output_type == "error":
        return _error_html(output)
    data = output.get("data", {})
    if HEADLINE_MIME in data:
        return card_html(data[HEADLINE_MIME])
    if PLOTLY_MIME in data:
        return _chart_html(page, data[PLOTLY_MIME])
    if "text/html" in data:
        return f'<div class="output">{clean_html(_text(data["text/html"]))}</div>'
    if "image/png" in data:
        picture = re.sub(r"[^A-Za-z0-9+/=]", "", _text(data["image/png"]))
        return f'<img alt="picture" src="data:image/png;base64,{picture}">'
    if "text/markdown" in data:
        return f'<div class="prose">{page.prose.html(_text(data["text/markdown"]))}</div>'
    if "text/plain" in data:
        return f'<pre class="text">{escape(_text(data["text/plain"]))}</pre>'
    return ""


def _chart_html(page: _Page, figure: Mapping) -> str:
    page.n_charts += 1
    name = f"chart-{page.n_charts}"
    figure = json.loads(re.sub(r"<(?=/?a\b)", "&lt;", json.dumps(figure), flags=re.IGNORECASE))
    layout = figure.setdefault("layout", {})
    meta = layout.pop("meta", None)
    meta = meta if isinstance(meta, dict) else {}
    alt = str(meta.get("alt") or "A chart; its data have no words.")
    title = layout.pop("title", {})
    title = title.get("text", "") if isinstance(title, dict) else title
    margin = layout.get("margin", {})
    if title and margin.get("t", 0) >= 56:
        margin["t"] -= 36
        layout["height"] = layout.get("height", 400) - 36
    content = {"data": figure.get("data", []), "layout": layout}
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    heading = f"<h4>{_label(title)}</h4>" if title else ""
    height = int(layout.get("height", 400))
    return (
        f'<figure class="chart"><figcaption>{heading}<p class="alt">{_label(alt)}</p></figcaption>'
        f'<div class="plot" id="{name}" role="img" aria-label="{_label(alt)}" '
        f'style="height:{height}px"></div>{_data_html(meta.get("table"))}</figure>'
        f'<script type="application/json" id="{name}-figure">{text}</script>'
    )


def _label(text: str) -> str:
    """Text for HTML from a chart label, in which tags may already stand escaped."""
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return escape(text)


def _data_html(table: Mapping | None) -> str:
    if not table or not table.get("rows"):
        return ""
    sides = [' class="number"' if numeric else "" for numeric in table["numeric"]]
    head = "".join(
        f'<th scope="col"{side}>{escape(str(text))}</th>'
        for side, text in zip(sides, table["headings"], strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{side}>{escape(str(text))}</td>" for side, text in zip(sides, row, strict=True)
        )
        + "</tr>"
        for row in table["rows"]
    )
    n_more = int(table.get("n_more", 0))
    more = f'<p class="foot">{n_more:,} further rows not shown.</p>' if n_more else ""
    return (
        '<details class="data"><summary>Data behind this chart</summary><div class="table">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}</div></details>"
    )


def _code_html(source: str, outputs) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    code = highlight(source, PythonLexer(), HtmlFormatter(cssclass="source"))
    warnings = "".join(
        without_ansi(output.text)
        for output in outputs
        if output.output_type == "stream" and output.name == "stderr"
    )
    said = f'<pre class="text">{escape(warnings)}</pre>' if warnings else ""
    return f'<div class="code">{code}{said}</div>'


def _error_html(output) -> str:
    trace = escape(without_ansi("\n".join(output.get("traceback", []))))
    return (
        f'<div class="error" role="alert"><p><strong>This page is incomplete.</strong> '
        f"{escape(output.ename)}: {escape(without_ansi(output.evalue))}</p>"
        f'<div class="code"><pre class="text">{trace}</pre></div></div>'
    )


def _highlight_css() -> str:
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style="default").get_style_defs(".source")


def _text(data: str | list[str]) -> str:
    return data if isinstance(data, str) else "".join(data)
