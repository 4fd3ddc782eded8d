"""A shop that lives on: the law stays, nothing of the past changes, and those treated respond."""

import hashlib
import importlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.tables import open_shop
from cdp_lib.tables.health import check
from cdp_lib.world import ACTIONS, Campaign, World, advance, open_truth, probability, simulate
from cdp_lib.world.law import RESPONSES

WEEK = pd.Timedelta(weeks=1)
KEYS = {
    "events": "event_id", "orders": "order_id", "messages": "message_id",
    "customers": "customer_id", "truth/visits": "session_id", "truth/carts": "cart_id",
    "truth/people": "person_id",
}  # fmt: skip


def digests(folder) -> dict:
    """What lies in a shop's folder, file by file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def table(folder, name) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet")


def copied(folder, to):
    return shutil.copytree(folder, to) / "shop.toml"


def as_of(folder) -> pd.Timestamp:
    return pd.Timestamp(json.loads((folder / "truth" / "world.json").read_text())["as_of"])


def contacts(units, when, experiment="abandoned_carts.w", audience=None, treated=True):
    return pd.DataFrame(
        {
            "experiment_id": experiment,
            "audience": audience or experiment.split(".")[0],
            "unit_id": list(units),
            "channel": "email",
            "delivered_at": when,
            "treated": treated,
        }
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """300 customers after 12 weeks."""
    folder = tmp_path_factory.mktemp("small")
    simulate(folder, customers=300, weeks=12, seed=21)
    return folder


@pytest.fixture(scope="module")
def sent(small):
    """Two experiments that share customers; a fifth held out."""
    units = table(small, "customers")["customer_id"].sort_values().to_numpy()
    first = contacts(units[:200], as_of(small), treated=np.arange(200) % 5 > 0)
    second = contacts(units[100:], as_of(small), "abandoned_browses.w")
    return pd.concat([first, second])


@pytest.fixture(scope="module")
def lived(small, sent, tmp_path_factory):
    """The small shop two weeks later, one by one."""
    folder = tmp_path_factory.mktemp("lived") / "shop"
    shop = copied(small, folder)
    advance(shop, sent)
    advance(shop, sent)
    return folder


def test_two_weeks_at_once_are_two_weeks_one_by_one(small, sent, lived, tmp_path):
    shop = copied(small, tmp_path / "shop")
    assert advance(shop, sent, weeks=2) == shop
    assert digests(tmp_path / "shop") == digests(lived)
    # The order of the rows is nothing.
    shuffled = sent.sample(frac=1, random_state=1)
    advance(copied(small, tmp_path / "again"), shuffled, weeks=2)
    assert digests(tmp_path / "again") == digests(lived)


def test_the_past_stays_as_it_was(small, lived):
    for name, key in KEYS.items():
        old, new = (table(folder, name).set_index(key) for folder in (small, lived))
        assert new.index.is_unique
        assert old.index.isin(new.index).all()
        if name in ("events", "orders", "messages", "truth/visits"):
            pd.testing.assert_frame_equal(new.loc[old.index], old)
            moment = {"events": "occurred_at", "orders": "ordered_at", "messages": "sent_at",
                      "truth/visits": "started_at"}[name]  # fmt: skip
            fresh = new[~new.index.isin(old.index)]
            assert len(fresh)
            assert fresh[moment].between(as_of(small), as_of(lived), inclusive="left").all()
    carts = [table(folder, "truth/carts").set_index("cart_id") for folder in (small, lived)]
    changed = (carts[1].loc[carts[0].index, "outcome"] != carts[0]["outcome"]).to_numpy()
    came_back = carts[1].loc[carts[0].index][changed]
    assert set(came_back["outcome"]) == {"bought_later"}
    assert (came_back["bought_at"] >= as_of(small)).all()
    people = [table(folder, "truth/people").set_index("person_id") for folder in (small, lived)]
    fixed = [c for c in people[0].columns if c not in ("has_account", "account_at")]
    pd.testing.assert_frame_equal(people[1].loc[people[0].index, fixed], people[0][fixed])
    customers = [table(f, "customers").set_index("customer_id") for f in (small, lived)]
    told = [c for c in customers[0].columns if not c.endswith("_opt_in")]
    pd.testing.assert_frame_equal(customers[1].loc[customers[0].index, told], customers[0][told])


def test_the_shop_file_moves_on_and_keeps_its_text(small, lived):
    before, after = ((folder / "shop.toml").read_text() for folder in (small, lived))
    assert after == before.replace("2026-02-16T", "2026-03-02T")
    assert as_of(lived) == as_of(small) + 2 * WEEK
    assert not (lived / ".next").exists()


def test_a_shop_that_lived_on_is_as_sound_as_before(small, lived):
    reports = [check(open_shop(folder / "shop.toml")) for folder in (small, lived)]
    assert not reports[1].fatal
    rules = [set(zip(r.problems["table"], r.problems["rule"], strict=True)) for r in reports]
    assert rules[1] <= rules[0]  # refunds, which are no fault


def test_a_world_may_be_lived_on_from_a_year_of_many_chunks(tmp_path, monkeypatch):
    """Groups of one chunk of 40 customers: numbers of rows and people never meet."""
    simulating, past = (importlib.import_module(f"cdp_lib.world.{n}") for n in ("simulate", "past"))
    for module in (simulating, past):
        monkeypatch.setattr(module, "CHUNK_CUSTOMERS", 40)
    monkeypatch.setattr(past, "GROUP", 1)
    shop = simulate(tmp_path, customers=120, weeks=6, seed=2)
    advance(shop, weeks=3)
    for name, key in KEYS.items():
        assert table(tmp_path, name)[key].is_unique
    entered = table(tmp_path, "truth/people")["entered_at"]
    assert (entered >= as_of(tmp_path) - 3 * WEEK).sum() > 0


# --- the law


@pytest.fixture(scope="module")
def quiet_later(quiet, tmp_path_factory):
    """The quiet world, its truth as it was, and four weeks more."""
    folder = tmp_path_factory.mktemp("later") / "shop"
    shop = copied(quiet.folder, folder)
    before = open_truth(folder)
    advance(shop, weeks=4)
    return folder, before


@pytest.fixture(scope="module")
def later_deeds(quiet_later, deeds_of, write_world):
    folder, _ = quiet_later

    class Later:
        truth = open_truth(folder)

        @staticmethod
        def table(name):
            return table(folder, name)

    return deeds_of(Later)


@pytest.mark.parametrize("event", ACTIONS)
def test_as_many_act_in_the_weeks_lived_as_the_law_says(quiet_later, later_deeds, acted, event):
    """The truth of the first span foretells them: people are independent, so the number that act
    has variance Σ p (1 − p)."""
    _, before = quiet_later
    window = (before.about["as_of"], 28)
    p = probability(before, event, *window, given="truth").dropna()
    hit = acted(later_deeds, event, window, p)
    assert not hit[p == 0].any()
    assert abs(hit.sum() - p.sum()) / np.sqrt((p * (1 - p)).sum()) < 4


@pytest.mark.parametrize("week", range(4))
def test_and_week_by_week(quiet_later, later_deeds, acted, week):
    """Most of all the first, in which carts of the first span come back."""
    folder, before = quiet_later
    start = pd.Timestamp(before.about["as_of"]) + week * WEEK
    truth = before if week == 0 else open_truth(folder)
    for event in ("visit", "purchase", "view_cart", "login"):
        p = probability(truth, event, start.isoformat(), 7, given="truth").dropna()
        hit = acted(later_deeds, event, (start.isoformat(), 7), p)
        assert abs(hit.sum() - p.sum()) / np.sqrt((p * (1 - p)).sum()) < 4


def test_newcomers_goods_and_messages_go_on(quiet_later):
    folder, before = quiet_later
    start, world = pd.Timestamp(before.about["as_of"]), before.world
    people = table(folder, "truth/people")
    n_new, a_week = (people["entered_at"] >= start).sum(), 4000 * world.newcomers_per_customer / 26
    assert abs(n_new - 4 * a_week) < 4 * np.sqrt(4 * a_week)
    # Newcomers of the four weeks open accounts as those of the four weeks before did.
    accounts = [
        people.loc[people["entered_at"].between(t, t + 4 * WEEK, "left"), "account_at"]
        for t in (start - 4 * WEEK, start)
    ]
    opened = [
        (rows < t + 4 * WEEK).sum()
        for rows, t in zip(accounts, (start - 4 * WEEK, start), strict=True)
    ]
    assert abs(opened[1] - opened[0]) < 4 * np.sqrt(sum(opened))
    # 4 % of the orders come back after 3 to 20 days, uniformly: each order counts by its chance.
    orders = table(folder, "orders")
    end, day = start + 4 * WEEK, pd.Timedelta(days=1)
    sold = orders.loc[orders["revenue"] > 0, "ordered_at"]
    share = [np.clip((t - sold) / day, 3, 20) for t in (start, end)]
    chance = world.return_share * (share[1] - share[0]) / 17
    back = orders.loc[orders["order_id"].str.startswith("r"), "ordered_at"]
    n_back = (back >= start).sum()
    assert abs(n_back - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())
    # Newsletters: all who are due, opted in and settled, once a week each way.
    sent = table(folder, "messages")
    sent["week"] = (sent["sent_at"] - start) // WEEK
    by_week = sent.groupby("week").size()
    assert by_week.loc[0:3].between(0.93 * by_week.loc[-4:-1].mean(), 1.1 * by_week.max()).all()
    lines = table(folder, "order_lines")
    assert lines["order_id"].isin(orders["order_id"]).all()
    assert orders["order_id"].isin(lines["order_id"]).all()


# --- what was sent


def outcome(folder, since) -> pd.Series:
    """Revenue by customer in the week from `since`, returns not counted."""
    orders = table(folder, "orders")
    mine = orders[orders["ordered_at"].between(since, since + WEEK, "left")]
    return mine[mine["revenue"] > 0].groupby("customer_id")["revenue"].sum()


def test_nobody_treated_is_nobody_written_to(small, tmp_path):
    units = table(small, "customers")["customer_id"]
    held = contacts(units, as_of(small), treated=False)
    advance(copied(small, tmp_path / "held"), held)
    advance(copied(small, tmp_path / "none"))
    one, other = digests(tmp_path / "held"), digests(tmp_path / "none")
    differ = {name for name in one if one[name] != other[name]}
    assert differ == {"truth/effects.parquet", "truth/campaigns.parquet"}


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """3,000 customers, half of them drawn into each of two experiments that overlap."""
    strong = (("good", Campaign("email", 0.1, 0.6, 3.0, 0.0, 0.0)),
              ("bad", Campaign("email", 0.0, 0.0, 0.0, 0.8, 0.9)))  # fmt: skip
    folder = tmp_path_factory.mktemp("answered")
    shop = simulate(folder, customers=3000, weeks=10, seed=8, params=World(audiences=strong))
    start, rng = as_of(folder), np.random.default_rng(4)
    units = table(folder, "customers")["customer_id"].sort_values().to_numpy()
    mine = [rng.random(len(units)) < 0.7 for _ in range(2)]
    sent = pd.concat(
        contacts(units[m], start, f"{name}.w", treated=rng.random(m.sum()) < 0.5)
        for name, m in zip(("good", "bad"), mine, strict=True)
    )
    shutil.copytree(folder, folder.parent / "plain")
    advance(shop, sent)
    advance(folder.parent / "plain" / "shop.toml")
    return folder, folder.parent / "plain", start


def test_both_potential_outcomes_are_what_the_orders_say(answered):
    folder, _, start = answered
    effects = table(folder, "truth/effects")
    effects = effects[effects["starts_at"] == start]
    assert set(effects["campaign_id"]) == {"good.w", "bad.w"}
    assert (effects["ends_at"] == start + WEEK).all()
    got = outcome(folder, start)
    # "bad.w" is laid first and "good.w" upon it, so the last of a customer is what happened.
    last = effects.groupby("customer_id").tail(1).set_index("customer_id")
    said = last["realised_treated"].where(last["treated"], last["realised_holdout"])
    off = (said - got.reindex(said.index).fillna(0)).abs() > 0.02
    assert off.sum() <= 2  # a visit under way when the week ends
    both = effects[effects["customer_id"].duplicated(keep=False)]
    first, second = (both[both["campaign_id"] == name].set_index("customer_id")
                     for name in ("bad.w", "good.w"))  # fmt: skip
    after = first["realised_treated"].where(first["treated"], first["realised_holdout"])
    np.testing.assert_allclose(second["realised_holdout"].loc[after.index], after, atol=0.02)


def test_the_increments_add_up_to_what_all_brought(answered):
    folder, plain, start = answered
    effects = table(folder, "truth/effects").query("starts_at == @start and treated")
    gained = (effects["realised_treated"] - effects["realised_holdout"]).sum()
    difference = outcome(folder, start).sum() - outcome(plain, start).sum()
    assert gained == pytest.approx(difference, abs=0.02 * outcome(plain, start).sum())
    told = table(folder, "truth/campaigns").set_index("campaign_id")
    by = effects["realised_treated"] - effects["realised_holdout"]
    by = by.groupby(effects["campaign_id"]).sum()
    for name in ("good.w", "bad.w"):
        assert told.loc[name, "realised_incremental_revenue"] == pytest.approx(by[name], abs=0.01)
    assert told.loc["good.w", "n_holdout"] + told.loc["good.w", "n_treated"] > 1700


def test_realised_effects_scatter_around_the_expected(answered):
    """Of each experiment: the mean over all its units, by the spread of the differences."""
    folder, _, start = answered
    effects = table(folder, "truth/effects")
    effects = effects[effects["starts_at"] == start]
    for _, rows in effects.groupby("campaign_id"):
        gap = (rows["realised_treated"] - rows["realised_holdout"]) - (
            rows["expected_treated"] - rows["expected_holdout"]
        )
        # Overlap with the other experiment bends the expectation a little: 5 % of the effect.
        allowed = 4 * gap.std() * np.sqrt(len(gap)) + 0.05 * rows["expected_treated"].sum()
        assert abs(gap.sum()) < allowed
    names = effects.groupby("campaign_id")["response"].unique()
    assert set(names["good.w"]) <= set(RESPONSES) and "persuadable" in names["good.w"]
    assert "sleeping_dog" in names["bad.w"] and "persuadable" not in names["bad.w"]


def test_arms_compared_give_the_true_effect(answered):
    """Treated less held out, by their own spread: 4 standard errors of the truth."""
    folder, _, start = answered
    effects = table(folder, "truth/effects").query("starts_at == @start")
    got = outcome(folder, start)
    for _, rows in effects.groupby("campaign_id"):
        y = got.reindex(rows["customer_id"]).fillna(0).to_numpy()
        t = rows["treated"].to_numpy()
        lift = y[t].mean() - y[~t].mean()
        se = np.sqrt(y[t].var() / t.sum() + y[~t].var() / (~t).sum())
        true = (rows["realised_treated"] - rows["realised_holdout"])[t].mean()
        assert abs(lift - true) < 4 * se


def test_a_person_responds_alike_to_each_wave_of_an_audience(small, tmp_path):
    shop = copied(small, tmp_path / "shop")
    start, units = as_of(small), table(small, "customers")["customer_id"]
    waves = [contacts(units, start, "good.w1"), contacts(units, start + WEEK, "good.w2"),
             contacts(units, start, "other.w1")]  # fmt: skip
    advance(shop, pd.concat(waves), weeks=2)
    effects = table(tmp_path / "shop", "truth/effects")
    effect = effects.pivot(index="customer_id", columns="campaign_id", values="effect")
    effect = effect.loc[units]
    assert (effect["good.w1"] == effect["good.w2"]).all()
    assert (effect["good.w1"] != effect["other.w1"]).mean() > 0.2
    messages = table(tmp_path / "shop", "messages").set_index("campaign_id")
    for name, when in (("good.w1", start), ("good.w2", start + WEEK)):
        assert (messages.loc[name, "sent_at"] == when).all()
        assert set(messages.loc[name, "customer_id"]) == set(units)


def test_who_opts_out_at_a_message_gets_no_more_newsletters_there(lived, small):
    messages = table(lived, "messages")
    out = messages.dropna(subset=["unsubscribed_at"])
    out = out[out["sent_at"] >= as_of(small)]
    assert len(out)
    later = messages.merge(out, on=["customer_id", "channel"], suffixes=("", "_out"))
    later = later[later["campaign_id"].str.startswith("newsletter")]
    assert not (later["sent_at"] > later["unsubscribed_at_out"]).any()
    customers = table(lived, "customers").set_index("customer_id")
    for row in out.itertuples():
        if row.channel != "push":
            assert not customers.loc[row.customer_id, f"{row.channel}_opt_in"]


# --- kills and refusals

KILLED = """
import os, sys, pandas as pd
from cdp_lib.world import advance, files
at, where = int(sys.argv[2]), sys.argv[3]
count = [0]
def dies(call):
    def wrapped(*args, **kwargs):
        if count[0] == at:
            os._exit(9)
        count[0] += 1
        return call(*args, **kwargs)
    return wrapped
