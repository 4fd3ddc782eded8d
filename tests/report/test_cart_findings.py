"""What the cards on carts say, from result tables a person can read."""

from types import SimpleNamespace

import pandas as pd
import pytest

from cdp_lib.report import cart_findings as findings


def rates(n_carts=1000, n_abandoned=550, low=0.52, high=0.58) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "n_carts": [n_carts],
            "n_abandoned": [n_abandoned],
            "abandonment_rate": [n_abandoned / n_carts if n_carts else float("nan")],
            "abandonment_rate_low": [low],
            "abandonment_rate_high": [high],
        }
    )


def weeks(*left, n=100, n_open=0, half=0.05) -> pd.DataFrame:
    table = pd.DataFrame({"left_rate": left})
    return table.assign(
        n_carts=n,
        n_left=table.left_rate * n,
        left_rate_low=table.left_rate - half,
        left_rate_high=table.left_rate + half,
        n_open=n_open,
        whole=True,
    )


def stops(**shares) -> pd.DataFrame:
    table = pd.DataFrame({"step": [name.replace("_", " ") for name in shares]})
    table["share"] = list(shares.values())
    table["n_carts"] = (table.share * 1000).round().astype(int)
    return table.assign(share_low=table.share - 0.02, share_high=table.share + 0.02)


def test_a_week_inside_the_usual_band_is_watched():
    headline = findings.abandonment_rate_headline(rates(), weeks(0.5, 0.5, 0.5, 0.53), 24)
    assert (headline.value, headline.verdict) == (0.55, "watch")
    assert "no clear change from the usual 50.0%" in headline.sentence
    assert headline.trend == (0.5, 0.5, 0.5, 0.53)


def test_a_worse_week_asks_for_action_and_a_better_one_is_good():
    worse = findings.abandonment_rate_headline(rates(), weeks(0.5, 0.5, 0.5, 0.6), 24)
    better = findings.abandonment_rate_headline(rates(), weeks(0.5, 0.5, 0.5, 0.4), 24)
    assert (worse.verdict, better.verdict) == ("act", "good")


def test_a_log_whose_carts_are_mostly_open_waits():
    headline = findings.abandonment_rate_headline(rates(12, 0), weeks(0.0, n_open=61), 36)
    assert (headline.value, headline.verdict) == (None, "wait 2 days")
    assert "61 of 73 carts" in headline.sentence
    # REES46's three hours: 65 carts were bought at once, 53 are open, none can be abandoned yet.
    hours = findings.abandonment_rate_headline(rates(65, 0), weeks(0.0, n_open=53), 24)
    assert hours.verdict == "wait 1 day"


def test_no_cart_is_said_so():
    headline = findings.abandonment_rate_headline(rates(0, 0), weeks(), 24)
    assert (headline.value, headline.verdict) == (None, "cannot tell")


def test_the_largest_stop_is_named_only_when_it_is_clear():
    clear = findings.largest_stop_headline(stops(shipping=0.3, creating_an_account=0.4))
    assert clear.verdict == "act" and "creating an account, more than at any" in clear.sentence
    close = findings.largest_stop_headline(stops(shipping=0.39, creating_an_account=0.4))
    assert close.verdict == "watch" and "not clearly more than at shipping" in close.sentence


def test_one_step_or_none_says_nothing_of_stops():
    assert findings.largest_stop_headline(stops(the_purchase=1.0)).verdict == "cannot tell"
    assert findings.largest_stop_headline(stops(shipping=0.0)).verdict == "cannot tell"


def test_the_account_wall_carries_its_share_and_interval():
    headline = findings.account_wall_headline(stops(creating_an_account=0.4, shipping=0.6))
    assert (headline.value, headline.low, headline.high) == pytest.approx((0.4, 0.38, 0.42))
    assert headline.verdict == "act" and "guest checkout" in headline.sentence
    small = findings.account_wall_headline(stops(creating_an_account=0.05, shipping=0.95))
    assert small.verdict == "watch" and "guest checkout" not in small.sentence
    assert findings.account_wall_headline(stops(shipping=1.0)).verdict == "cannot tell"


