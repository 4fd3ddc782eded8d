"""The value section on shops with much, little and no history: it says what it cannot tell."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.predict.value_race import AVERAGE
from cdp_lib.report import value_pages
from cdp_lib.report.findings import Headline
from cdp_lib.tables import open_shop


@pytest.fixture
def shown(monkeypatch):
    """What a section displays, as a list."""
    found: list = []
    for name in ("show", "note", "show_table"):
        monkeypatch.setattr(value_pages, name, lambda *things, **_: found.extend(things))
    return found


def shop_of(folder, con, n: int, days: int):
    rng, rows = np.random.default_rng(1), []
    for i in range(n):
        for day in rng.uniform(0, days, 1 + rng.poisson(0.02 * days)):
            rows.append((f"c{i}", day))
    orders = pd.DataFrame(rows, columns=["customer_id", "day"])
    moment = pd.Timestamp("2026-01-01") + pd.to_timedelta(orders.day, unit="D")
    orders = orders.assign(
        ordered_at=moment.astype("datetime64[us]"), revenue=rng.gamma(4, 10, len(orders)),
        order_id=[f"o{i}" for i in range(len(orders))],
    ).drop(columns="day")  # fmt: skip
    orders.to_parquet(folder / "orders.parquet", index=False)
    end = pd.Timestamp("2026-01-01") + pd.Timedelta(days=days)
    (folder / "shop.toml").write_text(
        f'name = "p"\nas_of = {end:%Y-%m-%d}T00:00:00Z\n[tables.orders]\npath = "orders.parquet"\n'
    )
    return open_shop(folder / "shop.toml", con=con)


def shown_all(shop, one) -> None:
    value_pages.show_answer(shop, one)
    value_pages.show_horizons(shop, one)
    value_pages.show_proof(shop, one)
    value_pages.show_earners(shop)
    value_pages.show_retention(shop, one)
    value_pages.show_limits(one)


def test_a_long_history_says_all(tmp_path, duckdb_con, shown, monkeypatch):
    shop, plain = shop_of(tmp_path, duckdb_con, 900, 240), value_pages.value_race.race
    # All order alike, so an average is as good as anything; which of them wins is luck.
    won = {"chosen": AVERAGE}
    monkeypatch.setattr(
        value_pages.value_race, "race", lambda *args, **named: replace(plain(*args, **named), **won)
    )
    one = value_pages.study(shop, 60)
    assert one.missing == () and one.race is not None
    shown_all(shop, one)
    heads = [thing for thing in shown if isinstance(thing, Headline)]
    assert len(heads) == 4 and heads[0].low < heads[0].value < heads[0].high
    assert not any("customer_id" in thing for thing in shown if isinstance(thing, pd.DataFrame))
    # What the winner expects of everybody is said where it is not the model.
    (told,) = [thing for thing in shown if isinstance(thing, str) and AVERAGE in thing]
    assert told.startswith(f"For 60 days use {AVERAGE}: ") and "of revenue" in told
    # 900 customers order 1 + 4.8 times in 240 days, at 40 each: 52,200 in 60 days. Of 5,000 orders
    # 1,300 lie in the last 60 days, so their sum is known to 3 %.
    assert one.used == pytest.approx(900 * 5.8 / 240 * 60 * 40, rel=0.06)


@pytest.mark.parametrize(("n", "days", "said"), [(300, 120, "No test"), (20, 120, "No value")])
def test_a_short_history_says_what_it_lacks(tmp_path, duckdb_con, shown, n, days, said):
    shop = shop_of(tmp_path, duckdb_con, n, days)
    one = value_pages.study(shop, 91)
    assert one.ahead is None and one.race is None and said in one.missing[0]
    shown_all(shop, one)
    assert shown[0].verdict == "cannot tell" and said in shown[0].sentence
    assert (one.model is None) == (said == "No value")