if where == "replace":
    os.replace = dies(os.replace)
else:
    files.Writers.write = dies(files.Writers.write)
advance(sys.argv[1], pd.read_parquet(sys.argv[4]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "at", "moved"),
    [("write", 9, False), ("replace", 0, False), ("replace", 1, True), ("replace", 17, True)],
)
def test_killed_at_any_moment_the_shop_is_whole(small, sent, tmp_path, where, at, moved):
    """Moved: the new files were all there, and the next advance first puts them in place."""
    folder, rows = tmp_path / "shop", tmp_path / "sent.parquet"
    shop = copied(small, folder)
    sent.to_parquet(rows)
    run = [sys.executable, "-c", KILLED, str(shop), str(at), where, str(rows)]
    assert subprocess.run(run, check=False).returncode == 9
    if not moved:
        kept = {k: v for k, v in digests(folder).items() if not k.startswith(".next")}
        assert kept == digests(small)
    before, after = open_shop(small / "shop.toml"), open_shop(shop)
    assert after.as_of == before.as_of  # shop.toml is moved last
    for name in ("events", "orders", "customers", "messages"):
        key = before.mapped(name).contract.key
        old, new = (
            s.table(name).order_by(key).execute().reset_index(drop=True) for s in (before, after)
        )
        pd.testing.assert_frame_equal(old, new)
    advance(shop, sent)
    whole = copied(small, tmp_path / "whole")
    advance(whole, sent, weeks=2 if moved else 1)
    assert digests(folder) == digests(tmp_path / "whole")


