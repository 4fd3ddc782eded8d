"""Which weekly run lets audiences leave: that of the shop's own week, unless told otherwise."""

import json
from pathlib import Path

import pytest

from cdp_lib.report.run import weekly

PARAMETERS = (
    'shop: str = "shop.toml"  # the shop\nas_of: str = ""  # end of the data\n'
    "send: bool = False  # whether the audience leaves"
)


@pytest.fixture
def sends(tmp_path, monkeypatch, write_notebook, write_shop):
    """`sends(**options)`: what a weekly run with these options tells the notebook."""
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path)
    write_notebook(tmp_path / "notebooks", "01_a", "Who?", "send", parameters=PARAMETERS)

    def run(**options) -> bool:
        done = weekly("shop.toml", **options)
        (one,) = json.loads((done.folder / "manifest.json").read_text())["notebooks"]
        assert one["status"] == "done"
        return one["parameters"]["send"]

    return run


def test_the_weekly_run_sends(sends):
    assert sends() is True


def test_who_looks_back_writes_to_nobody(sends):
    # The shop's data end on Monday 2026-11-23, so its audiences leave in that week.
    assert sends(as_of="2026-11-22") is False
    assert sends(as_of="2026-11-23") is True


def test_rows_of_the_monday_on_which_the_run_begins_are_no_later_week(sends):
    text = Path("shop.toml").read_text()
    assert "as_of = 2026-11-23T00:00:00Z" in text
    Path("shop.toml").write_text(text.replace("2026-11-23T00", "2026-11-24T05"))
    assert sends(as_of="2026-11-23") is True


def test_sending_can_be_switched_off(sends):
    assert sends(send=False) is False
    assert sends(parameters=["01_a.send=False"]) is False
