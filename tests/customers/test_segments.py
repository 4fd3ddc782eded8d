"""Segments counted at once equal segments counted one by one, on small worlds and by hand."""

from datetime import timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.customers import segments
from cdp_lib.customers.catalogue import load
from cdp_lib.customers.overlaps import overlap_counts, overlap_table
from cdp_lib.customers.portrait import portraits
from cdp_lib.tables import open_shop
from cdp_lib.world import simulate

SMALL = """
[rich]
title = "Rich"
where = "revenue_365d >= 100"
why = "They spend."
action = "Thank"

[pushed]
title = "Pushed"
where = "push"
why = "They can be pushed."
action = "Push"

[mailed]
title = "Mailed"
where = "messages_28d > 0"
why = "They are mailed."
action = "Rest"
"""
COLUMNS = '[columns]\npush = { unit = "yes/no", from = "somewhere" }\n'
PEOPLE = pd.DataFrame(
    {
        "customer_id": list("abcdef"),
        "revenue_365d": [300.0, 100.0, 99.99, 0.0, 50.0, 150.0],
        "margin_365d": [100.0, 50.0, 50.0, 0.0, -10.0, 60.0],
        "push": [True, None, True, False, True, False],
    }
)
# A week before: f was not there, b spent less, e had no push.
BEFORE = PEOPLE[:5].assign(revenue_365d=[300.0, 20.0, 99.99, 0.0, 50.0], margin_365d=1.0,
                           push=[True, None, False, False, False])  # fmt: skip


