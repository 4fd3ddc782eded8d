"""Scores are read again as they were written, for their own day alone."""

import os
import stat

import pandas as pd
import pytest
from small_shop import people, write_shop

from cdp_lib.activate.scores import SUFFIX, read_scores, write_scores
from cdp_lib.checks import Refusal
from cdp_lib.tables import open_shop

TABLE = pd.DataFrame({"customer_id": ["=c1", "ü,2"], "probability": [0.1, 0.30000000000000004]})


@pytest.fixture
def shop(tmp_path_factory):
    return open_shop(write_shop(tmp_path_factory.mktemp("scores"), people(5)))


def test_scores_are_read_again_to_the_last_digit(shop, tmp_path):
    path = write_scores(TABLE, tmp_path / "lists", "05_churn", "leave_probability", shop, 30)
    assert path.name == f"05_churn{SUFFIX}" and os.listdir(tmp_path / "lists") == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = read_scores(shop, tmp_path / "lists")
    assert list(found) == ["leave_probability"]
    rows = found["leave_probability"].order_by("customer_id").to_pandas()
    assert rows.customer_id.tolist() == ["=c1", "ü,2"]
    assert rows.leave_probability.tolist() == TABLE.probability.tolist()


def test_of_two_horizons_the_shorter_counts(shop, tmp_path):
    for days in (30, 7):
        told = TABLE.assign(probability=days / 100)
        write_scores(told, tmp_path, f"06_propensity-{days}", "buy_probability", shop, days)
    found = read_scores(shop, tmp_path)["buy_probability"]
    assert found.buy_probability.max().execute() == 0.07


def test_scores_of_another_day_are_none(shop, tmp_path):
    write_scores(TABLE, tmp_path, "05_churn", "leave_probability", shop.at("2026-11-16"), 30)
    assert read_scores(shop, tmp_path) == {}
    assert read_scores(shop, tmp_path / "nowhere") == {}
    assert read_scores(shop, "") == {}
    assert write_scores(TABLE, "", "05_churn", "leave_probability", shop, 30) is None


def test_what_cannot_be_read_or_written_says_so(shop, tmp_path):
    (tmp_path / f"05_churn{SUFFIX}").write_text("customer_id,leave_probability\nc1,0.5\n")
    with pytest.raises(Refusal, match=r"05_churn.*is no file of scores.*write it again"):
        read_scores(shop, tmp_path)
    TABLE.to_parquet(tmp_path / f"05_churn{SUFFIX}")
    with pytest.raises(Refusal, match="is no file of scores"):
        read_scores(shop, tmp_path)
    for name, column in (("../x", "p"), ("x", "a b")):
        with pytest.raises(Refusal, match="cannot be a file's name"):
            write_scores(TABLE, tmp_path / "new", name, column, shop, 7)
    with pytest.raises(Refusal, match=r"2 rows.*repeat a customer"):
        write_scores(pd.concat([TABLE, TABLE]), tmp_path / "new", "x", "p", shop, 7)
    assert not (tmp_path / "new").exists()


def test_an_old_file_stays_whole_where_a_new_one_cannot_be_written(shop, tmp_path, monkeypatch):
    old = write_scores(TABLE, tmp_path, "x", "p", shop, 7).read_bytes()

    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("pyarrow.parquet.write_table", broken)
    with pytest.raises(OSError, match="disk full"):
        write_scores(TABLE.head(1), tmp_path, "x", "p", shop, 7)
    assert (tmp_path / f"x{SUFFIX}").read_bytes() == old and len(os.listdir(tmp_path)) == 1
