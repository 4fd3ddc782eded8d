"""Drivers of abandonment: equal to a regression, planted effects found, silence where due."""

import numpy as np
import pandas as pd
import pytest
from cart_logs import at, journeys, row

from cdp_lib.behaviour import carts
from cdp_lib.behaviour.drivers import ALIKE, Driver, _compared, _effect

AS_OF = at(500)


def shop_log(seed: int, n_people: int, guest_effect: float) -> list[dict]:
    """Carts at the checkout; guests leave more often, and so do phones, which guests prefer.

    P(left) = 0.2 + 0.3 on a phone + guest_effect as a guest; a phone makes one a guest with 0.8,
    a desktop with 0.2. So the plain difference between guests and others is 0.18 too high.
    """
    rng, rows = np.random.default_rng(seed), []
    for person in range(n_people):
        for nth in range(1 + rng.integers(0, 3)):
            phone = rng.random() < 0.5
            guest = rng.random() < (0.8 if phone else 0.2)
            left = rng.random() < 0.2 + 0.3 * phone + guest_effect * guest
            who = {
                "person_id": f"c:{person}", "session_id": f"{person}/{nth}",
                "cart_id": f"k{person}/{nth}", "device_type": "mobile" if phone else "desktop",
                "customer_id": None if guest else str(person), "known": not guest,
            }  # fmt: skip
            start = float(rng.uniform(0, 300))
            rows.append(row(start, "add_to_cart", "p", **who))
            rows.append(row(start + 0.1, "begin_checkout", **who))
            if not left:
                rows += [row(start + 0.2, "sign_up", **who)] if guest else []
                rows += [row(start + 0.3, "add_shipping_info", **who)]
                rows += [row(start + 0.4, "purchase", "p", **who)]
    return rows


def guest_row(table: pd.DataFrame) -> pd.Series:
    return table.set_index("driver").loc["Guest at checkout"]


def test_the_effect_is_the_coefficient_of_a_regression(con, make_table):
    """A constant per stratum of like carts, errors clustered by person (statsmodels)."""
    import statsmodels.formula.api as smf

    found = carts.read(journeys(make_table, con, shop_log(1, 150, 0.2)), AS_OF)
    got = guest_row(carts.driver_table(found))
    frame = found.table.filter(found.table.state != "open").execute()
    frame["left"] = frame.left_step.isin(["begin_checkout", "account"]).astype(float)
    frame["exposed"] = frame.guest.astype(float)
    groups = frame.person_id.astype("category").cat.codes
    fit = smf.ols("left ~ exposed + C(device_type)", frame).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    n = frame.person_id.nunique()
    half = 1.959964 * fit.bse["exposed"] * np.sqrt(n / (n - 1))
    assert got.effect == pytest.approx(fit.params["exposed"], abs=1e-9)
    assert got.effect_high - got.effect == pytest.approx(half, rel=1e-5)
    assert (got.n_carts, got.n_people) == (len(frame), n)
    assert got.n_exposed == frame.exposed.sum()
    assert got.carts_at_stake == pytest.approx(got.effect * got.n_exposed)


@pytest.mark.long_on_spark
def test_like_carts_are_compared(con, make_table):
    """Planted 0.2; the plain difference would say 0.38. With 2,000 people (about 4,000 carts)
    the error is about 0.018 (0.5 / sqrt(4000 x 0.16)): asked for within 4 of it."""
    found = carts.read(journeys(make_table, con, shop_log(7, 2000, 0.2)), AS_OF)
    got = guest_row(carts.driver_table(found))
    assert abs(got.effect - 0.2) < 4 * 0.02
    assert got.effect_low < 0.2 < got.effect_high
    assert got.rate_exposed - got.rate_other > 0.3  # unlike carts, compared all the same
    assert got.basis == "inferred"


@pytest.mark.long_on_spark
def test_an_effect_is_covered_as_often_as_its_interval_says(con, make_table):
    """60 logs of 80 people: coverage of 95 % within 4 binomial errors (2.8 points each)."""
    driver = Driver("account", "guest", "begin_checkout", ("begin_checkout", "account"),
                    lambda t: t.guest, (), ("guest",))  # fmt: skip
    # One reading for all: each log is a world of people of its own, told apart by device.
    rows = []
    for world in range(60):
        for one in shop_log(100 + world, 80, 0.2):
            ids = {n: f"{one[n]}w{world}" for n in ("person_id", "session_id", "cart_id")}
            rows.append({**one, **ids, "touchpoint": f"w{world}"})
    found = carts.read(journeys(make_table, con, rows), AS_OF)
    table = _compared(found, None).cache()
    hits = 0
    for world in range(60):
        got = _effect(table.filter(table.touchpoint == f"w{world}"), driver)
        hits += got["effect_low"] <= 0.2 <= got["effect_high"]
    assert hits / 60 >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 60)


def test_what_the_log_lacks_is_said(con, make_table):
    found = carts.read(journeys(make_table, con, shop_log(1, 20, 0.0)), AS_OF)
    table = carts.driver_table(found).set_index("driver")
    assert table.note["A shipping cost is shown"] == "cannot tell: needs shipping_cost"
    assert table.note["Short of free shipping"].startswith(
        "cannot tell: needs a free-shipping threshold"
    )
    assert table.note["First visit seen of this person"] == "cannot tell: needs add_payment_info"
    silent = table[table.note != ""]
    assert silent.effect.isna().all() and (silent.n_carts == 0).all()
    assert set(ALIKE) >= {"device_type", "guest"}


def test_causes_by_hand(con, make_table):
    """One cart for each way to stop, and one bought."""
    ways = {
        "low": ["add_to_cart"],
        "account": ["add_to_cart", "begin_checkout"],
        "costs": ["add_to_cart", "begin_checkout", "sign_up", "add_shipping_info"],
        "form": ["add_to_cart", "begin_checkout", "login", "add_shipping_info!"],
        "trust": ["add_to_cart", "begin_checkout", "login", "add_shipping_info",
                  "add_payment_info"],
        "bought": ["add_to_cart", "begin_checkout", "login", "purchase"],
    }  # fmt: skip
    rows = []
    for name, events in ways.items():
        for hours, event in enumerate(events):
            error = "postcode" if event.endswith("!") else None
            who = {"person_id": f"v:{name}", "session_id": name, "error": error}
            rows.append(row(hours, event.rstrip("!"), "p", price=8.0, **who))
    found = carts.read(journeys(make_table, con, rows), AS_OF)
    table = carts.cause_table(found).set_index("cause")
    assert table.n_carts.to_dict() == {
        "account": 1, "extra_costs": 1, "long_checkout": 1, "trust": 1, "low_intent": 1,
    }  # fmt: skip
    assert table.share.tolist() == pytest.approx([0.2] * 5)
    assert table.value.tolist() == [8.0] * 5
    assert set(table.basis) == {"inferred"}
