"""A list of scored customers is written whole, harmless, and marked as not for sending."""

import csv
import os
import stat

import pandas as pd
import pytest

from cdp_lib.activate.lists import STATUS, harmless, write_list
from cdp_lib.checks import Refusal

TABLE = pd.DataFrame(
    {
        "customer_id": ["c1", "=cmd|'/C calc'!A0", "@SUM(1)", "-2", "c,5"],
        "probability": [0.5, 0.4, 0.3, 0.2, 0.1],
        "value_at_stake": [-1.5, 4.0, 3.0, 2.0, 1.0],
        "reason_1": ["no visit for 9 days", "+1", None, "\tx", '"quoted"'],
    }
)


def test_every_row_is_there_and_no_cell_is_a_formula(tmp_path):
    path = write_list(TABLE, tmp_path / "lists", "05_churn")
    assert path.name == "05_churn.not-for-sending.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["customer_id"] for row in rows] == [
        "c1", "'=cmd|'/C calc'!A0", "'@SUM(1)", "'-2", "c,5",
    ]  # fmt: skip
    assert [row["reason_1"] for row in rows] == [
        "no visit for 9 days", "'+1", "", "'\tx", '"quoted"',
    ]  # fmt: skip
    assert {row["status"] for row in rows} == {STATUS}
    # A negative amount is a number and stays one.
    assert [float(row["value_at_stake"]) for row in rows] == TABLE.value_at_stake.tolist()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "lists") == [path.name]


def test_the_table_itself_is_left_as_it_was(tmp_path):
    before = TABLE.copy()
    write_list(TABLE, tmp_path, "x")
    pd.testing.assert_frame_equal(TABLE, before)


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert write_list(TABLE, "", "x") is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 101, "a\nb", "ü"])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path, name):
    with pytest.raises(Refusal, match="cannot be a file's name"):
        write_list(TABLE, tmp_path, name)
    assert os.listdir(tmp_path) == []


def test_a_table_without_customers_is_refused(tmp_path):
    with pytest.raises(Refusal, match="has no customer_id"):
        write_list(TABLE.drop(columns="customer_id"), tmp_path, "x")


def test_a_list_that_cannot_be_written_leaves_the_old_one_whole(tmp_path, monkeypatch):
    old = write_list(TABLE, tmp_path, "x").read_bytes()

    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", broken)
    with pytest.raises(OSError, match="disk full"):
        write_list(TABLE.head(1), tmp_path, "x")
    assert (tmp_path / "x.not-for-sending.csv").read_bytes() == old
    assert len(os.listdir(tmp_path)) == 1


def test_only_texts_are_changed():
    assert harmless("=1") == "'=1" and harmless("1=1") == "1=1"
    assert harmless(-1.0) == -1.0 and harmless(None) is None