@pytest.fixture
def catalogue(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(COLUMNS + SMALL, encoding="utf-8")
    return load(file)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small shop on DuckDB, and its portraits now and a week before."""
    shop = open_shop(simulate(tmp_path_factory.mktemp("world"), customers=400, weeks=40, seed=3))
    return shop, *portraits(shop, 1)


@pytest.fixture(scope="module")
def days(world):
    return world[1].table, world[2].table


def test_counts_and_changes_by_hand(con, make_table, catalogue):
    now, before = make_table(con, PEOPLE), make_table(con, BEFORE)
    table = segments.count(now, catalogue, before).set_index("name")
    rich, pushed, mailed = (table.loc[name] for name in ("rich", "pushed", "mailed"))
    assert (rich.n_customers, rich.customer_share) == (3, 0.5)  # a, b, f
    assert rich.revenue == 550 and rich.revenue_share == pytest.approx(550 / 699.99)
    assert rich.margin == 210 and rich.margin_share == pytest.approx(210 / 250)
    assert (rich.n_before, rich.n_in, rich.n_out, rich.change) == (1, 2, 0, 2)  # b and f came
    assert rich.change_high == pytest.approx(2 + 1.959964 * np.sqrt(2))
    assert (pushed.n_customers, pushed.margin) == (3, 140)  # a, c, e; b's is unknown
    assert (pushed.n_before, pushed.n_in, pushed.n_out) == (1, 2, 0)
    assert mailed.needs == "messages (messages_28d)" and np.isnan(mailed.n_customers)
    assert np.isnan(mailed.change) and pd.isna(mailed.verdict)
    assert (rich.verdict, pushed.verdict) == ("steady", "steady"), "two of two may be chance"
    members = segments.members(now, "rich", catalogue).execute()
    assert sorted(members.customer_id) == ["a", "b", "f"]
    counts = overlap_counts(now, catalogue)
    assert counts.loc["rich"].to_dict() == {"rich": 3, "pushed": 1}  # a alone is both


def test_a_shop_without_money_has_no_money(con, make_table, catalogue):
    table = segments.count(make_table(con, PEOPLE[["customer_id", "push"]]), catalogue)
    table = table.set_index("name")
    assert np.isnan(table.loc["pushed"].revenue) and np.isnan(table.loc["pushed"].margin_share)
    assert table.loc["pushed"].n_customers == 3
    assert table.loc["rich"].needs == "orders (revenue_365d)"


def test_nobody_at_all(make_table, duckdb_con, catalogue):
    schema = {"customer_id": "string", "revenue_365d": "float64", "margin_365d": "float64",
              "push": "boolean"}  # fmt: skip
    empty = make_table(duckdb_con, PEOPLE[:0], schema=schema)
    table = segments.count(empty, catalogue, empty).set_index("name")
    assert table.loc["rich"].n_customers == 0 and np.isnan(table.loc["rich"].customer_share)
    assert table.loc["rich"].change == 0 and table.loc["rich"].verdict == "steady"


def test_the_whole_catalogue_equals_sql_one_by_one(days):
    """The engine's own reading of every predicate, a query each, is the oracle."""
    oracle = duckdb.connect()
    for name, day in zip(("now", "before"), days, strict=True):
        oracle.register("frame", day.to_pyarrow())
        oracle.execute(f'create table "{name}" as from frame')
    table = segments.count(days[0], load(), days[1]).set_index("name")
    assert (table.needs == "").sum() >= 165
    for one in load().segments:
        row = table.loc[one.name]
        if row.needs:
            continue
        query = 'select customer_id, revenue_365d, margin_365d from "{}" where ({}) is true'
        inside = oracle.execute(query.format("now", one.where)).fetchall()
        was = {row[0] for row in oracle.execute(query.format("before", one.where)).fetchall()}
        ids = {row[0] for row in inside}
        assert row.n_customers == len(ids) and row.n_before == len(was), one.name
        assert row.revenue == pytest.approx(sum(row[1] for row in inside), abs=0.01), one.name
        assert row.margin == pytest.approx(sum(row[2] for row in inside), abs=0.01), one.name
        assert (row.n_in, row.n_out) == (len(ids - was), len(was - ids)), one.name


def test_most_of_the_catalogue_finds_somebody(days):
    table = segments.count(days[0], load())
    empty = table[(table.needs == "") & (table.n_customers == 0)].name.tolist()
    # A small shop of 40 weeks has no customer of two years and few of the rare ones.
    assert "old_customers" in empty and len(empty) <= 20, empty


def test_overlaps_equal_a_count_pair_by_pair(days):
    counts = overlap_counts(days[0], load())
    sizes = segments.count(days[0], load()).set_index("name").n_customers.dropna()
    assert (np.diag(counts) == sizes[counts.index]).all() and (counts == counts.T).all(axis=None)
    members = {
        name: set(segments.members(days[0], name).execute().customer_id)
        for name in ("champions", "active_customers", "mail_only", "size_known")
    }
    for one, a in members.items():
        for other, b in members.items():
            assert counts.loc[one, other] == len(a & b)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_overlap_shares_hide_who_could_be_counted(rows):
    member = np.array(rows, dtype=int)
    names = list("abc")
    counts = pd.DataFrame(member.T @ member, index=names, columns=names)
    for row in overlap_table(counts).itertuples():
        one, other = (member[:, names.index(name)].astype(bool) for name in (row.name, row.other))
        both, alone, either = (one & other).sum(), (one & ~other).sum(), (one | other).sum()
        small = [0 < k < 10 for k in (both, alone, (other & ~one).sum(), one.sum(), other.sum())]
        if any(small):
            assert np.isnan([row.n_both, row.share, row.jaccard]).all()
        elif either and one.sum():
            assert row.n_both == both
            assert row.share == both / one.sum() and row.jaccard == both / either


def test_more_than_one_word_of_bits(make_table, duckdb_con, tmp_path):
    """70 segments over 70 customers: segment k holds those from k on."""
    entries = "".join(
        f'[s{k}]\ntitle = "S{k}"\nwhere = "orders_ever >= {k}"\nwhy = "w"\naction = "a"\n'
        for k in range(70)
    )
    (tmp_path / "many.toml").write_text(entries, encoding="utf-8")
    people = pd.DataFrame({"customer_id": [str(i) for i in range(70)], "orders_ever": range(70)})
    counts = overlap_counts(make_table(duckdb_con, people), load(tmp_path / "many.toml"))
    k = np.arange(70)
    assert (counts.to_numpy() == 70 - np.maximum.outer(k, k)).all()


def test_preview_tries_a_predicate(days):
    found = segments.preview(days[0], "revenue_365d > 100 and not push_opt_in")
    frame = days[0].to_pandas()
    inside = frame[(frame.revenue_365d > 100) & (frame.push_opt_in == False)]  # noqa: E712
    assert found.n_customers == len(inside) > 10
    assert found.customer_share == len(inside) / len(frame)
    assert found.revenue == pytest.approx(inside.revenue_365d.sum())
    assert found.overlaps.jaccard.is_monotonic_decreasing or found.overlaps.jaccard.isna().any()
    assert "this" not in set(found.overlaps.other)
    with pytest.raises(Refusal, match="did you mean 'revenue_90d'"):
        segments.preview(days[0], "revenue_9d > 200")
    lacking = segments.preview(days[0], "leave_probability > 0.5")
    assert lacking.needs == "a score of leaving, joined on" and lacking.overlaps.empty
    assert np.isnan(lacking.n_customers) and np.isnan(lacking.revenue_share)


def test_members_join_what_the_caller_joined(days):
    scored = days[0].mutate(leave_probability=days[0].spend_rank)
    ids = segments.members(scored, "likely_to_leave").execute().customer_id
    assert set(ids) == set(days[0].filter(days[0].spend_rank >= 0.5).execute().customer_id)
    with pytest.raises(Refusal, match="needs a score of leaving"):
        segments.members(days[0], "likely_to_leave")
    with pytest.raises(Refusal, match="semicolon"):
        segments.members(days[0], "orders_ever > 1; select 1")


def test_verdicts_hold_their_level_when_nothing_changes():
    """Crossers are as likely to come as to go: a family of 150 segments has a false call in at
    most 5 % of 400 weeks (Benjamini and Hochberg, all true), with room for chance: 20 of 400 by
    theory, a standard error of 4.4, so at most 33 is three of them above."""
    rng = np.random.default_rng(5)
    weeks = 0
    for _ in range(400):
        crossed = rng.poisson(rng.choice([5, 50, 500], 150))
        came = rng.binomial(crossed, 0.5)
        weeks += (segments.change_verdicts(pd.Series(came), pd.Series(crossed - came)) != "steady"
                  ).any()  # fmt: skip
    assert weeks <= 33


def test_verdicts_see_what_did_change():
    n_in, n_out = pd.Series([80, 10, 30, 0, 3]), pd.Series([20, 60, 30, 0, 0])
    verdicts = segments.change_verdicts(n_in, n_out)
    assert verdicts.tolist() == ["grew", "shrank", "steady", "steady", "steady"]
    assert segments.change_verdicts(n_in[:0], n_out[:0]).empty


def test_the_earlier_portrait_is_of_its_day_and_by_the_same_cuts(world):
    shop, now, before = world
    then = shop.at(shop.as_of - timedelta(weeks=1))
    known = {*then.customers.customer_id.execute(), *then.orders.customer_id.execute()}
    assert known <= set(before.table.customer_id.execute())
    assert (before.cuts, before.pace) == (now.cuts, now.pace)
    orders = then.orders.filter(then.orders.revenue >= 0).customer_id.execute()
    ever = before.table.select("customer_id", "orders_ever").execute().set_index("customer_id")
    assert ever.orders_ever.sum() == len(orders)


def test_a_shop_of_nothing_but_orders_has_a_portrait(make_shop, duckdb_con):
    orders = pd.DataFrame(
        {"order_id": list("123"), "customer_id": list("aab"), "revenue": [10.0, 20.0, 5.0],
         "ordered_at": pd.to_datetime(["2026-11-01", "2026-11-20", "2026-05-01"])}
    )  # fmt: skip
    shop = make_shop(duckdb_con, {"orders": orders})
    now, none = portraits(shop, 0)
    assert none is None and now.pace.assumed and now.cuts.n == 2
    table = now.table.execute().set_index("customer_id")
    assert table.life_cycle.to_dict() == {"a": "active", "b": "lapsed"}
    assert table.rfm_name.notna().all() and "margin_rank" not in table.columns
    assert table.spend_rank.to_dict() == {"a": 1.0, "b": 0.0}
    counts = segments.count(now.table).set_index("name")
    assert counts.loc["top_tenth_by_margin"].needs == "orders (margin_rank)"
    assert counts.loc["lapsed_regulars"].n_customers == 0
    with pytest.raises(Refusal, match="weeks_back"):
        portraits(shop, -1)
    with pytest.raises(TooLittleData, match="nobody has ordered"):
        portraits(make_shop(duckdb_con, {"orders": orders.assign(revenue=-1.0)}), 0)
