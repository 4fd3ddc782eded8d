"""The weekly run from a shop to a folder of pages."""

import json
import re
import signal
import subprocess
import sys
import time
from datetime import datetime

import psutil
import pytest
from hostile_notebook import Elements

from cdp_lib.checks import Refusal
from cdp_lib.report.index import Week, order_of_attention
from cdp_lib.report.run import run_notebook, weekly

PARAMETERS = 'shop: str = "shop.toml"\nas_of: str = ""\nscale: float = 1.0  # of the number'
OPEN = """from cdp_lib.tables import open_shop
store = open_shop(shop, as_of=as_of or None, needs={needs})"""
COUNT = """from cdp_lib.report import Headline, show
n = int(store.events.filter(store.events.event == "purchase").count().execute())
show(Headline("Purchases", n * scale, None, None, "count", n, "watch", f"{n} purchases."))"""
MONEY = """from cdp_lib.report import Headline, show
show(Headline("Lost <b>", 500.0, 400.0, 600.0, "money", 50, "act", "x", currency="EUR"))"""


@pytest.fixture
def place(tmp_path, monkeypatch, write_notebook, write_shop):
    """A working directory with a shop and four notebooks: two fine, one lacking, one broken."""
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path)
    books = tmp_path / "notebooks"
    needs_events, needs_orders = OPEN.format(needs=["events"]), OPEN.format(needs=["orders"])
    write_notebook(books, "01_count", "How many?", needs_events, COUNT, parameters=PARAMETERS)
    write_notebook(books, "02_money", "How much?", needs_events, MONEY)
    write_notebook(books, "03_orders", "Which orders?", needs_orders)
    write_notebook(books, "04_broken", "What <i>broke</i>?", "raise OSError('<b>no</b> ' + shop)")
    return tmp_path


def test_a_week_is_published_and_one_failure_stops_nothing(place):
    done = weekly("shop.toml")
    assert (done.week, done.failed) == ("2026-W47", True)
    assert [(one.name, one.status) for one in done.outcomes] == [
        ("01_count", "done"),
        ("02_money", "done"),
        ("03_orders", "not run"),
        ("04_broken", "failed"),
    ]
    names = {path.name for path in done.folder.iterdir()}
    pages = {"01_count.html", "02_money.html", "04_broken.html", "index.html"}
    books = {f"{one.name}.ipynb" for one in done.outcomes}
    assert names == pages | books | {"headlines.json", "manifest.json"}

    headlines = json.loads((done.folder / "headlines.json").read_text())
    keys = ["notebook", "name", "value", "low", "high", "unit", "n", "verdict", "sentence"]
    assert [list(headline)[:9] for headline in headlines] == [keys, keys]
    # 504 events, every third a purchase.
    assert [headline["value"] for headline in headlines] == [168.0, 500.0]

    text = (done.folder / "manifest.json").read_text()
    manifest = json.loads(text)
    assert str(place) not in text and manifest["shop"] == "small"
    assert manifest["row_counts"]["events"] == {"n_read": 504, "n_set_aside": 0, "n_used": 504}
    assert manifest["data_span"] == {
        "first": "2026-11-02 00:00:00",
        "last": "2026-11-22 23:00:00",
    }
    assert manifest["notebooks"][0]["parameters"] == {
        "shop": "shop.toml",
        "as_of": "2026-11-23T00:00:00Z",
    }
    assert manifest["notebooks"][0]["peak_mb"] > 20 and manifest["versions"]["duckdb"]

    html = (done.folder / "index.html").read_text()
    links = [a["href"] for a, _ in Elements(html).of("a")]
    assert set(links) == pages - {"index.html"}
    assert "<b>" not in html and "<i>" not in html
    assert "OSError: &lt;b&gt;no&lt;/b&gt; shop.toml" in html and "orders" in html
    # The money comes first: it says act.
    assert links[:2] == ["02_money.html", "01_count.html"]


def test_running_again_gives_the_same_numbers(place):
    (place / "notebooks" / "04_broken.ipynb").unlink()
    first = weekly("shop.toml", jobs=1)
    before = {n: (first.folder / n).read_bytes() for n in ("headlines.json", "01_count.html")}
    record = json.loads((first.folder / "manifest.json").read_text())
    again = weekly("shop.toml", jobs=3)
    assert not again.failed
    assert {name: (again.folder / name).read_bytes() for name in before} == before
    changed = json.loads((again.folder / "manifest.json").read_text())
    for notebook in [*record["notebooks"], *changed["notebooks"]]:
        del notebook["seconds"], notebook["peak_mb"]
    assert changed == record


