"""What is joined to the portrait: right values, nobody lost, nothing made up."""

import pandas as pd
import pytest

from cdp_lib.activate.scores import write_scores
from cdp_lib.customers import catalogue, discounts, segments, worth
from cdp_lib.customers.portrait import portraits
from cdp_lib.report.joined import AFFINITY, VALUE, joined
from cdp_lib.tables import open_shop
from cdp_lib.world import World, simulate

COLUMNS = ["leave_probability", *VALUE, *AFFINITY]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joined") / "shop"
    return simulate(folder, customers=400, weeks=30, seed=3, params=World(campaigns=()))


@pytest.fixture(scope="module")
def shop(path):
    return open_shop(path)


@pytest.fixture(scope="module")
def people(shop):
    return portraits(shop, 0)[0].table


@pytest.fixture(scope="module")
def lists(shop, people, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    some = people.select("customer_id").order_by("customer_id").limit(50).to_pandas()
    told = some.assign(probability=[n / 50 for n in range(50)])
    write_scores(told, folder, "05_churn", "leave_probability", shop, 30)
    return str(folder)


@pytest.fixture(scope="module")
def both(shop, people, lists):
    return joined(shop, people, [*COLUMNS, "quiz_style", "nobody_knows"], lists)


def test_everybody_stays_with_every_column(people, both):
    assert list(both.columns) == [*people.columns, *COLUMNS]
    before, after = (t.to_pandas().sort_values("customer_id") for t in (people, both))
    pd.testing.assert_frame_equal(
        after[before.columns].reset_index(drop=True), before.reset_index(drop=True)
    )


def test_values_are_those_of_their_own_tables(shop, both, lists):
    rows = both.to_pandas().set_index("customer_id")
    known = rows.leave_probability.dropna().sort_index()
    assert known.tolist() == [n / 50 for n in range(50)]
    value = worth.value_table(worth.fit(shop), 365, intervals=False).to_pandas()
    value = value.set_index("customer_id").reindex(rows.index)
    for name in VALUE:
        assert rows[name].to_numpy() == pytest.approx(value[name].to_numpy(), nan_ok=True)
    need = discounts.discount_affinity(shop).to_pandas().set_index("customer_id")
    assert rows.affinity_low.to_numpy() == pytest.approx(
        need.affinity_low.reindex(rows.index).to_numpy(), nan_ok=True
    )
    assert rows.p_alive.notna().sum() == (rows.orders_ever > 0).sum()


def test_segments_that_asked_for_more_can_now_be_counted(people, both):
    entries = catalogue.load()
    counted = segments.count(people, entries).set_index("name")
    more = segments.count(both, entries).set_index("name")
    names = ("likely_to_leave", "probably_gone", "worth_saving", "needs_no_discount")
    for name in names:
        assert counted.needs[name] != "" and more.needs[name] == ""
    rows = both.to_pandas()
    assert more.n_customers["likely_to_leave"] == (rows.leave_probability >= 0.5).sum() == 25
    assert (
        more.n_customers["worth_more_than_they_show"]
        == ((rows.expected_revenue > rows.revenue_365d) & (rows.orders_ever > 0)).sum()
    )
    assert more.needs["likely_to_buy"] == "a score of buying, joined on"


def test_what_a_shop_does_not_allow_is_left_out(path, people, shop, tmp_path):
    assert joined(shop, people, []) is people
    assert joined(shop, people, ["leave_probability"]) is people
    assert joined(shop, people, ["leave_probability"], str(tmp_path)) is people
    bare = path.parent / "bare.toml"
    bare.write_text(
        'name = "bare"\ncurrency = "EUR"\nas_of = 2026-11-23T00:00:00Z\n'
        '[tables.customers]\npath = "customers.parquet"\n'
    )
    other = open_shop(bare)
    known = other.customers.select("customer_id")
    assert joined(other, known, COLUMNS) is known
