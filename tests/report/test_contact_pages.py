"""What the page says of offers and channels, over every verdict, and where a shop lacks tables."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.customers import pressure, reply, reply_hours, send_limit
from cdp_lib.customers.pressure import Curve
from cdp_lib.customers.send_limit import Worth, given
from cdp_lib.report import channel_findings as channels
from cdp_lib.report import charts_of_channels as charts
from cdp_lib.report import contact_pages as pages
from cdp_lib.report import discount_findings as discounts
from cdp_lib.report import pressure_findings as contact
from cdp_lib.tables import open_shop
from cdp_lib.world import simulate

CURVE = Curve(-5.9, 0.25, 0.05, 0.01, -0.0002, 10_000, 90, 14.0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return open_shop(simulate(tmp_path_factory.mktemp("contact"), customers=800, seed=3))


@pytest.fixture(scope="module")
def readouts(shop):
    return pages.campaigns(shop, without="newsletter-pressure")


@pytest.fixture
def shown(monkeypatch):
    """What a page displays: its things, and its notes as texts."""
    seen = []
    for name in ("show", "show_table", "note"):
        monkeypatch.setattr(pages, name, lambda *things, **_: seen.extend(things))
    return seen


def test_the_page_of_discounts_says_what_was_given_away(shop, readouts, shown):
    pages.show_discounts(shop, readouts)
    one = discounts.study(shop, readouts)
    given_away, measured = shown[:2]
    assert given_away.verdict == "act" and given_away.value == pytest.approx(one.given.anyway)
    assert "inferred" in given_away.name and "may not have needed" in given_away.sentence
    assert measured.low <= measured.value <= measured.high and measured.unit == "share"
    orders = pd.read_parquet(shop.path.parent / "orders.parquet")
    bought = orders[orders.revenue >= 0]
    assert one.given.discount == pytest.approx(bought.discount.sum())
    assert one.bands.n_orders.sum() == len(bought)
    assert one.bands.anyway.sum() == pytest.approx(one.given.anyway)
    # Two of the law's campaigns carry a discount, and no other arm is taken for one.
    assert one.measured.experiment_id.str.endswith("email").all() and len(one.measured) == 2
    effects = pd.read_parquet(shop.path.parent / "truth" / "campaigns.parquet")
    assert len(effects) == 6
    told = discounts.band_view(one)
    assert set(told.what_to_do) <= set(discounts.ADVICE.values()) and len(told) > 1


def test_without_an_experiment_nothing_is_measured(shop, shown):
    pages.show_discounts(shop, [])
    assert shown[1].verdict == "cannot tell" and "hold some out" in shown[1].sentence


def test_the_page_of_channels_and_hours(shop, shown):
    pages.show_channels(shop)
    pages.show_hours(shop)
    headline, chart, table, hour, _ = shown
    assert headline.low <= headline.value <= headline.high and headline.value >= 0
    assert set(table.channel) == {"e-mail", "push", "SMS", "WhatsApp", "in-app"}
    assert "e-mail" in chart.layout.meta["alt"]
    assert hour.verdict == "cannot tell" and "No evidence" in hour.sentence
    one = reply.read(shop)
    rows = one.table.execute()
    several = rows[rows.gain.notna()]
    best = several[several["rank"] == 1].channel.value_counts()
    counted = channels.channel_table(one).set_index("channel")
    share = best / several.channel.value_counts()
    for channel in counted.index:
        assert counted.best_share[channel] == pytest.approx(share.get(channel, 0.0), nan_ok=True)


def test_hours_that_matter_are_told(shop):
    hours = reply_hours.read(shop)
    said = channels.hour_headline(replace(hours, pvalue=0.001))
    assert said.verdict == "watch" and "differ for all" in said.sentence
    one_hour = replace(hours, table=hours.table.assign(difference=math.nan))
    assert "vary them" in channels.hour_headline(one_hour).sentence


def test_the_page_of_pressure(shop, shown):
    pages.show_pressure(shop, "newsletter-pressure", permission_value=8.0, contact_cost=0.02)
    lost, limit, by_pressure, costs, arms = shown
    assert "Caused by the plan weekly instead of monthly" in lost.sentence
    assert limit.verdict in ("cannot tell", "act", "good", "watch") and limit.low <= limit.high
    assert "as the analyst says" in limit.sentence and "must bring" in limit.sentence
    assert by_pressure.layout.meta["alt"] and costs.layout.meta["alt"].startswith("It costs")
    assert arms.plan.to_list() == ["monthly", "fortnightly", "weekly"]
    assert "newsletter-pressure" in pages.limits(shop, "newsletter-pressure")
    assert "associational" in pages.limits(shop, "none")


def test_without_an_experiment_pressure_is_associational(shop, shown):
    pages.show_pressure(shop, "no such plan", permission_value=8.0)
    assert "Associational" in shown[0].sentence and shown[1].value is None
    assert "draw plans of sending" in shown[1].sentence and "must bring" in shown[1].sentence
    pages.show_pressure(shop, "", permission_value=8.0, message_gain=5.0)
    assert "room for more" in shown[-3].sentence


@pytest.mark.parametrize(
    ("gain", "now", "verdict"),
    [(0.3, 2.0, "act"), (0.3, 0.4, "watch"), (0.3, 1.2, "good"), (-0.5, 1.0, "act")],
)
def test_the_limit_has_its_verdict(gain, now, verdict):
    limit = send_limit.limit(CURVE, given(20.0), gain, 0.01, now)
    said = contact.limit_headline(limit, given(20.0), None, "EUR")
    assert said.verdict == verdict and said.value == limit.n_per_week


def test_a_permission_of_unknown_worth_has_no_limit():
    unsure = Worth(1.0, -2.0, 4.0, 1.5, True, 100, 100)
    limit = send_limit.limit(CURVE, unsure, 0.3, 0.01, 1.0)
    said = contact.limit_headline(limit, unsure, None, "EUR")
    assert said.value is None and "cannot be told from nothing" in said.sentence
    nothing = Worth(*(math.nan,) * 4, True)
    limit = send_limit.limit(CURVE, nothing, 0.3, 0.01, 1.0)
    assert "is not known" in contact.limit_headline(limit, nothing, None).sentence


def test_claims_stand_beside_what_was_measured(shop, readouts):
    table = channels.claim_table(readouts, shop, contact_cost=0.02)
    assert table.published.to_list() == [40.0, 4.0]
    mail = table.iloc[0]
    sums = [one.effects.set_index("metric").loc["revenue"] for one in readouts
            if one.experiment.experiment_id.endswith("email")]  # fmt: skip
    n = sum(row.n_treated for row in sums)
    assert mail.own == pytest.approx(sum(row.abs_lift * row.n_treated for row in sums) / n / 0.02)
    assert mail.own_low < mail.own < mail.own_high
    nobody = channels.claim_table([], shop, 0.02)
    assert nobody.own.isna().all() and (nobody.basis == "not measured here").all()


def test_a_ratio_is_fiellers():
    rng = np.random.default_rng(1)
    value, low, high = channels._ratio((4.0, 0.4), (1.0, 0.1))
    assert value == 4.0
    # Its ends are where the difference a - r b is just not told from nothing.
    for end in (low, high):
        assert abs(4 - end) / math.hypot(0.4, end * 0.1) == pytest.approx(1.959964, rel=1e-5)
    draws = rng.normal(4, 0.4, 200_000) / rng.normal(1, 0.1, 200_000)
    assert np.quantile(draws, [0.025, 0.975]) == pytest.approx([low, high], rel=0.03)
    assert math.isnan(channels._ratio((4.0, 0.4), (0.1, 0.1))[0])


def test_a_shop_without_the_tables_says_so(shop, shown, tmp_path):
    (tmp_path / "shop.toml").write_text(
        f'as_of = {shop.as_of}Z\n[tables.orders]\npath = "{shop.path.parent}/orders.parquet"\n'
        "columns = { discount = false }\n"
    )
    bare = open_shop(tmp_path / "shop.toml")
    pages.show_discounts(bare, pages.campaigns(bare))
    pages.show_channels(bare)
    pages.show_hours(bare)
    pages.show_pressure(bare, "plan")
    pages.show_claims(bare, [], 0.02)
    told = [text for text in shown if isinstance(text, str)]
    assert len(told) == 4 and all(text.startswith("Not shown: ") for text in told)
    assert "associational" in pages.limits(bare, "plan")


def test_charts_of_nothing_say_so():
    empty = pd.DataFrame(columns=["n_before", "or_more", "n_messages", "loss_rate",
                                  "loss_rate_low", "loss_rate_high"], dtype=float)  # fmt: skip
    assert "No value" in charts.pressure_chart(empty, pressure.fit(
        pd.DataFrame({"n_before": [0], "n_messages": [0], "n_lost": [0]})
    )).layout.meta["alt"]  # fmt: skip
    limit = send_limit.limit(CURVE, given(20.0), math.nan, 0.0, 1.0)
    assert len(charts.limit_chart(limit.table).data) == 3, "costs alone, with their band"
