"""Which notebooks a weekly run executes, how often, and with which parameters."""

import json
import re

import pytest

from cdp_lib.checks import Refusal
from cdp_lib.report.run import weekly
from cdp_lib.report.runs import by_run, choose, find_runs, in_turn

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


def test_a_notebook_waits_for_what_it_reads(books, write_notebook):
    write_notebook(books, "03_sum", "Sum?", "x = 1")
    (books / "weekly.toml").write_text('[01_count]\nafter = ["02_who"]\n' + SEVERAL)
    runs = find_runs(books)
    assert list(runs) == ["01_count", "02_who-buy", "02_who-leave", "03_sum"]
    assert in_turn(runs, runs) == ["02_who-buy", "02_who-leave", "01_count", "03_sum"]
    assert in_turn(runs, ["01_count", "03_sum"]) == ["01_count", "03_sum"]
    (books / "weekly.toml").write_text(
        '[01_count]\nafter = ["03_sum"]\n[03_sum]\nafter = ["01_count"]'
    )
    with pytest.raises(Refusal, match="wait for each other"):
        in_turn(find_runs(books), ["01_count", "03_sum"])
    (books / "weekly.toml").write_text('[01_count]\nafter = ["04_other"]\n')
    with pytest.raises(Refusal, match="04_other"):
        find_runs(books)


def test_it_finds_what_the_other_has_written(tmp_path, monkeypatch, write_notebook, write_shop):
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path)
    late = "import pathlib, time\ntime.sleep(2)\npathlib.Path('made').write_text('x')"
    write_notebook(tmp_path / "notebooks", "01_reads", "Reads?", "open('made').read()")
    write_notebook(tmp_path / "notebooks", "02_writes", "Writes?", late)
    (tmp_path / "notebooks" / "weekly.toml").write_text('[01_reads]\nafter = ["02_writes"]\n')
    assert not weekly("shop.toml", jobs=1).failed
    (tmp_path / "made").unlink()
    assert not weekly("shop.toml", jobs=2).failed


def test_a_beginning_names_one_notebook_and_all_its_runs(books):
    runs = find_runs(books)
    assert choose(runs, []) == list(runs)
    assert choose(runs, ["02"]) == ["02_who-buy", "02_who-leave"]
    assert choose(runs, ["02_who-leave", "01"]) == ["01_count", "02_who-leave"]
    assert choose(runs, ["02_who-leave, 01"]) == ["01_count", "02_who-leave"]
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
