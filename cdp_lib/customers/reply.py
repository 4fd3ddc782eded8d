"""On which channel a customer answers: opened or clicked messages, shrunk level by level.

In words:

- A message counts from its sending on; it is answered where it was opened (or clicked, as asked).
  A message younger than `ripe_days` at the shop's as_of is left out: its answer may still come.
- The expected answer rate of a customer on a channel has four levels, each shrunk towards the one
  before: what is usual on the channel in the shop; in the customer's segment; how much more or
  less than that the customer answers on their *other* channels; and what they did on this one.
- How strongly each is shrunk comes from the shop by moments: how far segments differ beyond
  chance, how far a customer's channels go together, how far customers differ on one channel beyond
  both. Sources: Kleinman (1973), JASA 68(341), for the beta-binomial's moments; Morris (1983), JASA
  78(381), for the levels.
- A customer who has left answers nowhere, and that pulls all their channels down alike: so a
  channel that was never tried does not look better than those that were.

Who reads on which channel is read from behaviour: *inferred* until messages are drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import MissingTable, Refusal, TooLittleData, at_least, one_of
from cdp_lib.tables import Shop
from cdp_lib.tables.placed import place

ANSWERS = ("opened", "clicked")
LEAST_WEIGHT, MOST_WEIGHT = 0.5, 1e5  # messages
STEP = 0.05  # of the grid on which a law's ends are looked up: parameters 2.5 % off at most


@dataclass(frozen=True, eq=False)
class Reply:
    """How customers answer messages, by channel.

    table: a row per customer and channel, on the engine; see `by_channel`.
    channels: a row per channel: channel, n_sent, n_answered, n_customers, answer_rate,
    weight (messages that a customer's expected rate counts as), segment_weight (that the shop's
    counts as against a segment's). together: variance of the factor by which a customer answers
    more or less than is usual, on all channels alike. answer: "opened" or "clicked".
    """

    table: Table
    channels: pd.DataFrame
    together: float
    answer: str


def by_channel(shop: Shop, **options) -> Table:
    """The answers of each customer on each channel on which they got a message.

    options: those of `read`. Out: a row per customer and channel: customer_id, channel, n_sent,
    n_answered, response, response_low, response_high (95 %), rank (1 is the best of the customer's
    channels), gain (how much higher the response is than on the customer's next channel, on
    the others than their best; null with one channel).
    """
    return read(shop, **options).table


def read(
    shop: Shop,
    answer: str = "opened",
    segments: Table | None = None,
    ripe_days: float = 3.0,
    lookback_days: float | None = 365,
) -> Reply:
    """The answers with what they were worked out from.

    segments: a table of customer_id and segment, such as the names of `rfm`; without it the shop is
    one segment. lookback_days: messages older than that don't count. Raises MissingTable without
    messages or the column asked for, TooLittleData without a message old enough.
    """
    rows = messages(shop, answer, ripe_days, lookback_days)
    cells = rows.group_by("customer_id", "channel").aggregate(
        n=_.count().cast("float64"), x=_.answered.sum().cast("float64")
    )
    if segments is not None:
        if not {"customer_id", "segment"} <= set(segments.columns):
            fix = "give customer_id and segment"
            raise Refusal("segments", list(segments.columns), "lacks a column", fix)
        named = segments.group_by("customer_id").aggregate(segment=_.segment.min())
        cells = cells.left_join(named, "customer_id").drop("customer_id_right")
        cells = cells.mutate(segment=cells.segment.coalesce("unknown"))
    else:
        cells = cells.mutate(segment=ibis.literal("everybody"))
    cells = cells.cache()
    usual = _usual(cells)
    if usual.empty:
        raise TooLittleData("messages", 0, "none is old enough", "wait until answers are in")
    schema = {"segment": "string", "channel": "string", "usual": "float64"}
    known = place(shop, usual, schema)
    cells = cells.inner_join(known, ["segment", "channel"])
    cells = cells.mutate(expected=cells.n * cells.usual)
    everywhere = ibis.window(group_by="customer_id")
    cells = cells.mutate(
        others=cells.expected.sum().over(everywhere) - cells.expected,
        others_x=cells.x.sum().over(everywhere) - cells.x,
    ).cache()
    together = _together(cells)
    factor_weight = 1 / max(together, 1 / MOST_WEIGHT)
    factor = (factor_weight + cells.others_x) / (factor_weight + cells.others)
    prior = ibis.least(ibis.greatest(cells.usual * factor, 1e-4), 1 - 1e-4)
    cells = cells.mutate(prior=prior).cache()
    weights = _weights(cells)
    channels = _channels(cells, usual).merge(weights, on="channel")
    schema = {"channel": "string", "weight": "float64"}
    asked = place(shop, weights, schema)
    return Reply(_ranked(shop, cells.inner_join(asked, "channel")), channels, together, answer)


def messages(
    shop: Shop, answer: str, ripe_days: float = 3.0, lookback_days: float | None = 365
) -> Table:
    """The messages that count: customer_id, channel, campaign_id, sent_at, answered (0 or 1).

    One that never arrived, where the shop knows, does not count.
    """
    one_of("answer", answer, ANSWERS)
    at_least("ripe_days", ripe_days, 0)
    shop.require("messages")
    if f"{answer}_at" not in shop.given("messages"):
        raise MissingTable(
            "shop", shop.name, f"messages do not say when they were {answer}",
            f"map {answer}_at in [tables.messages]",
        )  # fmt: skip
    table = shop.messages
    ripe = shop.as_of - timedelta(days=ripe_days)
    rows = table.filter(table.customer_id.notnull(), table.sent_at < ibis.literal(ripe))
    if lookback_days is not None:
        since = shop.as_of - timedelta(days=lookback_days)
        rows = rows.filter(rows.sent_at >= ibis.literal(since))
    if "delivered_at" in shop.given("messages"):
        rows = rows.filter(rows.delivered_at.notnull() | rows.opened_at.notnull())
    seen = rows[f"{answer}_at"].notnull()
    if answer == "opened" and "clicked_at" in shop.given("messages"):
        seen = seen | rows.clicked_at.notnull()
    return rows.select(
        "customer_id",
        "campaign_id",
        "sent_at",
        channel=rows.channel.lower(),
        answered=seen.cast("int64"),
    )


def _usual(cells: Table) -> pd.DataFrame:
    """The answer rate of each segment on each channel, shrunk towards the channel's in the shop.

    Out: segment, channel, usual, shop_rate, segment_weight.
    """
    found = cells.group_by("segment", "channel").aggregate(
        n=_.n.sum(), x=_.x.sum(), nn=(_.n * _.n).sum(), nx=(_.n * _.x).sum(), xx=(_.x * _.x).sum()
    )
    found = found.execute().sort_values(["channel", "segment"], ignore_index=True)
    parts = []
    for _channel, part in found.groupby("channel", sort=False):
        n, x = part.n.to_numpy(float), part.x.to_numpy(float)
        shop = (x.sum() + 0.5) / (n.sum() + 1)
        # People are the unit of sampling: the squared errors of their sums, not of messages.
        errors = (part.xx - 2 * shop * part.nx + shop**2 * part.nn).to_numpy(float)
        between = float(((x - n * shop) ** 2 - errors).sum() / (n * n).sum())
        spread = shop * (1 - shop)
        weight = min(max(spread / between - 1, LEAST_WEIGHT), MOST_WEIGHT) if between > 0 else None
        weight = MOST_WEIGHT if weight is None else weight
        usual = (weight * shop + x) / (weight + n)
        parts.append(part.assign(usual=usual, shop_rate=shop, segment_weight=weight))
    if not parts:
        return found.assign(usual=[], shop_rate=[], segment_weight=[])
    return pd.concat(parts, ignore_index=True)


def _together(cells: Table) -> float:
    """How far the channels of one customer go together: the variance of their common factor."""
    several = cells.filter(cells.others > 0)
    found = several.aggregate(
        product=((_.x - _.expected) * (_.others_x - _.others)).sum(),
        size=(_.expected * _.others).sum(),
    )
    row = found.execute().fillna(0.0).iloc[0]
    return max(float(row["product"] / row["size"]), 0.0) if row["size"] > 0 else 0.0


def _weights(cells: Table) -> pd.DataFrame:
    """How many messages a customer's expected rate counts as, by channel: channel, weight."""
    spread = cells.prior * (1 - cells.prior)
    apart = cells.x - cells.n * cells.prior
    found = cells.group_by("channel").aggregate(
        beyond=(apart * apart - cells.n * spread).sum(),
        pairs=(cells.n * (cells.n - 1) * spread).sum(),
    )
    found = found.execute().sort_values("channel", ignore_index=True)
    # A channel on which nobody got two messages is taken to be like the others together.
    pooled = found.beyond.sum() / found.pairs.sum() if found.pairs.sum() > 0 else 0.5
    alike = (found.beyond / found.pairs.where(found.pairs > 0)).fillna(pooled).to_numpy(float)
    weights = [
        min(max(1 / share - 1, LEAST_WEIGHT), MOST_WEIGHT) if share > 0 else MOST_WEIGHT
        for share in alike
    ]
    return found.assign(weight=weights)[["channel", "weight"]]


def _channels(cells: Table, usual: pd.DataFrame) -> pd.DataFrame:
    by = cells.group_by("channel").aggregate(
        n_sent=_.n.sum(), n_answered=_.x.sum(), n_customers=_.count()
    )
    found = by.execute().sort_values("n_sent", ascending=False, ignore_index=True)
    counts = ["n_sent", "n_answered", "n_customers"]
    found[counts] = found[counts].astype("int64")
    shop = usual.drop_duplicates("channel")[["channel", "segment_weight"]]
    found["answer_rate"] = found.n_answered / found.n_sent
    return found.merge(shop, on="channel")


def _ranked(shop: Shop, cells: Table) -> Table:
    a = cells.weight * cells.prior + cells.x
    b = cells.weight * (1 - cells.prior) + cells.n - cells.x
    rows = cells.select(
        "customer_id",
        "channel",
        n_sent=cells.n.cast("int64"),
        n_answered=cells.x.cast("int64"),
        response=a / (a + b),
        a_step=(a.ln() / STEP).round().cast("int64"),
        b_step=(b.ln() / STEP).round().cast("int64"),
    ).cache()
    rows = rows.inner_join(_ends(shop, rows), ["a_step", "b_step"])
    rows = rows.select(
        "customer_id",
        "channel",
        "n_sent",
        "n_answered",
        "response",
        response_low=ibis.least(rows.low, rows.response),
        response_high=ibis.greatest(rows.high, rows.response),
    )
    one = ibis.window(group_by="customer_id", order_by=[rows.response.desc(), rows.channel.asc()])
    rows = rows.mutate(rank=(ibis.row_number().over(one) + 1).cast("int64"))
    best = rows.response.max(where=rows["rank"] == 1).over(group_by=rows.customer_id)
    second = rows.response.max(where=rows["rank"] == 2).over(group_by=rows.customer_id)
    gain = ibis.ifelse(rows["rank"] == 1, rows.response - second, rows.response - best)
    return rows.mutate(gain=gain)


def _ends(shop: Shop, rows: Table) -> Table:
    """The middle 95 % of a beta law by its two parameters, on a grid that the rows lie on."""
    from scipy.special import betaincinv

    found = rows.select("a_step", "b_step").distinct().execute()
    a, b = (np.exp(found[name].to_numpy(float) * STEP) for name in ("a_step", "b_step"))
    found = found.assign(low=betaincinv(a, b, 0.025), high=betaincinv(a, b, 0.975))
    types = {"a_step": "int64", "b_step": "int64", "low": "float64", "high": "float64"}
    return place(shop, found, types)
