"""Whose an event is: the two small joins of `owned` say what `stitch` says of customers."""

import random
from datetime import datetime, timedelta

import pandas as pd
import pytest

from cdp_lib.tables.identity import owned, sessions, stitch, ties

EVENTS = {
    "row": "int64", "visitor_id": "string", "customer_id": "string", "session_id": "string",
    "occurred_at": "timestamp",
}  # fmt: skip
LINKS = {"visitor_id": "string", "customer_id": "string", "linked_at": "timestamp"}
START = datetime(2026, 3, 1)


@pytest.mark.parametrize("seed", range(6))
def test_owned_is_stitch_for_customers(con, make_table, seed):
    draw = random.Random(seed)
    some = lambda *values: draw.choice([*values, None])  # noqa: E731
    rows = [
        (i, some("a", "b", "c"), draw.choice(["1", "2", "3", None, None, None]), some("s", "t"),
         START + timedelta(minutes=draw.randrange(3000)))
        for i in range(80)
    ]  # fmt: skip
    linked = [(draw.choice("abcd"), draw.choice("123"), START)]
    log = make_table(con, pd.DataFrame(rows, columns=list(EVENTS)), schema=EVENTS)
    links = make_table(con, pd.DataFrame(linked, columns=list(LINKS)), schema=LINKS)
    visits = sessions(log, 30)
    people = stitch(visits, links).to_pandas()
    wanted = {r.row: r.person_id[2:] for r in people.itertuples() if r.person_id.startswith("c:")}
    got = owned(visits, ties(visits, links)).select("row", "owner_id").to_pandas()
    assert dict(zip(got.row, got.owner_id, strict=True)) == wanted
    assert 10 < len(wanted) < 80
