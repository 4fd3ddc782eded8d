"""A notebook as a hostile shop would make it: markup in names, wide tables, every output kind."""

from html.parser import HTMLParser

ATTACK = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">'
OUTSIDE = "https://example.org/tracker"

CELLS = (
    "%md ## The answer\nSee [the source](https://example.org/tracker), [part](#the-answer-1) and "
    "![pixel](https://example.org/tracker.png) <script>window.hacked = 1</script>",
    "import pandas as pd\nfrom cdp_lib.report import Headline, charts, show, show_table\n"
    f"attack, outside = {ATTACK!r}, {OUTSIDE!r}",
    "show(Headline(attack, 0.4, 0.39, 0.41, 'share', 5000, 'act', attack, (0.3, 0.35, 0.4)))",
    "%md ## The evidence",
    "steps = pd.DataFrame({'step': ['view_item', attack, '</script><b>x'], 'entered': [90, 60, 30],"
    " 'step_rate': [None, 2 / 3, 0.5], 'overall_rate': [1, 2 / 3, 1 / 3], 'open': [0, 5, 0]})\n"
    "show(charts.funnel_chart(steps, title=attack))",
    "weeks = pd.DataFrame({'week': ['2026-W45', '2026-W46', '2026-W47'], 'rate': [.6, .7, .65]})\n"
    "show(charts.trend_chart(weeks, 'rate', 'Abandoned, by week'))",
    "show(charts.heatmap(pd.DataFrame({'day': ['Mon', 'Tue'], 'part': ['am', 'am'], "
    "'n': [3, 4]}), 'part', 'day', 'n', 'When'))",
    "show_table(pd.DataFrame({attack: [attack], 'n_people': [50]} | "
    "{f'column_{i}': ['a wide cell with words'] for i in range(14)}), title=attack)",
    "%md ## What would change this answer",
    "from IPython.display import HTML, Markdown, display\n"
    'display(HTML(f\'<p onclick="window.hacked = 1">raw<iframe src="{outside}"></iframe>'
    '<a href="{outside}">out</a><img src="{outside}">{attack}'
    "<style>@import url({outside})</style></p>'))",
    "display(Markdown(f'**bold** {attack} [x]({outside}) [y](javascript:window.hacked=1)'))",
    "steps",
    "print(attack)\nimport sys; print('a warning', file=sys.stderr)",
)


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text right inside each."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict]] = []
        self.texts: list[list[str]] = []
        self.inside = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.texts.append([])
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.texts[-1].append(data)

    def of(self, tag: str) -> list[tuple[dict, str]]:
        """The attributes and the own text of each element of that name."""
        return [
            (attributes, "".join(text))
            for (name, attributes), text in zip(self.found, self.texts, strict=True)
            if name == tag
        ]
