"""What became of units, hand-counted and beside a plain loop over rows, on both engines."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from cdp_lib.lift.curve import curve, day_sums
from cdp_lib.lift.outcomes import unit_table
from cdp_lib.tables import open_shop

START = datetime(2026, 3, 2)
TOML = """name = "small"
currency = "EUR"
as_of = 2026-03-20T00:00:00Z
[tables.orders]
path = "orders.parquet"
[tables.customers]
path = "customers.parquet"
[tables.messages]
path = "messages.parquet"
[tables.events]
path = "events.parquet"
[tables.order_lines]
path = "order_lines.parquet"
[tables.assignments]
path = "assignments.parquet"
"""


def draw(seed, n=60):
    rng = np.random.default_rng(seed)
    ids = [f"c{i:03d}" for i in range(n)]

    def at(size, low=-40, high=18):
        return pd.to_datetime(
            [START + timedelta(hours=int(h)) for h in rng.integers(low * 24, high * 24, size)]
        )

    orders = pd.DataFrame(
        {
            "order_id": [f"o{i}" for i in range(6 * n)],
            "customer_id": rng.choice(ids, 6 * n),
            "ordered_at": at(6 * n),
            "revenue": np.where(rng.random(6 * n) < 0.1, -5.0, rng.integers(1, 90, 6 * n)),
        }
    )
    orders["cost"] = orders.revenue / 2
    messages = pd.DataFrame(
        {
            "message_id": [f"m{i}" for i in range(n)], "campaign_id": "spring",
            "customer_id": rng.choice(ids, n), "channel": "email", "sent_at": START,
            "delivered_at": START + pd.Timedelta(hours=1),
        }
    )  # fmt: skip
    messages["clicked_at"] = messages.delivered_at.where(rng.random(n) < 0.5) + pd.Timedelta(
        hours=2
    )
    messages["unsubscribed_at"] = messages.delivered_at.where(rng.random(n) < 0.2)
    events = pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(2 * n)], "occurred_at": at(2 * n),
            "visitor_id": [f"v{i}" for i in range(2 * n)], "customer_id": rng.choice(ids, 2 * n),
            "session_id": [f"s{i}" for i in range(2 * n)],
            "event": rng.choice(["push_off", "app_remove", "contact_support", "view_item"], 2 * n),
        }
    )  # fmt: skip
    lines = orders[["order_id"]].assign(
        product_id="p", quantity=np.where(orders.revenue < 0, -1, 1), unit_price=5.0
    )
    drawn = pd.DataFrame(
        {
            "experiment_id": "spring", "unit_id": ids, "arm": rng.choice(["holdout", "treated"], n),
            # Some were drawn so late that their window is open at the end.
            "assigned_at": [START + timedelta(days=int(d)) for d in rng.choice([0, 0, 1, 14], n)],
        }
    )  # fmt: skip
    return {"orders": orders, "customers": pd.DataFrame({"customer_id": ids}), "messages": messages,
            "events": events, "order_lines": lines, "assignments": drawn}  # fmt: skip


def by_hand(t, days=7, before=28):
    """The same by a loop over units."""
    rows = []
    for unit in t["assignments"].itertuples():
        start, end = unit.assigned_at, unit.assigned_at + timedelta(days=days)
        if end > datetime(2026, 3, 20):
            continue
        mine = t["orders"][t["orders"].customer_id == unit.unit_id]
        inside = mine[(mine.ordered_at >= start) & (mine.ordered_at < end)]
        old = mine[(mine.ordered_at < start) & (mine.ordered_at >= start - timedelta(days=before))]
        sent = t["messages"][(t["messages"].customer_id == unit.unit_id)]
        got = sent[sent.delivered_at < end]
        acts = t["events"][t["events"].customer_id == unit.unit_id]
        acts = acts[(acts.occurred_at >= start) & (acts.occurred_at < end)]
        left = sent[(sent.unsubscribed_at >= start) & (sent.unsubscribed_at < end)]
        click = got.clicked_at.min()
        bought = inside[(inside.revenue > 0) & (inside.ordered_at >= click)
                        & (inside.ordered_at < click + timedelta(days=7))]  # fmt: skip
        rows.append({
            "unit_id": unit.unit_id, "converted": int((inside.revenue > 0).any()),
            "n_orders": int((inside.revenue > 0).sum()), "revenue": inside.revenue.sum(),
            "margin": inside.revenue.sum() / 2, "n_returned": int((inside.revenue < 0).sum()),
            "n_orders_before": int((old.revenue > 0).sum()), "revenue_before": old.revenue.sum(),
            "opted_out": int((acts.event == "push_off").any() or len(left) > 0),
            "removed_app": int((acts.event == "app_remove").any()),
            "n_support": int((acts.event == "contact_support").sum()),
            "exposed": int(len(got) > 0), "early": int((got.delivered_at < start).any()),
            "attributed": 0.0 if pd.isna(click) else bought.revenue.sum(),
            "customer": "existing" if (mine.ordered_at < start).any() else "new", "known": 1,
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("unit_id").sort_index()


@pytest.fixture(scope="module")
def tables():
    return draw(3)


@pytest.fixture(scope="module")
def small(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outcomes")
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False, coerce_timestamps="us")
    (folder / "shop.toml").write_text(TOML)
    return folder / "shop.toml"


def test_outcomes_are_those_of_a_loop_over_units(con, tables, small):
    shop = open_shop(small, con=con)
    found = unit_table(shop, shop.assignments).to_pandas().set_index("unit_id").sort_index()
    wanted = by_hand(tables)
    assert len(wanted) < len(tables["assignments"]), "some windows are open"
    pd.testing.assert_frame_equal(found[wanted.columns], wanted, check_dtype=False)


@pytest.mark.long_on_spark
def test_the_curve_ends_at_the_effect_and_each_day_is_its_own_window(con, tables, small):
    shop = open_shop(small, con=con)
    units = unit_table(shop, shop.assignments)
    frame = units.to_pandas()
    n = frame.arm.value_counts().to_dict()
    days = curve(day_sums(shop, units, 7), "holdout", ("treated",), n, 7)
    for day in (1, 4, 7):
        short = by_hand(tables, days=day).loc[frame.unit_id]
        arm = frame.set_index("unit_id").arm
        groups = [short.revenue[arm == name] for name in ("holdout", "treated")]
        row = days[days.day == day].iloc[0]
        assert row.abs_lift == pytest.approx(groups[1].mean() - groups[0].mean())
        spread = sum(part.var() / len(part) for part in groups)
        assert row.se == pytest.approx(np.sqrt(spread), rel=1e-6)


def test_deliveries_of_the_ledger_count_as_exposure(duckdb_con, make_table, tables, small):
    shop = open_shop(small, con=duckdb_con)
    times = [START + timedelta(days=1), START - timedelta(days=2)]
    sent = {"experiment_id": "spring", "unit_id": ["c000", "c001"], "delivered_at": times}
    sent = pd.DataFrame(sent)
    found = unit_table(shop, shop.assignments, deliveries=make_table(duckdb_con, sent))
    rows = found.to_pandas().set_index("unit_id")
    assert rows.exposed.reindex(["c000", "c001"]).dropna().eq(1).all()
    if "c001" in rows.index:
        assert rows.early["c001"] == 1