def test_what_comes_back_is_what_a_campaign_must_beat():
    delays = pd.DataFrame(
        {
            "delay_hours": [1.0, 24.0],
            "n_idle": [1000, 800],
            "share_back": [0.25, 0.1],
            "share_back_low": [0.2, 0.08],
            "share_back_high": [0.3, 0.12],
            "share_spared": [0.0, 0.2],
        }
    )
    headline = findings.return_headline(delays, 24)
    assert (headline.value, headline.n) == (0.1, 800)
    assert "spares the 20.0% of carts that are bought in between" in headline.sentence
    assert findings.return_headline(delays, 72).verdict == "cannot tell"


def test_a_list_is_counted_in_people_who_can_be_written_to():
    sizes = pd.DataFrame({"list": ["carts"], "n_rows": [300], "n_people": [250], "n_known": [120]})
    headline = findings.list_headline(sizes, 7)
    assert (headline.value, headline.n, headline.verdict) == (120, 250, "act")
    assert findings.list_headline(sizes.assign(n_people=0, n_known=0), 7).value is None
    assert findings.list_headline(sizes.assign(n_people=5, n_known=4), 7).hidden


def test_carts_a_little_short_are_those_within_a_fifth_of_the_threshold():
    gaps = pd.DataFrame(
        {
            "gap_low": [0.0, 0.0, 5.0, 10.0],
            "gap_high": [0.0, 5.0, 10.0, 15.0],
            "n_carts": [40, 20, 30, 10],
        }
    )
    headline = findings.gap_headline(gaps, 50, "EUR")
    assert (headline.value, headline.n) == (50, 100)
    assert "€10.00 or less" in headline.sentence
    assert findings.gap_headline(gaps.iloc[:0], None, "EUR").verdict == "cannot tell"


def test_the_driver_with_most_carts_at_stake_is_named_as_inferred():
    drivers = pd.DataFrame(
        {
            "driver": ["guest", "error", "phone"],
            "effect": [0.2, 0.5, 0.01],
            "effect_low": [0.15, 0.4, -0.01],
            "effect_high": [0.25, 0.6, 0.03],
            "carts_at_stake": [500.0, 100.0, 900.0],
        }
    )
    note = findings.driver_note(drivers)
    assert note.startswith("Inferred") and "'guest'" in note and "20.0 points" in note
    assert "nothing" in findings.driver_note(drivers[2:])


def test_price_drops_are_counted_or_said_to_be_unknown():
    drops = pd.DataFrame({"min_drop_rate": [0.0, 0.05], "n_people": [40, 30], "n_known": [90, 90]})
    assert "30 people with an abandoned cart" in findings.price_drop_note(drops, drops)
    unknown = drops.assign(n_known=0)
    assert "needs the price" in findings.price_drop_note(unknown, unknown)


def test_limits_name_what_the_log_lacks():
    carts = SimpleNamespace(
        n_purchases_without_cart=135, steps=("add_to_cart", "purchase"), idle_hours=24
    )
    text = findings.cart_limits(carts)
    assert "135 purchases have no recorded cart" in text
    assert "no begin_checkout and no add_shipping_info" in text


def test_claims_stand_beside_the_shops_own_figures():
    causes = pd.DataFrame(
        {"cause": ["account"], "share": [0.4], "share_low": [0.39], "share_high": [0.41]}
    )
    table = findings.claim_table(rates(), causes).set_index("claim")
    assert table.own_share["Carts that are abandoned"] == 0.55
    account = table.loc["Left because an account is asked for"]
    assert (account.published_share, account.own_share, account.basis) == (0.28, 0.4, "inferred")
    assert pd.isna(table.own_share["Left because of extra costs"]), "the log does not tell"
