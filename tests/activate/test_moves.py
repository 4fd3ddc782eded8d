"""One move a customer: by hand, against a plain loop, and for any candidates."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_lib.activate import moves
from cdp_lib.activate.moves import BUSY, LIMIT, LOWER, PERMISSION, RULED_OUT, STOPPED, SUPPRESSED
from cdp_lib.activate.policy import read_policy
from cdp_lib.checks import Refusal

POLICY = """
[limits]
most_messages = 2
quiet_days = 1
[discount]
least_affinity = 0.5
[audience.call]
list = "service_recovery"
channels = ["service_call"]
counts = false
[audience.keep]
list = "likely_churners"
channels = ["email", "push"]
discount = "try"
[audience.cart]
list = "abandoned_carts"
channels = ["email"]
discount = "measured"
[audience.sell]
list = "cross_sell"
channels = ["push", "email"]
never_for = ["keep", "call"]
"""
NAMES = ("call", "keep", "cart", "sell")
SCHEMA = {
    "customer_id": "string", "email_opt_in": "boolean", "push_opt_in": "boolean",
    "suppressed": "boolean", "busy": "boolean", "n_messages": "int64",
    "days_since_message": "float64", "affinity": "float64",
}  # fmt: skip


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(POLICY)
    return read_policy(path)


@pytest.fixture
def tables(con, make_table):
    """`tables(asked, facts)`: candidates and facts on the engine, from plain lists and rows."""

    def make(asked, facts):
        ids = {"customer_id": "string"}
        found = {
            name: make_table(con, pd.DataFrame({"customer_id": people}), schema=ids)
            for name, people in asked.items()
        }
        rows = pd.DataFrame(facts, columns=list(SCHEMA))
        return found, make_table(con, rows, schema=SCHEMA)

    return make


def row(
    customer, email=True, push=False, suppressed=False, busy=False, n=0, days=9.0, affinity=0.9
):
    return (customer, email, push, suppressed, busy, n, days, affinity)


def read(found) -> dict:
    """(customer, audience) -> (reason, channel, discount)."""
    table = found.table.to_pandas().astype(object)
    table = table.where(table.notna(), None)
    keys = list(zip(table.customer_id, table.audience, strict=True))
    assert len(keys) == len(set(keys))
    return dict(
        zip(keys, zip(table.reason, table.channel, table.discount, strict=True), strict=True)
    )


@pytest.mark.long_on_spark
def test_each_reason_by_hand(policy, tables):
    asked = {
        "call": ["a", "b"],
        "keep": ["a", "c", "d", "p", "x"],
        "cart": ["a", "d", "e", "f", "g", "h", None, "e"],
        "sell": ["a", "c", "e", "z"],
    }
    facts = [
        row("a"), row("b", email=None, n=9, days=0.1), row("c", affinity=0.4),
        row("d", email=False), row("e"), row("f", suppressed=True), row("g", n=2),
        row("h", days=0.5), row("x", busy=True), row("p", email=False, push=True),
    ]  # fmt: skip
    found = read(moves.decide(*tables(asked, facts), policy))
    assert found == {
        ("a", "call"): (None, "service_call", False),
        ("a", "keep"): (LOWER, "email", True),
        ("a", "cart"): (LOWER, "email", False),  # no read-out says that its discount pays
        ("a", "sell"): (RULED_OUT, "email", False),
        ("b", "call"): (None, "service_call", False),  # a call is no message, and needs no consent
        ("c", "keep"): (None, "email", False),  # her affinity is too low
        ("c", "sell"): (RULED_OUT, "email", False),
        ("d", "keep"): (PERMISSION, None, True),
        ("d", "cart"): (PERMISSION, None, False),
        ("e", "cart"): (None, "email", False),
        ("e", "sell"): (LOWER, "email", False),
        ("f", "cart"): (SUPPRESSED, "email", False),
        ("g", "cart"): (LIMIT, "email", False),
        ("h", "cart"): (LIMIT, "email", False),
        ("p", "keep"): (None, "push", True),
        ("x", "keep"): (BUSY, "email", True),
        ("z", "sell"): (PERMISSION, None, False),  # nothing is known of z
    }


@pytest.mark.long_on_spark
def test_the_matrix_adds_up(policy, tables):
    asked = {"keep": ["a", "b"], "cart": ["a", "b", "c"], "sell": ["c"]}
    found = moves.decide(*tables(asked, [row("a"), row("b"), row("c")]), policy)
    table = moves.matrix(found).set_index("audience")
    assert table.loc["keep", ["n_asked", "n_got"]].tolist() == [2, 2]
    assert table.loc["cart", ["n_asked", "n_got", "n_lower_priority"]].tolist() == [3, 1, 2]
    assert table.loc["call", "n_asked"] == 0
    assert table.loc["all", ["n_asked", "n_got"]].tolist() == [3, 3]
    assert moves.outcome_table(found).values.tolist() == [
        ["keep", "keep", 2], ["cart", "keep", 2], ["cart", "cart", 1], ["sell", "cart", 1],
    ]  # fmt: skip


@pytest.mark.long_on_spark
def test_a_read_out_stops_an_audience_and_frees_or_ends_a_discount(policy, tables):
    made = tables({"keep": ["a"], "cart": ["a", "b"]}, [row("a"), row("b")])
    stopped = read(moves.decide(*made, policy, {"keep": "stop", "cart": "scale"}))
    assert stopped["a", "keep"][0] == STOPPED and stopped["a", "keep"][2] is False
    assert stopped["a", "cart"] == (None, "email", True), "what is stopped takes nobody away"


@pytest.mark.long_on_spark
def test_of_several_rows_of_a_customer_the_strictest_counts(policy, tables):
    made = tables({"cart": ["a"]}, [row("a"), row("a", email=False)])
    assert read(moves.decide(*made, policy))["a", "cart"][0] == PERMISSION


@pytest.mark.long_on_spark
def test_what_is_not_known_holds_nobody_back_and_gives_no_discount(con, make_table, policy):
    ids = make_table(con, pd.DataFrame({"customer_id": ["a"]}), schema={"customer_id": "string"})
    facts = make_table(con, pd.DataFrame({"customer_id": ["a"], "email_opt_in": [True]}))
    assert read(moves.decide({"keep": ids}, facts, policy)) == {
        ("a", "keep"): (None, "email", False)
    }


@pytest.mark.long_on_spark
def test_candidates_of_no_audience_are_refused(policy, tables):
    found, facts = tables({"keep": ["a"]}, [row("a")])
    with pytest.raises(Refusal, match="no audience of the policy"):
        moves.decide({"kept": found["keep"]}, facts, policy)
    with pytest.raises(Refusal, match="has no customer_id"):
        moves.decide({"keep": found["keep"].rename(id="customer_id")}, facts, policy)
    with pytest.raises(Refusal, match="no audience asks"):
        moves.decide({}, facts, policy)


def by_a_loop(policy, asked, facts, verdicts) -> dict:
    """The rules of `moves`, customer by customer."""
    known = {one[0]: dict(zip(list(SCHEMA)[1:], one[1:], strict=True)) for one in facts}
    found = {}
    for customer in {c for people in asked.values() for c in people if c is not None}:
        fact = known.get(customer, {})
        taken = False
        for one in policy.audiences:
            if customer not in asked.get(one.name, ()):
                continue
            open_to = [c for c in one.channels if c == "service_call" or fact.get(f"{c}_opt_in")]
            if verdicts.get(one.name) == "stop":
                reason = STOPPED
            elif any(customer in asked.get(other, ()) for other in one.never_for):
                reason = RULED_OUT
            elif not open_to:
                reason = PERMISSION
            elif fact.get("suppressed"):
                reason = SUPPRESSED
            elif fact.get("busy"):
                reason = BUSY
            elif one.counts and (
                fact.get("n_messages", 0) >= policy.most_messages
                or fact.get("days_since_message", 99) < policy.quiet_days
            ):
                reason = LIMIT
            elif taken:
                reason = LOWER
            else:
                reason, taken = None, True
            found[customer, one.name] = (reason, open_to[0] if open_to else None)
    return found


people = st.sampled_from([*"abcdefg", None])
facts_of = st.fixed_dictionaries(
    {name: st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 3),
                     st.sampled_from([0.2, 1.0, 5.0]), st.sampled_from([0.0, 0.5, 1.0]))
     for name in "abcdef"}
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    asked=st.dictionaries(st.sampled_from(NAMES), st.lists(people, max_size=9), min_size=1),
    facts=facts_of,
    verdicts=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["stop", "scale"])),
    order=st.randoms(use_true_random=False),
)
def test_any_week_is_decided_as_by_a_loop(
    policy, duckdb_con, make_table, asked, facts, verdicts, order
):
    rows = [(name, *values) for name, values in facts.items()]
    expected = by_a_loop(policy, asked, rows, verdicts)
    for shuffled in (False, True):
        if shuffled:  # neither the order of rows nor that of the lists matters
            order.shuffle(rows)
            asked = dict(reversed([(k, order.sample(v, len(v))) for k, v in asked.items()]))
        candidates = {
            name: make_table(duckdb_con, pd.DataFrame({"customer_id": ids}), f"asked_{name}",
                             {"customer_id": "string"})
            for name, ids in asked.items()
        }  # fmt: skip
        table = make_table(duckdb_con, pd.DataFrame(rows, columns=list(SCHEMA)), "facts", SCHEMA)
        decided = moves.decide(candidates, table, policy, verdicts)
        found = read(decided)
        assert {key: value[:2] for key, value in found.items()} == expected
        given_to = [customer for (customer, _), value in found.items() if value[0] is None]
        assert len(given_to) == len(set(given_to)), "nobody stands in two audiences"
        for (customer, name), (_, _, discount) in found.items():
            affinity = facts.get(customer, (0,))[-1]
            word = verdicts.get(name)
            pays = {"keep": word != "stop", "cart": word == "scale"}.get(name, False)
            assert discount == (pays and affinity >= policy.least_affinity)