def test_the_overview_compares_with_the_week_before(place):
    weekly("shop.toml", as_of="2026-11-16", only=["01"])
    done = weekly("shop.toml", only=["01"])
    html = (done.folder / "index.html").read_text()
    # Two weeks of 56 purchases each had passed, now three.
    assert "▲ +56 since last week" in html
    assert "<svg" not in html, "two points make a slope out of noise"


def test_what_is_not_run_again_keeps_its_page(place):
    weekly("shop.toml", only=["01", "02"])
    done = weekly("shop.toml", only=["01_count"], parameters=["01_count.scale=2"])
    assert [one.name for one in done.outcomes] == ["01_count", "02_money"]
    headlines = json.loads((done.folder / "headlines.json").read_text())
    assert [headline["value"] for headline in headlines] == [336.0, 500.0]
    assert (done.folder / "02_money.html").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parameters": ["01_count.scael=2"]}, "did you mean 'scale'"),
        ({"parameters": ["01_count.as_of=2026-01-01"]}, "use --as_of"),
        ({"parameters": ["02_money.x=1"], "only": ["01"]}, "this notebook is not run"),
        ({"only": ["05"]}, "choose one of 01_count, 02_money"),
        ({"jobs": 0}, "at least 1"),
        ({"notebooks_dir": "nowhere"}, "no notebook there"),
        ({"as_of": "soon"}, "not a date"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(place, options, said):
    with pytest.raises(Refusal, match=re.escape(said)):
        weekly("shop.toml", **options)
    assert not (place / "reports").exists()


def test_a_report_of_another_shop_is_not_overwritten(place, write_shop):
    weekly("shop.toml", only=["02"])
    write_shop(place / "other", name="other")
    with pytest.raises(Refusal, match="--out"):
        weekly("other/shop.toml", only=["02"])
    assert json.loads((place / "reports/2026-W47/manifest.json").read_text())["shop"] == "small"


def test_ctrl_c_ends_the_kernels_at_once_and_publishes_nothing(place):
    (place / "notebooks" / "01_count.ipynb").unlink()
    broken = place / "notebooks" / "04_broken.ipynb"
    slow = "open('began', 'w').close(); import time; time.sleep(300)"
    broken.write_text(broken.read_text().replace("raise OSError('<b>no</b> ' + shop)", slow))
    run = subprocess.Popen(
        [sys.executable, "-m", "cdp_lib", "weekly", "--shop", "shop.toml", "--only", "04"],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(600):
        if (place / "began").exists():
            break
        time.sleep(0.1)
    kernels = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    assert kernels and run.wait(30) != 0
    assert not psutil.wait_procs(kernels, timeout=20)[1]
    assert not (place / "reports" / "2026-W47").exists()


def test_what_is_published_names_no_path_of_the_machine(place):
    done = weekly(str(place / "shop.toml"))
    for path in done.folder.iterdir():
        assert str(place) not in path.read_text(), path.name


def test_one_notebook_runs_alone(place):
    executed, page = run_notebook("notebooks/01_count.ipynb", {"scale": "0.5"}, out="there")
    assert executed.status == "done"
    assert ">84<" in page.read_text() and page.with_suffix(".ipynb").exists()
    assert 'href="index.html"' not in page.read_text()


def test_a_notebook_runs_by_plain_papermill_and_gives_the_same_headlines(place):
    from papermill import execute_notebook

    from cdp_lib.report.page import headlines_of

    plain = execute_notebook(
        "notebooks/01_count.ipynb",
        "out.ipynb",
        {"shop": "shop.toml", "as_of": "2026-11-23"},
        kernel_name="python3",
        progress_bar=False,
    )
    assert [headline["value"] for headline in headlines_of(plain)] == [168.0]


def test_cards_stand_in_the_order_of_attention():
    def card(verdict, unit, value):
        return {"verdict": verdict, "unit": unit, "value": value, "notebook": "01"}

    ordered = [
        card("act", "money", 900.0),
        card("act", "money", 5.0),
        card("act", "share", 0.9),
        card("wait 3 days", "money", 10_000.0),
        card("watch", "money", None),
        card("cannot tell", "share", None),
        card("good", "money", 10_000.0),
        card("refused", "share", None),
    ]
    assert sorted(reversed(ordered), key=order_of_attention) == ordered


@pytest.mark.parametrize(
    ("as_of", "days"),
    [
        ("2026-11-23", "16 to 22 November 2026"),
        ("2026-11-17", "16 November 2026"),
        ("2026-10-05", "28 September to 4 October 2026"),
        ("2027-01-04", "28 December 2026 to 3 January 2027"),
    ],
)
def test_the_days_of_the_week_are_named(as_of, days):
    assert Week("x", "s", datetime.fromisoformat(as_of), "EUR").days_as_text() == days
