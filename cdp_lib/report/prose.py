"""Words of a notebook as safe HTML: Markdown without raw HTML, and HTML without surprises."""

import re
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlsplit

_TAG_NAMES = """
a abbr b blockquote br caption code col colgroup dd details div dl dt em h2 h3 h4 h5 hr i kbd li
ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul
"""
_TAGS = frozenset(_TAG_NAMES.split())
_ATTRIBUTES = {
    "*": ["class", "title"],
    "a": ["href"],
    "td": ["colspan", "rowspan"],
    "th": ["colspan", "rowspan", "scope"],
}
_DROPPED = re.compile(r"<(style|script)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents: heading level, anchor and text."""

    level: int
    anchor: str
    text: str


@dataclass
class Prose:
    """Turns Markdown into HTML and remembers the title and the headings on its way."""

    title: str = ""
    contents: list[Entry] = field(default_factory=list)

    def html(self, markdown: str) -> str:
        """Markdown as HTML: raw HTML stays text, an outside link becomes text with its address."""
        import mistune

        return mistune.create_markdown(renderer=_renderer(self), plugins=["table"])(markdown)

    def heading(self, text: str, level: int) -> str:
        """A heading with an anchor; the first of level 1 is the title and is not repeated."""
        plain = _unescaped(re.sub(r"<[^>]+>", "", text)).strip()
        if level == 1 and not self.title:
            self.title = plain
            return ""
        level = max(level, 2)
        words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "part"
        anchor = f"{words}-{len(self.contents) + 1}"
        self.contents.append(Entry(level, anchor, plain))
        return f'<h{level} id="{anchor}">{text}</h{level}>\n'


def clean_html(html: str) -> str:
    """HTML from a cell's output with known tags alone: no script, no style, no address outside."""
    import bleach

    return bleach.clean(
        _DROPPED.sub("", html),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        protocols=[],
        strip=True,
        strip_comments=True,
    )


def _renderer(prose: Prose):
    import mistune

    class Renderer(mistune.HTMLRenderer):
        """Mistune's renderer, escaping, with anchors and without outside addresses."""

        def heading(self, text, level, **attrs):
            return prose.heading(text, level)

        def link(self, text, url, title=None):
            parts = urlsplit(url)
            if parts.scheme or parts.netloc or url.startswith(("/", "\\")):
                address = escape(url)
                return text if address == text else f"{text} ({address})"
            return f'<a href="{escape(url)}">{text}</a>'

        def image(self, text, url, title=None):
            return f"<em>{escape(text)}</em>"

        def table(self, text):
            return f'<div class="table"><table>{text}</table></div>\n'

    return Renderer(escape=True)


def _unescaped(text: str) -> str:
    from html import unescape

    return unescape(text)
