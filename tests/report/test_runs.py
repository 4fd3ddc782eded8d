"""Which notebooks a weekly run executes, how often, and with which parameters."""

import json
import re

import pytest

from cdp_lib.checks import Refusal
from cdp_lib.report.run import weekly
from cdp_lib.report.runs import by_run, choose, find_runs

SEVERAL = """
[02_who.buy]
title = "Who will buy?"
event = "purchase"
[02_who.leave]
event = "app_remove"
days = 7
"""
WHO = """from cdp_lib.report import Headline, show
show(Headline("Days", days, None, None, "days", 50, "watch", event))"""


@pytest.fixture
def books(tmp_path, write_notebook):
    """A folder of two notebooks; `02_who` runs twice."""
    parameters = 'shop: str = "shop.toml"\nevent: str = "visit"\ndays: int = 30  # days'
    write_notebook(tmp_path / "notebooks", "01_count", "How many?", "x = 1")
    write_notebook(tmp_path / "notebooks", "02_who", "Who?", WHO, parameters=parameters)
    (tmp_path / "notebooks" / "weekly.toml").write_text(SEVERAL)
    return tmp_path / "notebooks"


def test_a_listed_notebook_runs_as_often_as_it_is_listed(books):
    runs = find_runs(books)
    assert list(runs) == ["01_count", "02_who-buy", "02_who-leave"]
    assert runs["02_who-buy"].preset == {"event": "purchase"}
    assert (runs["02_who-buy"].title, runs["02_who-leave"].title) == ("Who will buy?", "")
    assert runs["02_who-leave"].notebook == runs["02_who-buy"].notebook == books / "02_who.ipynb"


def test_a_beginning_names_one_notebook_and_all_its_runs(books):
    runs = find_runs(books)
    assert choose(runs, []) == list(runs)
    assert choose(runs, ["02"]) == ["02_who-buy", "02_who-leave"]
    assert choose(runs, ["02_who-leave", "01"]) == ["01_count", "02_who-leave"]
    with pytest.raises(Refusal, match="names several notebooks"):
        choose(runs, ["0"])
    assert by_run(["02.days=9", "02_who-buy.days=3", "01_count.shop=x.toml?a=1"], runs) == {
        "02_who-buy": {"days": "3"},
        "02_who-leave": {"days": "9"},
        "01_count": {"shop": "x.toml?a=1"},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("days=3", "write -p notebook.name=value"),
        ("01_count.days", "write -p notebook.name=value"),
        ("03.days=3", "no such notebook"),
        ("0.days=3", "names several notebooks"),
    ],
)
def test_a_pair_that_names_no_notebook_is_refused(books, text, said):
    with pytest.raises(Refusal, match=re.escape(said)):
        by_run([text], find_runs(books))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[02_wha.buy]", "did you mean '02_who'"),
        ("[02_who", "cannot be read"),
        ("02_who = 3", "write [02_who.name]"),
        ("[02_who]\nevent = 3", "write [02_who.name]"),
        ('[02_who."../x"]', "cannot be a part of a file's name"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(books, text, said):
    (books / "weekly.toml").write_text(text)
    with pytest.raises(Refusal, match=re.escape(said)):
        find_runs(books)


def test_each_run_has_its_page_its_title_and_its_numbers(books, write_shop, monkeypatch):
    monkeypatch.chdir(books.parent)
    write_shop(books.parent)
    done = weekly("shop.toml", only=["02"], parameters=["02_who-buy.days=3"])
    assert [(one.name, one.title, one.status) for one in done.outcomes] == [
        ("02_who-buy", "Who will buy?", "done"),
        ("02_who-leave", "Who?", "done"),
    ]
    found = json.loads((done.folder / "headlines.json").read_text())
    assert [(one["notebook"], one["value"], one["sentence"]) for one in found] == [
        ("02_who-buy", 3.0, "purchase"),
        ("02_who-leave", 7.0, "app_remove"),
    ]
    assert "Who will buy?" in (done.folder / "02_who-buy.html").read_text()
    (books / "weekly.toml").write_text("[02_who.buy]\nhorizon = 3")
    with pytest.raises(Refusal, match="horizon"):
        weekly("shop.toml")
    (books / "weekly.toml").write_text('[02_who.buy]\nshop = "x"')
    with pytest.raises(Refusal, match="use --shop"):
        weekly("shop.toml")
