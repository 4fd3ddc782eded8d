"""A week's candidates come from the workbench's own lists, and a shop that lacks one goes on."""

import pandas as pd
import pytest

from cdp_lib.activate import moves
from cdp_lib.activate.lists import read_list, write_list
from cdp_lib.activate.policy import read_policy
from cdp_lib.activate.scores import write_scores
from cdp_lib.behaviour import cart_lists, carts
from cdp_lib.checks import Refusal
from cdp_lib.predict.outcome import churn
from cdp_lib.report import next_moves
from cdp_lib.report.candidates import CHURN, Sources, ask
from cdp_lib.report.move_products import RECOMMENDED, products
from cdp_lib.report.score_lists import list_name
from cdp_lib.tables import open_shop
from cdp_lib.world import World, simulate

OWN = """
[audience.recent]
segment = "{}"
channels = ["on_site"]
[audience.keep]
list = "likely_churners"
[audience.alike]
list = "lookalike_prospects"
[audience.carts]
list = "abandoned_carts"
[audience.browses]
list = "abandoned_browses"
[audience.sell]
list = "cross_sell"
never_for = ["keep"]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moves") / "shop"
    return open_shop(simulate(folder, customers=500, weeks=20, seed=8, params=World(campaigns=())))


@pytest.fixture(scope="module")
def sources(shop, tmp_path_factory):
    """The week of a shop with a policy of its own, its likely churners written by another page."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "policy.toml").write_text(OWN.format("champions"))
    known = shop.customers.customer_id.to_pandas().sort_values().head(40)
    risk = pd.DataFrame({"customer_id": known, "probability": 0.6, "value_at_stake": 30.0})
    risk["reason_1"] = None
    write_list(risk, folder, list_name(CHURN, churn(shop)))
    own = read_policy(folder / "policy.toml")
    return Sources(shop, own, lists=str(folder), horizon_days=400)


@pytest.fixture(scope="module")
def week(sources):
    return next_moves.decide_week(sources)


def test_the_candidates_are_those_of_the_lists(shop, sources):
    found, lacking = ask(sources)
    assert set(found) | set(lacking) == set(sources.policy.names)
    assert "three horizons" in lacking["alike"] and set(lacking) == {"alike"}
    baskets = carts.read(shop.journeys, shop.as_of, shop.settings.idle_hours)
    listed = cart_lists.abandoned_cart_list(baskets, max_idle_hours=168).to_pandas()
    got = set(found["carts"].to_pandas().customer_id.dropna())
    assert got == set(listed.customer_id.dropna()) and len(got) > 5
    days = sources.profile.select("customer_id", "days_since_order").to_pandas()
    lately = days[(days.days_since_order >= 3) & (days.days_since_order < 14)]
    assert set(found["sell"].to_pandas().customer_id) == set(lately.customer_id)
    named = sources.people.filter(sources.people.rfm_name == "Champions").to_pandas()
    assert set(found["recent"].to_pandas().customer_id) == set(named.customer_id)
    assert len(found["keep"].to_pandas()) == 40


def test_each_customer_gets_one_move_or_none(shop, week):
    table = moves.matrix(week).set_index("audience")
    given = week.given.to_pandas()
    assert given.customer_id.is_unique and len(given) == table.loc["all", "n_got"] > 20
    parts = [name for name in table.columns if name.startswith("n_") and name != "n_asked"]
    rows = table.drop(index="all")
    assert (rows[parts].sum(axis=1) == rows.n_asked).all()
    outcomes = moves.outcome_table(week)
    assert outcomes.groupby("asked").n.sum().to_dict() == {
        name: n for name, n in rows.n_asked.items() if n
    }
    may = shop.customers.to_pandas().set_index("customer_id").email_opt_in
    mailed = given[given.channel == "email"]
    assert may.reindex(mailed.customer_id).eq(True).all()
    assert (given[given.audience == "recent"].channel == "on_site").all()


def test_what_is_at_stake_is_of_those_who_get_a_move(sources, week):
    stakes = next_moves.stakes(sources, week)
    got = week.given.filter(week.given.audience == "keep").to_pandas()
    assert len(stakes) == len(got) and stakes.worth.tolist() == pytest.approx([50.0] * len(got))
    assert next_moves.verdicts(sources.shop) == {}, "nothing has left yet"
    assert next_moves.called(next_moves.context(sources, week), week.policy).empty


