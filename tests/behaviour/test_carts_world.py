"""The simulated shop's planted leak, causes and drivers are found again."""

import shutil

import numpy as np
import pandas as pd
import pytest

from cdp_lib.behaviour import carts
from cdp_lib.behaviour.cart_rates import share_table
from cdp_lib.behaviour.cart_walk import ACTIONS

pytestmark = pytest.mark.long_on_spark
TRUTH = 0.40  # World.account_share: of left carts, independent of everything


@pytest.fixture(scope="module")
def shop(con, tmp_path_factory):
    """A world of 6,000 customers over half a year, as a shop, and its truth."""
    from cdp_lib.tables import open_shop
    from cdp_lib.world import simulate

    folder = tmp_path_factory.mktemp("planted")
    opened = open_shop(simulate(folder, customers=6000, weeks=26, seed=21), con=con)
    return opened, pd.read_parquet(folder / "truth" / "carts.parquet")


@pytest.fixture(scope="module")
def found(shop):
    return carts.read(shop[0].journeys, shop[0].as_of, shop[0].settings.idle_hours)


def test_every_cart_is_found_with_its_fate(shop, found):
    """A cart's state follows from its truth, but for what 24 hours and the end of data decide."""
    both = found.table.execute().merge(shop[1], on="cart_id", how="outer", suffixes=("", "_true"))
    assert both.state.notna().all() and both.outcome.notna().all()
    fates = {
        "left": {"abandoned", "open"},
        "emptied": {"emptied"},
        "bought": {"bought"},
        "bought_later": {"bought", "bought_later", "abandoned", "open"},
    }
    for outcome, states in fates.items():
        assert set(both.state[both.outcome == outcome]) <= states
    lost = both[both.state == "abandoned"]
    assert ((lost.furthest_step == "begin_checkout") == (lost.cause == "account")).all()
    np.testing.assert_allclose(lost.value, lost.value_true, atol=0.005)


def test_the_planted_leak_is_found(found):
    """The share at account creation is 40 %: within 4 binomial errors, and in its interval."""
    stops = carts.stop_table(found).set_index("step")
    row, n = stops.loc["creating an account"], stops.n_carts.sum()
    assert stops.share.idxmax() == "creating an account"
    assert abs(row.share - TRUTH) < 4 * np.sqrt(TRUTH * (1 - TRUTH) / n)
    assert row.share_low < TRUTH < row.share_high
    assert stops.n_carts["shipping"] == 0  # nobody known stops at the beginning of the checkout


def test_cause_shares_are_those_planted(shop, found):
    """Each cause's share of the left carts, within 1.5 points of the truth.

    What can differ is which carts count as left: those bought within 24 hours do not.
    """
    truth = shop[1][shop[1].outcome.isin(["left", "bought_later"])].cause
    shares = carts.cause_table(found).set_index("cause").share
    for cause, share in truth.value_counts(normalize=True).items():
        assert abs(shares[cause] - share) < 0.015


def test_planted_drivers_have_their_sign(shop, found):
    """The law raises leaving by shipping cost, phones, new people and single cheap pieces."""
    table = carts.driver_table(found, shop[0].settings.free_shipping_threshold)
    assert (table.note == "").all()
    assert (table.effect_low > 0).all(), table[["driver", "effect", "effect_low"]]
    assert set(table.basis) == {"inferred"}


def test_what_comes_back_is_what_was_planted(shop, found):
    """Of the carts the truth has as left, the curve's share from the first hour on.

    A cart idle for an hour is one the truth has as left or bought later (a sitting is shorter),
    so the share bought within 20 days equals the truth's, within 4 binomial errors.
    """
    truth = shop[1][shop[1].outcome.isin(["left", "bought_later"])]
    early = truth[truth.opened_at < pd.Timestamp(shop[0].as_of) - pd.Timedelta(days=20)]
    back = early.outcome == "bought_later"
    within = back & (early.bought_at - early.opened_at < pd.Timedelta(days=20))
    curve = carts.return_curve(found, idle_hours=1, horizon_hours=480)
    idle_an_hour = ~back | (early.bought_at - early.opened_at > pd.Timedelta(hours=1.2))
    wanted = within[idle_an_hour].mean()
    error = np.sqrt(wanted * (1 - wanted) / idle_an_hour.sum())
    assert abs(curve.share_back.iloc[-1] - wanted) < 4 * error


def stops_of_worlds(folder, seeds) -> pd.DataFrame:
    """The stop at account creation in many small worlds, opened as one shop: a row per world.

    Every id carries its world's number, so that worlds share nothing, and visitors are stitched to
    customers by the shop itself. They must be: who is one person has to be known whatever the
    cart came to, or guests alone fall apart into visitors and the clusters follow the outcome.
    """
    from cdp_lib.tables import open_shop
    from cdp_lib.world import simulate

    ids = ("event_id", "visitor_id", "customer_id", "cart_id", "session_id")
    parts = {"events": [], "identities": []}
    for seed in seeds:
        simulate(folder / "one", customers=300, weeks=52, seed=seed)
        for name, rows in parts.items():
            wanted = [("event", "in", list(ACTIONS))] if name == "events" else None
            table = pd.read_parquet(folder / "one" / f"{name}.parquet", filters=wanted)
            for column in set(ids) & set(table.columns):
                table[column] = f"w{seed}:" + table[column].astype("string")
            rows.append(table)
    toml = (folder / "one" / "shop.toml").read_text().partition("[tables.")[0]
    shutil.rmtree(folder / "one")
    many = folder / f"from_{min(seeds)}"
    many.mkdir()
    for name, rows in parts.items():
        pd.concat(rows, ignore_index=True).to_parquet(many / f"{name}.parquet")
        toml += f'[tables.{name}]\npath = "{name}.parquet"\n'
    (many / "shop.toml").write_text(toml)
    shop = open_shop(many / "shop.toml")
    table = carts.read(shop.journeys, shop.as_of).table
    abandoned = table.filter(table.state == "abandoned")
    hits = {"account": abandoned.furthest_step == "begin_checkout"}
    world = abandoned.cart_id.split(":")[0]
    stops = share_table(abandoned.mutate(world=world), hits, by="world")
    shutil.rmtree(many)
    return stops


def coverage(worlds: pd.DataFrame) -> float:
    return ((worlds.low <= TRUTH) & (worlds.high >= TRUTH)).mean()


def test_small_worlds_agree_with_the_truth(tmp_path):
    """30 worlds: the mean share is unbiased, and the interval covers as often as it says.

    Bounds: 4 binomial errors of all carts together, and of 30 worlds at 95 %.
    """
    worlds = stops_of_worlds(tmp_path, range(1000, 1030))
    assert len(worlds) == 30
    error = np.sqrt(TRUTH * (1 - TRUTH) / worlds.n.sum())
    assert abs(worlds.n_hit.sum() / worlds.n.sum() - TRUTH) < 4 * error
    assert coverage(worlds) >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 30)


@pytest.mark.proof
@pytest.mark.slow
def test_over_400_worlds_the_interval_covers_the_truth_in_93_to_97_percent(tmp_path):
    """The binomial error of 400 worlds at 95 % is 1.1 points."""
    batches = [
        stops_of_worlds(tmp_path, range(start, start + 40)) for start in range(2000, 2400, 40)
    ]
    worlds = pd.concat(batches)
    print(f"covered in {coverage(worlds):.2%} of 400 worlds of {worlds.n.mean():.0f} carts each")
    assert len(worlds) == 400
    assert 0.93 <= coverage(worlds) <= 0.97
