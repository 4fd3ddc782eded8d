"""The moves of a week leave as experiments that share no customer, whatever is run again."""

import json
from datetime import datetime

import pandas as pd
import pytest
from small_shop import people, write_shop

from cdp_lib.activate import moves, sending
from cdp_lib.activate.facts import facts
from cdp_lib.activate.ledger import ledger_of
from cdp_lib.activate.ledger_check import problems
from cdp_lib.activate.outgoing import NotSent
from cdp_lib.activate.policy import LAYER, read_policy
from cdp_lib.checks import Refusal
from cdp_lib.tables import open_shop

POLICY = """
[limits]
most_messages = 2
[audience.call]
list = "service_recovery"
channels = ["service_call"]
counts = false
window_days = 28
[audience.keep]
list = "likely_churners"
channels = ["email", "push"]
discount = "try"
incentive_cost = 5.0
contact_cost = 1.0
[audience.cart]
list = "abandoned_carts"
holdout = 0
why_no_holdout = "a recall"
[audience.sell]
list = "cross_sell"
"""


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY)
    return read_policy(tmp_path / "policy.toml")


@pytest.fixture
def path(tmp_path):
    frame = people(300).assign(push_opt_in=True)
    frame.loc[frame.index >= 250, "email_opt_in"] = False
    return write_shop(tmp_path / "shop", frame)


def decided(shop, policy, **ids):
    found = {
        name: shop.con.create_table(
            f"asked_{name}", pd.DataFrame({"customer_id": [f"c{n:04d}" for n in who]}),
            temp=True, overwrite=True,
        )
        for name, who in ids.items()
    }  # fmt: skip
    return moves.decide(found, facts(shop, policy), policy, lacking={"sell": "no orders"})


ASKED = {"call": range(20), "keep": range(300), "cart": range(100, 200)}


def test_each_customer_stands_in_one_experiment(path, policy):
    shop = open_shop(path)
    more = pd.DataFrame({"customer_id": [f"c{n:04d}" for n in range(20)], "reason": "late"})
    week = decided(shop, policy, **ASKED)
    sent = sending.send_moves(shop, week, 0.2, send=True, columns={"call": more})
    assert [one.name for one in sent] == ["call", "keep", "keep_push", "cart", "sell"]
    assert isinstance(sent[-1], NotSent) and sent[-1].why == "no orders"
    ledger = ledger_of(shop)
    rows = ledger.experiments().set_index("audience")
    assert problems(ledger).empty and ledger.assignments().unit_id.is_unique
    assert set(rows.layer) == {LAYER} and "cart" not in rows.index, "all its people are kept"
    assert rows.loc["call", "window_days"] == 28 and rows.loc["keep", "incentive_cost"] == 5
    counts = {one.name: (one.n_customers, one.n_holdout > 0) for one in sent[:3]}
    assert counts == {"call": (20, True), "keep": (230, True), "keep_push": (50, True)}
    file = pd.read_csv(next(p for p in sent[0].paths if p.suffix == ".csv"))
    assert len(file) == sent[0].n_treated and set(file.reason) == {"late"}
    held = set(ledger.assignments("call.2026-W48").query("arm == 'holdout'").unit_id)
    assert held and not held & set(file.customer_id), "who is held out is not called"
    keep = pd.read_csv(next(p for p in sent[1].paths if p.suffix == ".csv"))
    assert keep.discount.tolist() == [False] * len(keep), "no affinity is known"


def test_the_same_week_again_sends_nobody_twice(path, policy):
    shop = open_shop(path)
    sending.send_moves(shop, decided(shop, policy, **ASKED), 0.2, send=True)
    before = ledger_of(shop).assignments()
    # The lists have changed since: those who had a move keep it and get no other.
    changed = {"call": range(100, 140), "keep": range(20, 100), "cart": range(0, 20)}
    again = sending.send_moves(open_shop(path), decided(shop, policy, **changed), 0.2, send=True)
    after = ledger_of(shop).assignments()
    assert after.unit_id.is_unique and len(after) >= len(before)
    assert {one.status for one in again if not isinstance(one, NotSent)} <= {
        "sent before",
        "planned",
    }
    cart = next(one for one in again if one.name == "cart")
    assert cart.n_elsewhere == 20, "the ledger too keeps them out"


def test_who_is_still_measured_is_busy_next_week(path, policy):
    shop = open_shop(path)
    sending.send_moves(shop, decided(shop, policy, **ASKED), 0.2, send=True)
    text = path.read_text().replace("2026-11-23", "2026-11-30")
    path.write_text(text)
    later = open_shop(path)
    assert later.as_of == datetime(2026, 11, 30)
    known = facts(later, policy).to_pandas().set_index("customer_id")
    called = set(ledger_of(later).assignments("call.2026-W48").unit_id)
    assert set(known.index[known.busy.fillna(False).astype(bool)]) == called
    sent = ledger_of(later).deliveries().unit_id
    assert known.n_messages.sum() == len(sent) and set(known.index[known.n_messages > 0]) == set(
        sent
    )
    assert known.days_since_message.dropna().eq(7).all()
    table = moves.matrix(decided(later, policy, **ASKED)).set_index("audience")
    assert table.loc["all", "n_got"] == 280
    assert table.loc["call", "n_busy"] == 20 and table.loc["call", "n_got"] == 0


def test_a_message_of_a_wave_counts_once_and_others_beside(path, policy, tmp_path):
    shop = open_shop(path)
    sending.send_moves(shop, decided(shop, policy, keep=range(10)), 0.2, send=True)
    wave = ledger_of(shop).deliveries()
    rows = pd.DataFrame(
        {
            "message_id": ["m1", "m2", "m3"],
            "campaign_id": [wave.experiment_id[0], "newsletter", "newsletter"],
            "customer_id": [wave.unit_id[0], wave.unit_id[0], "c0200"],
            "channel": "email",
            "sent_at": pd.to_datetime(["2026-11-23 00:00", "2026-11-29 12:00", "2026-11-22 00:00"]),
        }
    )
    rows["sent_at"] = rows.sent_at.astype("datetime64[us]")
    rows.to_parquet(path.parent / "messages.parquet", index=False)
    text = path.read_text().replace("2026-11-23", "2026-11-30")
    path.write_text(f'{text}\n[tables.messages]\npath = "messages.parquet"\n')
    known = facts(open_shop(path), policy, suppressed=["c0007"]).to_pandas()
    known = known.set_index("customer_id")
    assert known.loc[wave.unit_id[0], ["n_messages", "days_since_message"]].tolist() == [2, 0.5]
    assert known.loc["c0200", "n_messages"] != known.loc["c0200", "n_messages"], "long ago"
    assert known.index[known.suppressed.fillna(False).astype(bool)].tolist() == ["c0007"]
    assert json.loads(ledger_of(shop).experiments().arms[0])["holdout"] == 0.2


def test_an_unknown_audience_to_send_is_refused(path, policy):
    shop = open_shop(path)
    with pytest.raises(Refusal, match="did you mean 'keep'"):
        sending.send_moves(shop, decided(shop, policy, **ASKED), only=["kep"])
