"""Each visit shows an action as often as the law of its sort of visit says."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.world import ACTIONS, CAUSES
from cdp_lib.world.actions import IN_APP, shows
from cdp_lib.world.log import LATE_DAYS, TROUBLE, TROUBLE_LATE
from cdp_lib.world.visits import REMOVE_DAYS, REMOVES

SETTLED = pd.Timedelta(hours=4)
BY_VISIT = [a for a in ACTIONS if a not in ("app_remove", "push_off", "unsubscribe")]


@pytest.fixture(scope="module")
def sittings(quiet) -> pd.DataFrame:
    """A row a visit: person and row of the people, start, sort, cause of its cart, in_app."""
    truth = quiet.truth
    visits = truth.table("visits")
    visits = visits[~visits["reason"].isin(["app_remove", "push_off"])]
    events = quiet.table("events")
    late = events["occurred_at"].max() - pd.Timedelta(hours=4)
    visits = visits[visits["started_at"] < late]  # seen to their end
    carts = events.dropna(subset=["cart_id"]).drop_duplicates("session_id")
    carts = carts.merge(truth.table("carts")[["cart_id", "outcome", "cause"]], on="cart_id")
    visits = visits.merge(carts[["session_id", "outcome", "cause"]], on="session_id", how="left")
    apps = events.loc[events["app_version"].notna(), "session_id"]
    first = visits["cause"].notna().map({True: "left", False: "plain"})
    first = first.mask(visits["outcome"].isin(["emptied"]), "emptied")
    first = first.mask(visits["outcome"].eq("bought"), "bought")
    sort = visits["reason"].map({"buys_later": "buys", "looks_again": "looks"})
    row = pd.Index(truth.people["person_id"]).get_indexer(visits["person_id"])
    return visits.assign(sort=sort.fillna(first), row=row, in_app=visits["session_id"].isin(apps))


def standard_score(hit: np.ndarray, p: np.ndarray) -> float:
    return (hit.sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())


def concerned(quiet, sittings: pd.DataFrame, event: str) -> pd.DataFrame:
    """The visits of which the law of the event speaks."""
    people = quiet.truth.people
    opened = people["account_at"].where(~people["existing"], pd.Timestamp("2000-01-01"))
    opened = pd.Series(opened.to_numpy()[sittings["row"]], sittings.index)
    if event == "sign_up":
        return sittings[~(opened < sittings["started_at"])]
    if event == "login":
        return sittings[opened + SETTLED < sittings["started_at"]]
    return sittings[sittings["in_app"]] if event in IN_APP else sittings


@pytest.fixture(scope="module")
def did(quiet, sittings):
    """`did(event)`: whether each visit shows the event."""
    number = pd.DataFrame({"session_id": sittings["session_id"], "n": np.arange(len(sittings))})
    events = quiet.table("events")[["session_id", "event", "order_id"]]
    events = events.merge(number, on="session_id")
    cheaper = quiet.table("orders").query("discount > 0")["order_id"]
    bought = events[events["event"] == "purchase"]
    rows = {event: part["n"].to_numpy() for event, part in events.groupby("event")}
    rows["visit"] = events["n"].to_numpy()
    rows["use_coupon"] = bought.loc[bought["order_id"].isin(cheaper), "n"].to_numpy()

    def shown(event: str) -> pd.Series:
        return pd.Series(np.isin(number["n"], rows[event]), sittings.index)

    return shown


@pytest.mark.parametrize("event", [a for a in BY_VISIT if a != "contact_support"])
def test_a_visit_shows_an_action_by_the_law_of_its_sort(quiet, sittings, did, event):
    visits = concerned(quiet, sittings, event)
    hits, shown = did(event), shows(quiet.truth, event)
    for (sort, _), rows in visits.groupby(["sort", "cause"], dropna=False):
        p = getattr(shown, sort)[rows["row"]]
        if p.ndim == 2:
            cause = pd.Categorical(rows["cause"], categories=CAUSES).codes
            p = p[np.arange(len(p)), cause]
        hit = hits[rows.index].to_numpy()
        assert not hit[p == 0].any() and hit[p == 1].all(), sort
        open_ = (p > 0) & (p < 1)
        if p[open_].sum() > 5:
            assert abs(standard_score(hit[open_], p[open_])) < 4, sort


def test_support_is_asked_for_late_in_a_life(quiet, sittings, did):
    asked = did("contact_support").to_numpy()
    ends = quiet.truth.people["ends_at"].to_numpy()[sittings["row"]]
    left = (ends - sittings["started_at"]) / pd.Timedelta(days=1)
    late = (left < LATE_DAYS).to_numpy()
    for chosen, rate in ((late, TROUBLE_LATE), (~late, TROUBLE)):
        assert abs(standard_score(asked[chosen], np.full(chosen.sum(), rate))) < 4


def test_the_app_goes_within_three_days_of_the_end(quiet):
    visits, people = quiet.truth.table("visits"), quiet.truth.people.set_index("person_id")
    gone = visits[visits["reason"] == "app_remove"].set_index("person_id")["started_at"]
    early = people["ends_at"] < gone.max() - pd.Timedelta(days=REMOVE_DAYS)
    owners = people[early & (people["app_share"] > 0)]
    removed = owners.index.isin(gone.index)
    assert abs(standard_score(removed, np.full(len(owners), REMOVES))) < 4
    share = (gone - people["ends_at"][gone.index]) / pd.Timedelta(days=REMOVE_DAYS)
    share = share[owners.index[removed]]
    assert share.between(-1e-4, 1).all()
    # uniform: variance 1/12
    assert abs(share.mean() - 0.5) < 4 * np.sqrt(1 / 12 / len(share))


def test_carts_are_emptied_and_come_back_at_their_rates(quiet):
    """The shares that make an action of a cart's sorts, as `rates` puts them together."""
    carts, law = quiet.truth.table("carts"), quiet.truth.world
    emptied = (carts["outcome"] == "emptied").to_numpy()
    assert abs(standard_score(emptied, np.full(len(carts), law.emptied_share))) < 4
    visits = quiet.truth.table("visits")
    events = quiet.table("events").merge(visits, on="session_id").dropna(subset=["cart_id"])
    # lost carts of people who live 30 days more, 30 days before the end: all that comes has come
    ends = quiet.truth.people.set_index("person_id")["ends_at"]
    month = pd.Timedelta(days=30)
    left = carts[carts["cause"].notna()]
    left = left[left["person_id"].map(ends) > left["opened_at"] + month]
    left = left[left["opened_at"] + month < events["occurred_at"].max()]
    for reason, share in (
        ("buys_later", law.buy_later_share),
        ("looks_again", (1 - law.buy_later_share) * law.touch_share),
    ):
        back = left["cart_id"].isin(events.loc[events["reason"] == reason, "cart_id"]).to_numpy()
        assert abs(standard_score(back, np.full(len(back), share))) < 4, reason
