"""Features from the whole log equal features from a log cut by hand, bit for bit."""

import pandas as pd
import pytest
from random_shops import CUTOFF, cut, tables

from cdp_lib.customers import profile


def read(shop, **options):
    return (
        profile.as_of(shop, CUTOFF, **options)
        .to_pandas()
        .sort_values("customer_id", ignore_index=True)
    )


def the_same(con, make_shop, seed, options):
    whole = tables(seed, **options)
    part = cut(whole)
    assert len(part["events"]) < len(whole["events"]) - 100
    full, known = read(make_shop(con, whole)), read(make_shop(con, part, as_of="2026-07-01"))
    pd.testing.assert_frame_equal(full, known, check_exact=True)
    assert len(full) > 20 and full.visits_365d.sum() > 100


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (1, {}),
        (2, {"versions": False}),
        (3, {"late": False}),
        (4, {"sessions": False}),
        (5, {"sessions": False, "late": False, "versions": False}),
    ],
)
def test_the_whole_log_and_the_cut_log_give_the_same_profile(duckdb_con, make_shop, seed, options):
    the_same(duckdb_con, make_shop, seed, options)


@pytest.mark.slow
@pytest.mark.proof
@pytest.mark.parametrize("seed", range(100, 120))
def test_so_they_do_on_many_shops(duckdb_con, make_shop, seed):
    versions, late, sessions = seed % 2 == 0, seed % 3 > 0, seed % 5 > 1
    the_same(duckdb_con, make_shop, seed, dict(versions=versions, late=late, sessions=sessions))


@pytest.mark.long_on_spark
@pytest.mark.slow
@pytest.mark.spark
def test_so_they_do_on_spark(spark_con, make_shop):
    # Spark takes a minute to plan two profiles; a shop without sessions exercises the most.
    the_same(spark_con, make_shop, 6, {"sessions": False})


def test_the_comparison_sees_a_leak(duckdb_con, make_shop):
    whole = tables(7, n_events=300)
    part = cut(whole)
    leaking = {**part, "messages": whole["messages"].drop(columns="received_at")}
    leaking["messages"]["sent_at"] = leaking["messages"].sent_at.clip(upper="2026-06-30")
    full, known = (read(make_shop(duckdb_con, frames)) for frames in (leaking, part))
    differing = [name for name in full if not full[name].equals(known[name])]
    assert "messages_90d" in differing
    assert all("message" in n or "opened" in n or "clicked" in n or "opt" in n for n in differing)


@pytest.mark.long_on_spark
@pytest.mark.parametrize("seed", [6, 7])
def test_the_profile_of_some_is_a_part_of_the_profile_of_all(con, make_shop, make_table, seed):
    shop = make_shop(con, tables(seed, versions=seed == 6))
    everyone = read(shop)
    some = everyone.customer_id.iloc[::3].tolist()
    among = make_table(con, pd.DataFrame({"customer_id": [*some, "a stranger"]}))
    wanted = everyone[everyone.customer_id.isin(some)].reset_index(drop=True)
    found = read(shop, among=among)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True, check_dtype=False)
