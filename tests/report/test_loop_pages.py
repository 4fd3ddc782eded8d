"""The loop put together: an audience leaves, outcomes come in, the report says what it earned."""

import json
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from cdp_lib.activate.ledger import Experiment as Entry
from cdp_lib.activate.ledger import Ledger
from cdp_lib.checks import MissingTable
from cdp_lib.lift import assignment, programme
from cdp_lib.report import lift_findings as findings
from cdp_lib.report import lift_tables as tables
from cdp_lib.report import loop
from cdp_lib.report.findings import MONEY_FIRST
from cdp_lib.tables import open_shop

WEEKS = [datetime(2026, 3, 2) + timedelta(weeks=week) for week in range(4)]
AS_OF = WEEKS[-1]
SHARES = {"holdout": 0.3, "treated": 0.7}
TOML = f"""name = "small"
currency = "EUR"
as_of = {AS_OF:%Y-%m-%dT%H:%M:%SZ}
[tables.orders]
path = "orders.parquet"
[tables.customers]
path = "customers.parquet"
"""


def living(folder, gain, n=1500, seed=6):
    """Three waves of an audience whose treated buy `gain` times as often, and one just sent."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    ids = [f"c{i:04d}" for i in range(n)]
    ledger, orders = Ledger(folder / "workbench.duckdb"), []
    whole = assignment.global_shares(0.1)
    ledger.append(
        Entry("global_holdout", "", "", "", "shop:global", whole, "global_holdout", WEEKS[0], 7,
              "revenue", ""),
        pd.DataFrame({"unit_id": [], "arm": [], "stratum": []}), [],
    )  # fmt: skip
    reached = [i for i in ids if assignment.arm_of("shop:global", i, whole) == "reachable"]
    for number, start in enumerate(WEEKS):
        name = f"carts.{number}"
        arms = assignment.arms_of(name, reached, SHARES)
        units = pd.DataFrame({"unit_id": reached, "arm": arms, "stratum": None})
        sent = units.unit_id[units.arm == "treated"].tolist()
        ledger.append(
            Entry(name, "carts", str(number), "in_app", name, SHARES, "holdout", start, 7,
                  "revenue", "", contact_cost=0.1),
            units, sent,
        )  # fmt: skip
        if start < AS_OF:
            often = 0.2 * np.where(np.isin(ids, sent), gain, 1.0)
            for who in np.repeat(ids, rng.poisson(often)):
                hours = float(rng.uniform(0, 7 * 24))
                orders.append((who, start + timedelta(hours=hours), float(rng.gamma(4, 10))))
    frame = pd.DataFrame(orders, columns=["customer_id", "ordered_at", "revenue"])
    frame = frame.assign(order_id=[f"o{i}" for i in range(len(frame))], cost=frame.revenue / 2)
    frame.to_parquet(folder / "orders.parquet", index=False, coerce_timestamps="us")
    pd.DataFrame({"customer_id": ids}).to_parquet(folder / "customers.parquet", index=False)
    (folder / "shop.toml").write_text(TOML)
    return open_shop(folder / "shop.toml")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return loop.read(living(tmp_path_factory.mktemp("good") / "shop", gain=1.5))


@pytest.fixture(scope="module")
def harmful(tmp_path_factory):
    return loop.read(living(tmp_path_factory.mktemp("bad") / "shop", gain=0.5))


def test_the_waves_add_up_to_their_audience(good):
    (row,) = programme.audience_table(good.readouts).itertuples()
    assert (row.audience, row.n_waves, row.n_read) == ("carts", 4, 3)
    closed = [one for one in good.readouts if programme.counted(one)]
    totals = [programme.earned(one) for one in closed]
    assert row.total == pytest.approx(sum(total for total, _ in totals))
    half = 1.959964 * np.sqrt(sum(se**2 for _, se in totals))
    assert row.high - row.total == pytest.approx(half, rel=1e-6)
    assert row.always_low < row.low and row.always_high > row.high
    # 0.2 orders x 50 % more x 40 a basket x those treated in three weeks.
    assert row.always_low < 0.2 * 0.5 * 40 * row.n_treated < row.always_high
    assert row.verdict == "scale"
    assert row.cost == pytest.approx(0.1 * row.n_treated)
    assert row.roi == pytest.approx(row.margin / row.cost - 1)


def test_a_harmful_audience_is_stopped(harmful):
    (row,) = programme.audience_table(harmful.readouts).itertuples()
    assert row.verdict == "stop" and row.always_high < 0


def test_a_wave_that_was_just_sent_is_waited_for(good):
    newest = good.one("carts.3")
    assert newest.verdicts["treated"].text == "keep testing 7 more days"
    gate = newest.gate_table().set_index("gate").loc["window closed"]
    assert gate.status == "fail" and f"{AS_OF + timedelta(days=7):%Y-%m-%d}" in gate.detail
    assert not programme.counted(newest)


def test_the_global_holdout_tells_the_whole_programme(good):
    one = good.whole
    n = one.n
    assert n["global_holdout"] + n["reachable"] == 1500 and one.experiment.window_days == 21
    row = programme.money_of(one).iloc[0]
    # Of the reachable 70 % were treated each week.
    true = 0.2 * 0.5 * 0.7 * 40 * 3 * n["reachable"]
    effect = one.effects.iloc[0]
    assert effect.always_low * row.n_treated < true < effect.always_high * row.n_treated


def test_the_headlines_carry_the_experiment(good):
    first, quarter, whole = findings.money_headlines(good)
    assert first.name == MONEY_FIRST and first.verdict == "good" and first.low > 0
    assert "1 experiment." in first.sentence, "one wave closed in the last week"
    assert quarter.value == pytest.approx(programme.total_row(good.readouts)["total"])
    assert whole.n == 1500
    (audience,) = findings.audience_headlines(good)
    told = json.loads(json.dumps(audience.to_json()))
    assert (told["experiment"], told["arm"], told["verdict"]) == ("carts", "treated", "scale")
    assert told["rel_lift"] == pytest.approx(0.5, abs=0.25) and 0 <= told["srm_pvalue"] <= 1
    assert told["abs_lift"] == pytest.approx(4.0, abs=2.0)
    assert findings.lift_headlines(good) == [], "waves come as their audience"


def test_the_table_begins_with_what_to_act_on(good, harmful):
    table = tables.verdict_table(good)
    assert len(table) == 4 and table.verdict.iloc[0] in ("scale", "stop")
    assert "keep testing 7 more days" in set(table.verdict)
    assert "Every figure counts all who were drawn" in tables.limits(harmful)
    assert tables.audience_view(good).columns[0] == "audience"


def test_what_clicks_claim_stands_beside_what_was_earned(good):
    # No messages and no clicks, but deliveries: a count of clicks would claim nothing.
    (row,) = programme.claim_table(good.readouts).itertuples()
    assert row.claimed == 0 and row.total > 0 and not row.holds and row.by == "clicks"


def test_what_a_vendor_claims_stands_beside_it_too(tmp_path):
    folder = tmp_path / "shop"
    living(folder, gain=1.5, n=600)
    more = "[experiments.carts]\nclaimed = 1e6\n"
    (folder / "shop.toml").write_text(TOML + more)
    found = loop.read(open_shop(folder / "shop.toml"))
    table = programme.claim_table(found.readouts).set_index("by")
    vendor = table.loc["vendor"]
    assert vendor.claimed == 1e6 and vendor.total == table.total["clicks"] and not vendor.holds
    assert vendor.overclaim == pytest.approx(1e6 - vendor.total)


def test_without_a_holdout_nothing_can_be_measured(tmp_path):
    shop = living(tmp_path / "shop", gain=1.5, n=200)
    ledger = Ledger(tmp_path / "shop" / "workbench.duckdb")
    units = pd.DataFrame({"unit_id": ["c0001", "c0002"], "arm": "treated", "stratum": None})
    ledger.append(
        Entry("bare.0", "bare", "0", "in_app", "s", {"treated": 1.0}, None, WEEKS[0], 7, "revenue",
              "", why_no_holdout="a legal notice"),
        units, ["c0001"],
    )  # fmt: skip
    one = loop.read(shop).one("bare.0")
    assert one.verdicts["treated"].text == "refused (cannot be measured)"
    assert "a legal notice" in one.gate_table().detail.iloc[0]


def test_a_shop_without_experiments_says_what_to_do(tmp_path):
    folder = tmp_path / "shop"
    living(folder, gain=1.0, n=20)
    (folder / "workbench.duckdb").unlink()
    with pytest.raises(MissingTable, match="export an audience with a holdout"):
        loop.read(open_shop(folder / "shop.toml"))