def test_the_files_carry_the_products_to_show(sources, week):
    """Beside each who gets the move: what lies in the cart, the dearest first, or was looked at."""
    columns = next_moves.context(sources, week)
    assert set(columns) == {"carts", "browses"}, "nothing was recommended"
    given = week.given.to_pandas()
    items = sources.carted.to_pandas().dropna(subset="customer_id")
    items["paid"] = items.pieces * items.price_seen
    by_hand = items.sort_values(["paid", "product_id"], ascending=[False, True])
    by_hand = by_hand.drop_duplicates(["customer_id", "product_id"]).groupby("customer_id")
    wanted = by_hand.product_id.apply(lambda ids: list(ids)[:3])
    carts_of = columns["carts"].set_index("customer_id")
    assert set(carts_of.index) == set(given[given.audience == "carts"].customer_id)
    for customer, row in carts_of.iterrows():
        assert row.dropna().tolist() == wanted[customer]
    views = sources.browsed.to_pandas().groupby("customer_id").n_views.max()
    seen = sources.browsed.to_pandas().set_index(["customer_id", "product_id"]).n_views
    for row in columns["browses"].itertuples():
        assert seen.loc[(row.customer_id, row.product_1)].max() == views[row.customer_id]


def test_recommended_products_go_with_those_who_are_sold_to(sources, week, tmp_path):
    sold = week.given.filter(week.given.audience == "sell").to_pandas().customer_id.tolist()
    offers = pd.DataFrame({"customer_id": [*sold[1:], "stranger"], "product_1": "p1"})
    offers["product_2"] = "p2"
    write_list(offers, tmp_path, RECOMMENDED)
    own = Sources(sources.shop, sources.policy, lists=str(tmp_path))
    customers = week.given.filter(week.given.audience == "sell").select("customer_id")
    got = products(own, "cross_sell", customers)
    assert got.customer_id.tolist() == sold[1:] and len(sold) > 2
    assert got.product_2.eq("p2").all() and list(got) == ["customer_id", "product_1", "product_2"]
    assert products(own, "likely_churners", customers) is None


def test_only_some_may_ask(sources):
    part = Sources(sources.shop, sources.policy, only=("carts",))
    assert set(ask(part)[0]) == {"carts"}
    with pytest.raises(Refusal, match="did you mean 'carts'"):
        ask(Sources(sources.shop, sources.policy, only=("cart",)))


def test_a_segment_of_scores_asks_where_they_have_been_written(sources, tmp_path):
    (tmp_path / "policy.toml").write_text(OWN.format("likely_to_leave"))
    policy = read_policy(tmp_path / "policy.toml")
    _, lacking = ask(Sources(sources.shop, policy, only=("recent",), lists=str(tmp_path)))
    assert "a score of leaving" in lacking["recent"]
    known = sources.shop.customers.customer_id.to_pandas().sort_values().head(10)
    told = pd.DataFrame({"customer_id": known, "probability": [0.4] * 3 + [0.6] * 7})
    write_scores(told, tmp_path, "05_churn", "leave_probability", sources.shop, 30)
    found, _ = ask(Sources(sources.shop, policy, only=("recent",), lists=str(tmp_path)))
    assert set(found["recent"].customer_id.to_pandas()) == set(known.iloc[3:])


def test_a_segment_that_is_not_there_is_refused(sources, tmp_path):
    (tmp_path / "policy.toml").write_text(OWN.format("champion"))
    policy = read_policy(tmp_path / "policy.toml")
    with pytest.raises(Refusal, match="champion"):
        ask(Sources(sources.shop, policy, only=("recent",)))


def test_a_list_comes_back_as_it_was(tmp_path):
    table = pd.DataFrame(
        {
            "customer_id": ["=1+1", "-2", "'x", "007", "c,5"],
            "probability": [0.1, 0.30000000000000004, 1e-9, 1.0, 0.5],
            "reason_1": ["+a", None, "b\nc", "'=d", ""],
        }
    )
    write_list(table, tmp_path, "x")
    back = read_list(tmp_path, "x")
    assert back.customer_id.tolist() == table.customer_id.tolist()
    assert back.probability.tolist() == table.probability.tolist()
    assert back.reason_1.tolist()[:3] == ["+a", None, "b\nc"]
    assert read_list(tmp_path, "y") is None and read_list("", "x") is None
