"""Sentences and tables on channels: which one, at which hour, and what claims are worth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from ibis import _

from cdp_lib.customers.reply import Reply
from cdp_lib.customers.reply_hours import ALPHA, Hours
from cdp_lib.lift.readout import Readout
from cdp_lib.normal import Z
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing
from cdp_lib.tables import Shop

CLAIMS = (  # claim, channel, over which other channel, published
    ("E-mail returns so many for each one spent", "email", "", 40.0),
    ("WhatsApp brings so many times what e-mail does, a message", "whatsapp", "email", 4.0),
)


def channel_name(channel: str) -> str:
    """A channel as people write it.

    >>> channel_name("email"), channel_name("in_app"), channel_name("sms")
    ('e-mail', 'in-app', 'SMS')
    """
    known = {"email": "e-mail", "sms": "SMS", "whatsapp": "WhatsApp"}
    return known.get(channel, channel.replace("_", "-"))


def channel_table(one: Reply) -> pd.DataFrame:
    """How each channel is answered, and for how many it is the best.

    Out: a row per channel: channel, n_sent, n_customers, answer_rate, n_compared (customers who got
    messages on another channel too), best_share (of these, for whom it is the best), gain (how much
    higher their answer rate is on it than on the next), gain_low, gain_high.
    """
    rows = one.table.filter(one.table.gain.notnull())
    first = rows["rank"] == 1
    found = rows.group_by("channel").aggregate(
        n_compared=rows.count(), n_best=first.sum(), gain=rows.gain.mean(where=first),
        squares=(rows.gain * rows.gain).mean(where=first),
    ).execute()  # fmt: skip
    table = one.channels[["channel", "n_sent", "n_customers", "answer_rate"]]
    table = table.merge(found, on="channel", how="left")
    table["n_compared"] = table.n_compared.fillna(0).astype("int64")
    n_best = table.n_best.fillna(0).astype(float)
    table["best_share"] = n_best / table.n_compared.where(table.n_compared > 0)
    se = np.sqrt((table.squares - table.gain**2).clip(lower=0) / n_best.where(n_best > 1))
    table["gain_low"], table["gain_high"] = table.gain - Z * se, table.gain + Z * se
    columns = ["channel", "n_sent", "n_customers", "answer_rate", "n_compared", "best_share"]
    return table[[*columns, "gain", "gain_low", "gain_high"]]


def channel_view(table: pd.DataFrame) -> pd.DataFrame:
    """The channels as people read them."""
    return table.assign(channel=[channel_name(one) for one in table.channel])


def channel_headline(one: Reply) -> Headline:
    """What is won by writing to each customer on the channel that they answer best (inferred)."""
    name = "Answers won by writing on each customer's best channel (inferred)"
    most = one.channels.channel.iloc[0]
    rows = one.table.filter(one.table.gain.notnull())
    by = rows.group_by("customer_id").aggregate(
        best=_.response.max(), usual=_.response.max(where=_.channel == most)
    )
    by = by.filter(by.usual.notnull()).mutate(won=_.best - _.usual)
    found = by.aggregate(n=_.count(), won=_.won.mean(), squares=(_.won * _.won).mean(),
                         n_other=(_.won > 0).sum()).execute().iloc[0]  # fmt: skip
    n, usual = int(found.n), channel_name(most)
    if n < 2:
        return nothing(name, "points", "Too few customers got messages on two channels.")
    se = math.sqrt(max(found.squares - found.won**2, 0.0) / n)
    share = wording.as_text(found.n_other / n, "share")
    return Headline(
        name=name,
        value=float(found.won),
        low=float(found.won) - Z * se,
        high=float(found.won) + Z * se,
        unit="points",
        n=n,
        verdict="watch" if found.won - Z * se > 0.005 else "good",
        sentence=f"Over {usual}, among customers with another channel too; for {share} of them "
        f"another one is better. Read from who {one.answer} what, shrunk: draw the channel at "
        "random for some to measure it.",
        higher_is="better",
    )


def hour_headline(hours: Hours) -> Headline:
    """Whether the hour of sending matters, for all or for each."""
    table = hours.table.dropna(subset=["difference"])
    name = "Best hour of sending, over the others"
    if table.empty:
        said = "Every batch went out within one hour, so hours cannot be compared: vary them."
        return nothing(name, "points", said)
    best = table.loc[table.difference.idxmax()]
    clear = hours.pvalue < ALPHA
    own = hours.own_pvalue < ALPHA and hours.best is not None
    told = (
        f"Hours differ for all alike (p = {hours.pvalue:.2g})."
        if clear
        else f"No evidence that the hour matters (p = {hours.pvalue:.2g})."
    )
    personal = (
        f" Customers have hours of their own (p = {hours.own_pvalue:.2g})."
        if own
        else f" No evidence that customers have hours of their own (p = {hours.own_pvalue:.2g})."
        if math.isfinite(hours.own_pvalue)
        else " Nobody got enough messages at several hours to have one of their own."
    )
    span = ", ".join(sorted({f"{int(hour):02d}" for hour in table.hour}))
    return Headline(
        name=name,
        value=best.difference,
        low=best.difference_low,
        high=best.difference_high,
        unit="points",
        n=int(best.n_customers),
        verdict="watch" if clear or own else "cannot tell",
        sentence=f"{told}{personal} Only the hours {span} (UTC) were compared; the best of these: "
        f"{int(best.hour):02d}, by {channel_name(best.channel)}.",
        higher_is="neutral",
    )


def hour_view(hours: Hours) -> pd.DataFrame:
    """The hours that can be compared, a row each, for `charts_of_spread.effect_chart`."""
    table = hours.table.dropna(subset=["difference"])
    names = [f"{channel_name(row.channel)}, {int(row.hour):02d}:00" for row in table.itertuples()]
    columns = ["n_sent", "n_customers", "answer_rate", "difference", "difference_low",
               "difference_high"]  # fmt: skip
    return pd.DataFrame({"sent": names}).join(table[columns].reset_index(drop=True))


def claim_table(readouts: list[Readout], shop: Shop, contact_cost: float) -> pd.DataFrame:
    """Published figures on channels beside what this shop's experiments measured.

    Out: a row per claim: claim, published, own, own_low, own_high (95 %; null where no experiment
    tells), basis.
    """
    earned = _earned(readouts, shop)
    rows = []
    for claim, channel, other, published in CLAIMS:
        if other:
            own = _ratio(earned.get(channel), earned.get(other))
        else:
            value = earned.get(channel)
            own = (math.nan,) * 3
            if value is not None and contact_cost > 0:
                own = tuple((value[0] + z * value[1]) / contact_cost for z in (0, -Z, Z))
        asked = [name for name in (channel, other) if name]
        if math.isfinite(own[0]):
            told = "measured against those held out"
        elif all(name in earned for name in asked) and other:
            told = f"cannot tell: {channel_name(other)} may bring nothing to compare with"
        else:
            told = "not measured here"
        rows.append((claim, published, *own, told))
    return pd.DataFrame(rows, columns=["claim", "published", "own", "own_low", "own_high", "basis"])


def _earned(readouts: list[Readout], shop: Shop) -> dict[str, tuple[float, float]]:
    """Revenue a message more by channel, with its standard error, over all its campaigns."""
    if not shop.has("messages"):
        return {}
    sent = shop.messages.group_by("campaign_id").aggregate(channel=_.channel.lower().min())
    channels = dict(sent.execute().itertuples(index=False, name=None))
    sums: dict[str, list[tuple[float, float, float]]] = {}
    for one in readouts:
        effects = one.effects[one.effects.metric == "revenue"]
        channel = channels.get(one.experiment.experiment_id)
        if channel is None or any(v.word == "refused" for v in one.verdicts.values()):
            continue
        for row in effects.itertuples():
            if math.isfinite(row.se):
                part = (row.n_treated, row.abs_lift * row.n_treated, row.se * row.n_treated)
                sums.setdefault(channel, []).append(part)
    return {
        channel: (sum(p[1] for p in parts) / sum(p[0] for p in parts),
                  math.sqrt(sum(p[2] ** 2 for p in parts)) / sum(p[0] for p in parts))
        for channel, parts in sums.items()
    }  # fmt: skip


def _ratio(above: tuple | None, below: tuple | None) -> tuple[float, float, float]:
    """A ratio with Fieller's interval; null where the lower one may be nothing."""
    if above is None or below is None or below[0] <= Z * below[1]:
        return (math.nan,) * 3
    (a, sa), (b, sb) = above, below
    square = 1 - (Z * sb / b) ** 2
    half = Z / b * math.sqrt(sa**2 * square + (a / b) ** 2 * sb**2)
    return a / b, (a / b - half) / square, (a / b + half) / square


def limits(plan: str = "") -> str:
    """What would change this answer, in sentences. plan: the experiment on sending; "": none."""
    cause = (
        f"Plans of sending were drawn at random in {plan}; what it shows is caused."
        if plan
        else "Contact pressure is associational here: draw plans of sending at random."
    )
    return (
        "An opened message is not money. Who reads where is inferred; a test of channels would "
        f"overturn it. {cause} Hours are UTC. Affinity is read from discounts used, and who uses "
        "one may not have needed it."
    )
