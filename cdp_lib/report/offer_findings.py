"""Sentences and tables on single offers: pairs, what a purchase leads to, top-ups of carts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.pairs import Pairs
from cdp_lib.behaviour.intervals import clustered_share
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing


def pair_view(pairs: Pairs, goods: Goods, n: int = 15) -> pd.DataFrame:
    """The surest pairs bought together that do not serve one need: article, goes_with, n_baskets,
    expected, lift, lift_low, lift_high."""
    found = pairs.complements().head(n)
    names = names_of(goods)
    shown = pd.DataFrame(
        {"article": names[found.a.to_numpy()], "goes_with": names[found.b.to_numpy()]}
    )
    numbers = ["n_baskets", "expected", "lift", "lift_low", "lift_high"]
    return shown.assign(**{name: found[name].to_numpy() for name in numbers})


def pair_note(pairs: Pairs) -> str:
    """How many pairs there are, and what a lift is."""
    n = len(pairs.complements())
    return (
        f"{n:,} pairs stand together in more baskets than two random lines of the same baskets "
        f"would, in {pairs.n_baskets:,} orders; of these one in twenty is expected to be chance. "
        "Lifts are shrunk where baskets are few."
    )


def trigger_parts(table: pd.DataFrame, goods: Goods) -> tuple:
    """The note on the rules, and the table of those that hold, where any does."""
    told = trigger_note(table)
    return (told, trigger_view(table, goods)) if table.trigger.any() else (told,)


def trigger_view(table: pd.DataFrame, goods: Goods, n: int = 15) -> pd.DataFrame:
    """The rules that hold: after, offer, n_buyers, n_followed, follow_rate with interval, lift,
    after_rate, days."""
    found = table[table.trigger].head(n)
    names = names_of(goods)
    shown = pd.DataFrame({"after": names[found.a.to_numpy()], "offer": names[found.b.to_numpy()]})
    numbers = ["n_buyers", "n_followed", "follow_rate", "follow_rate_low", "follow_rate_high"]
    numbers += ["lift", "after_rate", "days"]
    return shown.assign(**{name: found[name].to_numpy() for name in numbers})


def trigger_note(table: pd.DataFrame) -> str:
    """How many rules hold of those tested."""
    n = int(table.trigger.sum())
    if not n:
        return (
            f"None of {len(table):,} rules tested holds: what is bought next is a matter of taste "
            "here, and not of what was bought last."
        )
    return (
        f"{n:,} of {len(table):,} rules tested hold; of these at most one in twenty is expected to "
        "be chance."
    )


def top_up_headline(table: pd.DataFrame, threshold: float | None, currency: str = "") -> Headline:
    """How many carts short of free shipping have a relevant article that closes the gap."""
    name = "Carts short of free shipping with a fitting top-up"
    n = len(table)
    if threshold is None:
        return nothing(name, "share", "The shop names no value from which shipping is free.")
    if not n:
        return nothing(name, "share", "No cart of the last days lies short of free shipping.")
    hit = table.product_id.notna()
    hits = int(hit.sum())
    # Carts of one person are not independent: people are the clusters.
    per = hit.groupby(table.person_id).agg(["size", "sum"]).to_numpy(float)
    squares = [float(per[:, i] @ per[:, j]) for i, j in ((0, 0), (0, 1), (1, 1))]
    low, high = (float(end) for end in clustered_share(len(per), n, hits, *squares)[1:])
    worth = wording.as_text(float(table.price.sum()), "money", currency)
    dear = wording.as_text(float(table.price.median()), "money", currency) if hits else "–"
    line = wording.as_text(threshold, "money", currency)
    return Headline(
        name=name,
        value=hits / n,
        low=low,
        high=high,
        unit="share",
        n=n,
        verdict="act" if low > 0.1 else "watch",
        sentence=f"{hits:,} of {n:,} carts lie below {line} and could be topped up by one article "
        f"that goes with them; half of these cost less than {dear}, all of them together {worth}: "
        "inferred, and the most that it can bring. Offer it in the cart, and measure it against "
        "carts that see none.",
        higher_is="neutral",
    )


def top_up_view(table: pd.DataFrame, goods: Goods, n: int = 15) -> pd.DataFrame:
    """The articles that top up most carts: article, n_carts, price, gap (medians)."""
    found = table[table.product_id.notna()]
    groups = found.groupby(found.article.astype(int), sort=True)
    shown = groups.agg(
        n_carts=("cart_id", "size"), price=("price", "median"), gap=("gap", "median")
    )
    shown = shown.sort_values("n_carts", ascending=False, kind="stable").head(n)
    shown.insert(0, "top_up", names_of(goods)[shown.index.to_numpy(int)])
    return shown.reset_index(drop=True)


def names_of(goods: Goods) -> np.ndarray:
    """A name for each article: its own, else its id."""
    named = goods.table.name.where(goods.table.name.notna(), goods.table.article_id)
    return named.to_numpy(object)
