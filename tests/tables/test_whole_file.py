"""A file is there whole, or the older one is there as it was."""

import os
import stat

import pytest

from cdp_lib.tables.whole_file import whole_file


def test_a_file_appears_when_all_of_it_is_written(tmp_path):
    path = tmp_path / "new" / "list.csv"
    with whole_file(path) as written, open(written, "w", encoding="utf-8") as file:
        file.write("one")
        assert not path.exists()
    assert path.read_text() == "one" and os.listdir(path.parent) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_error_on_the_way_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("older")
    with pytest.raises(ZeroDivisionError), whole_file(path) as written:
        with open(written, "w", encoding="utf-8") as file:
            file.write("half")
        raise ZeroDivisionError
    assert path.read_text() == "older" and os.listdir(tmp_path) == [path.name]
