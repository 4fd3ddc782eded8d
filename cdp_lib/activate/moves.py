"""The next move of each customer: who was asked for by what, who gets what, and why others do not.

Every audience of a policy asks for customers. One expression on the engine settles all at once:

- An audience may not have a customer for the first of these that holds: its read-out says stop; an
  audience asked for them for whose people it is not (`never_for`); no channel of it is permitted;
  the customer is suppressed, or busy in an experiment that is still open; the limit of messages is
  reached.
- Of the audiences that may have a customer the first in the policy's order gets them; to the
  others they are lost to a higher priority. So nobody stands in two audiences, and the result does
  not depend on the order of any row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import BooleanValue, StringValue, Table

from cdp_lib.activate.eligible import WITHOUT_CONSENT
from cdp_lib.activate.policy import Audience, Policy
from cdp_lib.checks import Refusal

GOT = "got"
STOPPED, RULED_OUT, PERMISSION, SUPPRESSED, BUSY, LIMIT, LOWER = REASONS = (
    "stopped", "ruled_out", "no_permission", "suppressed", "busy", "limit", "lower_priority",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Moves:
    """What was decided.

    policy: by which. table: a row per customer and audience that asked for them, on the engine:
    customer_id, audience, place (its place in the policy, from 0), channel (the first permitted,
    null without one), discount (bool: whether this customer may be given one), reason (null for
    the one move that the customer gets; else one of `REASONS`). lacking: audiences that could not
    ask, and why.
    """

    policy: Policy
    table: Table
    lacking: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> Table:
        """The moves that customers get: a row per customer at most, the columns of `table`."""
        return self.table.filter(_.reason.isnull())

    def of(self, audience: str, channel: str) -> Table:
        """Whom an audience has on a channel: customer_id, discount."""
        mine = (_.audience == audience) & (_.channel == channel)
        return self.given.filter(mine).select("customer_id", "discount")


def decide(
    candidates: Mapping[str, Table],
    facts: Table,
    policy: Policy,
    verdicts: Mapping[str, str] | None = None,
    lacking: Mapping[str, str] | None = None,
) -> Moves:
    """One move for each customer, or none.

    candidates: audience -> a table with customer_id, on the engine of `facts`; rows without one
    are nobody's. facts: what is known of customers, by customer_id: `<channel>_opt_in` (bool; a
    channel without such a column is permitted to nobody, unless it needs no consent),
    `suppressed` and `busy` (bool), `n_messages` (in the policy's `per_days`), `days_since_message`,
    `affinity` (0-1); a column that is missing holds nobody back, and gives nobody a discount. Of
    several rows of a customer the strictest counts. verdicts: audience -> the word of its read-out.
    Raises Refusal for candidates of an audience that the policy does not have, and for tables
    without customer_id.
    """
    for name, table in {**candidates, "facts": facts}.items():
        if name != "facts" and name not in policy.names:
            raise Refusal(
                "candidates", name, "is no audience of the policy",
                f"it has {', '.join(policy.names)}",
            )  # fmt: skip
        if "customer_id" not in table.columns:
            raise Refusal(name, list(table.columns), "has no customer_id", "name it customer_id")
    asking = [one for one in policy.audiences if one.name in candidates]
    if not asking:
        raise Refusal("candidates", {}, "no audience asks for anybody", "give one of the policy's")
    parts = [
        candidates[one.name]
        .select(customer_id=_.customer_id.cast("string"))
        .filter(_.customer_id.notnull())
        .distinct()
        .mutate(audience=ibis.literal(one.name), place=ibis.literal(policy.names.index(one.name)))
        for one in asking
    ]
    asked = ibis.union(*parts) if len(parts) > 1 else parts[0]
    ruling = sorted({other for one in asking for other in one.never_for if other in candidates})
    also = {f"by_{i}__": (_.audience == other).any() for i, other in enumerate(ruling)}
    known = _strictest(facts)
    rows = asked.left_join(known, "customer_id").drop("customer_id_right")
    if also:
        flags = asked.group_by("customer_id").aggregate(**also)
        rows = rows.left_join(flags, "customer_id").drop("customer_id_right")
    words = verdicts or {}
    channel = _by_audience(rows, asking, lambda one: _channel(rows, one), ibis.null("string"))
    rows = rows.mutate(channel=channel)
    reason = _by_audience(
        rows, asking, lambda one: _reason(rows, one, policy, words, ruling), ibis.null("string")
    )
    discount = _by_audience(
        rows, asking, lambda one: _discount(rows, one, policy, words), ibis.literal(False)
    )
    rows = rows.mutate(first_reason=reason, discount=discount)
    first = rows.filter(_.first_reason.isnull()).group_by("customer_id")
    rows = rows.left_join(first.aggregate(best=_.place.min()), "customer_id")
    lost = rows.first_reason.isnull() & (rows.place > rows.best)
    final = rows.select(
        *("customer_id", "audience", "place", "channel", "discount"),
        reason=ibis.ifelse(lost, LOWER, rows.first_reason),
    )
    return Moves(policy, final, dict(lacking or {}))


def matrix(moves: Moves) -> pd.DataFrame:
    """Who was asked for by what, and who got what: a row per audience in order, then "all".

    Out: audience, title, n_asked, n_got, then n_<reason> for each of `REASONS` (customers lost to
    it). In the row "all" n_asked counts each customer once, as n_got does.
    """
    named = moves.table.mutate(reason=_.reason.fill_null(GOT))
    counted = named.group_by("audience", "reason").aggregate(n=_.count()).to_pandas()
    grid = counted.pivot_table(index="audience", columns="reason", values="n", aggfunc="sum")
    grid = grid.reindex(index=moves.policy.names, columns=[GOT, *REASONS]).fillna(0).astype(int)
    whole = moves.table.aggregate(n=_.customer_id.nunique()).to_pandas().n.iloc[0]
    table = grid.add_prefix("n_").reset_index(names="audience")
    table.insert(1, "title", [moves.policy.one(name).title for name in table.audience])
    table.insert(2, "n_asked", grid.sum(axis=1).to_numpy())
    sums = table.drop(columns=["audience", "title", "n_asked"]).sum()
    return pd.concat(
        [table, pd.DataFrame([{"audience": "all", "title": "", "n_asked": int(whole), **sums}])],
        ignore_index=True,
    )


def outcome_table(moves: Moves) -> pd.DataFrame:
    """What became of those whom each audience asked for: the matrix of asked and got.

    Out: a row per pair: asked (the audience that asked), became (the audience that has them, or,
    where none has, the reason of the one that asked), n (customers); in the order of the policy.
    """
    got = moves.given.select("customer_id", got="audience")
    rows = moves.table.left_join(got, "customer_id")
    rows = rows.select(asked=rows.audience, became=ibis.coalesce(rows.got, rows.reason))
    table = rows.group_by("asked", "became").aggregate(n=_.count()).to_pandas()
    places = {name: i for i, name in enumerate([*moves.policy.names, *REASONS])}
    order = table.assign(a=table.asked.map(places), b=table.became.map(places))
    return order.sort_values(["a", "b"])[["asked", "became", "n"]].reset_index(drop=True)


def _strictest(facts: Table) -> Table:
    """A row per customer: no permission, most messages, least affinity of what is said of them."""
    sums = {}
    for name in facts.columns:
        if name.endswith("_opt_in"):
            sums[name] = facts[name].cast("boolean").fill_null(False).cast("int8").min()
        elif name in ("suppressed", "busy"):
            sums[name] = facts[name].cast("boolean").fill_null(False).cast("int8").max()
        elif name == "n_messages":
            sums[name] = facts[name].max()
        elif name in ("days_since_message", "affinity"):
            sums[name] = facts[name].min()
    grouped = facts.mutate(customer_id=facts.customer_id.cast("string")).group_by("customer_id")
    return grouped.aggregate(**sums)


def _by_audience(rows: Table, asking: list[Audience], make, other):
    return ibis.cases(*[(rows.audience == one.name, make(one)) for one in asking], else_=other)


def _channel(rows: Table, one: Audience) -> StringValue:
    """The first channel of an audience that the customer permits."""
    branches = []
    for channel in one.channels:
        if channel in WITHOUT_CONSENT:
            branches.append((ibis.literal(True), ibis.literal(channel)))
        elif f"{channel}_opt_in" in rows.columns:
            branches.append((rows[f"{channel}_opt_in"].fill_null(0) == 1, ibis.literal(channel)))
    return ibis.cases(*branches, else_=ibis.null("string")) if branches else ibis.null("string")


def _reason(
    rows: Table, one: Audience, policy: Policy, words: Mapping[str, str], ruling: list[str]
) -> StringValue:
    """The first reason, before priority, why an audience may not have a customer."""
    if one.stopped == "hold" and words.get(one.name) == "stop":
        return ibis.literal(STOPPED)
    branches: list[tuple[BooleanValue, str]] = []
    for i, other in enumerate(ruling):
        if other in one.never_for:
            branches.append((rows[f"by_{i}__"].fill_null(False), RULED_OUT))
    branches.append((rows.channel.isnull(), PERMISSION))
    for name in (SUPPRESSED, BUSY):
        if name in rows.columns:
            branches.append((rows[name].fill_null(0) == 1, name))
    if one.counts:
        if policy.most_messages and "n_messages" in rows.columns:
            branches.append((rows.n_messages.fill_null(0) >= policy.most_messages, LIMIT))
        if policy.quiet_days and "days_since_message" in rows.columns:
            quiet = rows.days_since_message < policy.quiet_days
            branches.append((quiet.fill_null(False), LIMIT))
    return ibis.cases(*branches, else_=ibis.null("string"))


def _discount(rows: Table, one: Audience, policy: Policy, words: Mapping[str, str]) -> BooleanValue:
    """Whether a customer of an audience may be given a discount."""
    word = words.get(one.name, "")
    pays = {"never": False, "try": word != "stop", "measured": word == "scale"}[one.discount]
    if not pays or "affinity" not in rows.columns:
        return ibis.literal(False)
    return (rows.affinity >= policy.least_affinity).fill_null(False)