def test_two_at_once_are_refused(small, tmp_path):
    from cdp_lib.world.files import replacing

    shop = copied(small, tmp_path / "shop")
    with replacing(tmp_path / "shop"), pytest.raises(Refusal, match="another process"):
        advance(shop)


def test_what_cannot_live_on_is_refused_and_left_alone(small, sent, tmp_path):
    folder = tmp_path / "shop"
    shop = copied(small, folder)
    before, start = digests(folder), as_of(small)
    units = table(small, "customers")["customer_id"].head(3)
    wrong = [
        ({"weeks": 0}, "weeks"),
        ({"contacts": contacts(["nobody"], start)}, "no customers of this shop"),
        ({"contacts": contacts(units, start + pd.Timedelta(hours=1))}, "lies within a week"),
        ({"contacts": pd.concat([contacts(units, start)] * 2)}, "stand twice"),
        ({"contacts": contacts(units, start).assign(channel="fax")}, "contacts.channel"),
        ({"contacts": contacts(units, start).drop(columns="audience")}, "audience"),
    ]
    for arguments, said in wrong:
        with pytest.raises(Refusal, match=said):
            advance(shop, **arguments)
    assert digests(folder) == before
    shop.write_text(shop.read_text().replace("2026-02-16", "2026-02-09"))
    with pytest.raises(Refusal, match="simulated data ends at 2026-02-16"):
        advance(shop)
    (folder / "truth" / "coming_carts.parquet").unlink()
    with pytest.raises(Refusal, match="simulate it again"):
        advance(shop)
    simulate(tmp_path / "dirty", customers=50, weeks=5, seed=1, dirt=True)
    with pytest.raises(Refusal, match="with dirt"):
        advance(tmp_path / "dirty" / "shop.toml")
    with pytest.raises(Refusal, match="no simulated shop"):
        advance(tmp_path / "shop.toml")
