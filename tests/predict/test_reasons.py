"""Reasons in words: what a person would say of these numbers, and nothing beyond them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cdp_lib.checks import Refusal
from cdp_lib.customers.features import Feature
from cdp_lib.predict.reasons import NEGLIGIBLE, phrase, reason_table, waterfall_table

NAN = float("nan")
VISIT = Feature("days_since_visit", "days since the last visit", "days", "events", "recency")
VIEW = Feature("view", "whole days since a product was viewed", "days", "events", "recency")
ORDERS = Feature("orders", "orders in the last 30 days", "count", "orders", "frequency")
SPENT = Feature("spent", "spent in the last 90 days", "money", "orders", "money")
CITY = Feature("city", "home city", "category", "customers", "attributes", "category")
AGE = Feature("age", "age in years", "number", "customers", "attributes")
FEATURES = (VISIT, VIEW, ORDERS, SPENT, CITY, AGE)
VALUES = [41.0, 44.0, 0.0, 120.0, "Ghent", 34.0]


def made(contributions, values=VALUES):
    """A shap.Explanation of FEATURES, each row with the same values."""
    from shap import Explanation

    contributions = np.atleast_2d(np.asarray(contributions, float))
    shown = np.array([values] * len(contributions), dtype=object)
    data = np.array([[NAN if isinstance(v, str | None) else v for v in values]])
    return Explanation(
        contributions,
        np.zeros(len(contributions)),
        data=np.repeat(data.astype(float), len(contributions), axis=0),
        display_data=shown,
        feature_names=[feature.name for feature in FEATURES],
    )


def reasons(contributions, **more) -> list:
    """The reasons of one customer."""
    table = reason_table(made(contributions), FEATURES, ["c1"], **more)
    assert table.columns[0] == "customer_id" and table.customer_id.tolist() == ["c1"]
    return table.iloc[0, 1:].tolist()


def test_three_reasons_in_order_with_value_and_direction():
    # Sums: recency 1.0 + 0.5, frequency 0.7, money -1.2, city 0.3, age -0.2.
    assert reasons([1.0, 0.5, 0.7, -1.2, 0.3, -0.2], currency="EUR") == [
        "no visit for 41 days raises the risk",
        "€120 spent in the last 90 days lowers the risk",
        "no orders in the last 30 days raise the risk",
    ]


def test_two_features_of_a_group_are_one_reason_in_the_words_of_the_stronger():
    assert reasons([0.4, 0.9, 0, 0, 0, 0]) == [
        "44 days since a product was viewed raises the risk", None, None,
    ]  # fmt: skip


def test_the_words_come_from_a_feature_that_pulls_the_way_the_group_goes():
    # The view alone is stronger, but the group raises, and so does the visit.
    assert reasons([1.0, -0.9, 0, 0, 0, 0])[0] == "no visit for 41 days raises the risk"


def test_attributes_are_reasons_of_their_own():
    assert reasons([0, 0, 0, 0, -0.5, 0.4], outcome_words="the chance of an order") == [
        "home city (Ghent) lowers the chance of an order",
        "age in years (34) raises the chance of an order",
        None,
    ]


def test_what_is_negligible_is_not_said():
    # 0.05 of 1.05 is below a twentieth of all; 0.06 of 1.06 is above it.
    assert reasons([1, 0, 0.05, 0, 0, 0])[1] is None
    assert reasons([1, 0, 0.06, 0, 0, 0])[1] is not None
    assert reasons([0, 0, 0, 0, 0, 0]) == [None, None, None]


def test_more_reasons_than_groups_leave_empty_columns():
    table = reason_table(made([[1, 0, 0, 0, 0, 0]]), FEATURES, ["c1"], top=8)
    assert list(table.columns) == ["customer_id", *(f"reason_{n}" for n in range(1, 9))]
    assert table.iloc[0, 2:].isna().all()
    assert len(reasons([1, 0, 1, 1, 1, 1], top=1)) == 1


def test_nobody_to_explain_gives_an_empty_table():
    empty = made([[0] * 6])[:0]
    table = reason_table(empty, FEATURES, [])
    assert len(table) == 0 and "reason_3" in table.columns


def test_one_customer_of_many_may_be_asked_for():
    many = made([[1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]])
    table = reason_table(many[1], FEATURES, ["c2"])
    assert table.iloc[0].tolist() == [
        "c2",
        "no orders in the last 30 days raise the risk",
        None,
        None,
    ]


def test_ids_of_another_length_are_refused():
    with pytest.raises(Refusal, match="not one for each of 1 rows"):
        reason_table(made([0] * 6), FEATURES, ["a", "b"])


@pytest.mark.parametrize(
    ("meaning", "unit", "value", "words"),
    [
        ("days since the last visit", "days", 13.4, "the last visit 13 days ago"),
        ("days since the last visit", "days", 14.0, "no visit for 14 days"),
        ("days since the last visit", "days", 1.2, "the last visit 1 day ago"),
        ("days since the last visit", "days", 0.2, "the last visit less than a day ago"),
        ("days since the last order", "days", NAN, "no order on record"),
        ("days since the first order", "days", 1234.0, "1,234 days since the first order"),
        ("whole days since support was contacted", "days", 0.0,
         "less than a day since support was contacted"),
        ("days since a message was opened", "days", None,
         "days since a message was opened (none on record)"),
        ("days between two orders", "days", 12.34, "days between two orders (12.3)"),
        ("spread of the gaps", "days", 3.0, "spread of the gaps (3 days)"),
        ("hours that a visit lasts", "hours", 0.25, "hours that a visit lasts (0.25)"),
        ("orders in the last 30 days", "count", 1.0, "orders in the last 30 days (1)"),
        ("orders ever", "count", 12345, "12,345 orders ever"),
        ("times the app was opened", "count", 4, "times the app was opened (4)"),
        ("orders ever", "count", NAN, "orders ever (not known)"),
        ("worth of an order, on average", "money", 12.5, "worth of an order, on average (12.50)"),
        ("margin earned", "money", -1234.5, "margin earned (−1,234)"),
        ("share of orders returned", "share", 0.625, "share of orders returned (62%)"),
        ("share of orders with a discount", "share", 0.004,
         "share of orders with a discount (less than 1%)"),
        ("may be mailed", "yes/no", False, "may be mailed (no)"),
        ("may be mailed", "yes/no", 1.0, "may be mailed (yes)"),
        ("home city", "category", "São Paulo", "home city (São Paulo)"),
        ("home city", "category", None, "home city (not known)"),
        ("MonthlyCharges", "number", 70.35, "MonthlyCharges (70.3)"),
    ],
)  # fmt: skip
def test_values_are_written_as_people_write_them(meaning, unit, value, words):
    kind = "category" if unit == "category" else "number"
    assert phrase(Feature("f", meaning, unit, "t", "money", kind), value)[0] == words


def test_a_value_from_data_stays_one_short_line_of_plain_text():
    words, _ = phrase(CITY, "<b>x</b>\n\u202e" + "y" * 200)
    assert words.startswith("home city (<b>x</b> yyy") and words.endswith("y…)")
    assert "\n" not in words and "\u202e" not in words and len(words) < 80


@settings(max_examples=150, deadline=None)
@given(arrays(float, (3, 6), elements=st.floats(-2, 2).map(lambda v: round(v, 2))))
def test_reasons_are_those_of_the_strongest_groups(contributions):
    """Against a plain loop over groups, customer by customer."""
    table = reason_table(made(contributions), FEATURES, list("abc"))
    members = [[0, 1], [2], [3], [4], [5]]
    for row, said in zip(contributions, table.iloc[:, 1:].to_numpy(), strict=True):
        sums = [sum(row[place] for place in group) for group in members]
        worth = [s for s in sums if s != 0 and abs(s) >= NEGLIGIBLE * np.abs(row).sum()]
        said = [words for words in said if words is not None]
        assert len(said) == min(3, len(worth))
        strongest = sorted(worth, key=lambda s: -abs(s))
        for words, moved in zip(said, strongest, strict=False):
            ties = [s for s in sums if abs(s) == abs(moved)]
            if len({s > 0 for s in ties}) == 1:
                assert (" raise" in words) == (moved > 0)
        assert len({words.split(" raise")[0].split(" lower")[0] for words in said}) == len(said)


def test_a_table_of_text_is_plain_objects():
    table = reason_table(made([[1, 0, 0, 0, 0, 0]] * 2), FEATURES, pd.Series(["a", "b"]))
    assert table.reason_2.tolist() == [None, None] and table.reason_1.nunique() == 1


def test_the_waterfall_goes_step_by_step_to_this_customer():
    one = made([0.5, 0, 0.25, -1.0, 0, 0])
    one.base_values[:] = -0.75
    table = waterfall_table(one[0], FEATURES, top=2, currency="EUR")
    assert table.words.tolist() == [
        "the average customer", "€120 spent in the last 90 days", "no visit for 41 days",
        "all 4 other features", "this customer",
    ]  # fmt: skip
    assert table.contribution.tolist() == [-0.75, -1.0, 0.5, 0.25, -1.0]
    # Log odds after each step: -0.75, -1.75, -1.25, -1.0.
    odds = np.array([-0.75, -1.75, -1.25, -1.0, -1.0])
    assert table.probability.to_numpy() == pytest.approx(1 / (1 + np.exp(-odds)))
    with pytest.raises(Refusal, match=r"explanation\[i\]"):
        waterfall_table(made([[0] * 6] * 2), FEATURES)
