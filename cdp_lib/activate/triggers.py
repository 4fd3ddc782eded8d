"""What a purchase leads to: articles bought in a later order, days after the first.

A rule A → B needs two things. Buyers of A go on to B more often than buyers of anything do (the
lift). And they buy B after A more often than B before A: who likes both buys them in either order,
so taste alone gives a half (sequence symmetry: Hallas 1996, Epidemiology 7). The second is tested,
and of all rules tested the share of false ones is held at 5 % (Benjamini and Hochberg 1995). It is
still behaviour that is read, not an experiment: where sales of B rise, B seems to come after.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import numpy as np
import pandas as pd
from ibis import _

from cdp_lib.activate.goods import Goods, purchases
from cdp_lib.activate.pairs import SAME_NEED, alike
from cdp_lib.behaviour.intervals import wilson
from cdp_lib.checks import above, at_least
from cdp_lib.customers.ages import DAY
from cdp_lib.tables import Shop
from cdp_lib.tables.micros import micros
from cdp_lib.tables.placed import place

MOST_ARTICLES = 300
LEAST_CUSTOMERS = 20
FALSE_RATE = 0.05
COLUMNS = ["a", "b", "n_buyers", "n_followed", "follow_rate", "follow_rate_low", "follow_rate_high"]
COLUMNS += ["lift", "n_before", "after_rate", "after_rate_low", "after_rate_high", "days", "pvalue"]
COLUMNS += ["trigger"]


def trigger_table(
    shop: Shop,
    goods: Goods,
    window_days: float = 30,
    most: int = MOST_ARTICLES,
    same_need: Collection[str] = SAME_NEED,
) -> pd.DataFrame:
    """Rules A → B among the `most` most bought articles, the surest first.

    Reads purchases whose window of `window_days` is over at `shop.as_of`. Rules that fewer than 20
    customers follow in either order, and pairs that serve one need, are not tested.

    Out: a row per rule tested: a, b (article indices), n_buyers (customers who bought A),
    n_followed (of them those who bought B in a later order within the window), follow_rate with
    _low and _high, lift (follow_rate over that of buyers of anything), n_before (customers who
    bought B and then A), after_rate (n_followed of both orders) with _low and _high, days (median
    from A to B), pvalue (one-sided, of either order being as likely), trigger (passes both
    needs).
    """
    above("window_days", window_days, 0)
    at_least("most", most, 2)
    ours = goods.table.head(most).article_id
    index = pd.Series(np.arange(len(ours)), index=ours)
    lines = purchases(shop)
    lines = lines.select("customer_id", "article_id", us=micros(lines.ordered_at))
    kept = place(shop, pd.DataFrame({"article_id": ours}), {"article_id": "string"})
    lines = lines.semi_join(kept, "article_id")
    lines = lines.distinct().cache()
    over = shop.as_of - timedelta(days=window_days)
    closed = int((over - pd.Timestamp(1970, 1, 1)) / timedelta(microseconds=1))
    begun, later = lines.filter(_.us < closed), lines.view()
    buyers = begun.group_by("article_id").agg(n=_.customer_id.nunique()).execute()
    n_any = int(begun.customer_id.nunique().execute())
    follow = begun.join(
        later,
        [
            begun.customer_id == later.customer_id,
            later.us > begun.us,
            later.us <= begun.us + int(window_days * DAY),
        ],
    )
    follow = follow.select(
        customer=begun.customer_id,
        first=begun.article_id,
        second=later.article_id,
        gap=later.us - begun.us,
    )
    each = follow.group_by("customer", "first", "second").agg(gap=_.gap.min()).cache()
    counts = each.group_by("first", "second").agg(n=_.count(), gap=_.gap.median()).execute()
    base = each.group_by("second").agg(n=_.customer.nunique()).execute()
    rows = pd.DataFrame(
        {
            "a": index.reindex(counts["first"]).to_numpy(),
            "b": index.reindex(counts["second"]).to_numpy(),
            "n_followed": counts.n.to_numpy(int),
            "days": counts.gap.to_numpy(float) / DAY,
        }
    )
    n_buyers = pd.Series(buyers.n.to_numpy(), index=index.reindex(buyers.article_id).to_numpy())
    followed_any = pd.Series(base.n.to_numpy(), index=index.reindex(base["second"]).to_numpy())
    return _tested(rows, goods, n_buyers, followed_any / max(n_any, 1), same_need)


def _tested(rows, goods, n_buyers, any_rate, same_need) -> pd.DataFrame:
    from scipy.stats import binom, false_discovery_control

    rows = rows[rows.a != rows.b]
    back = rows[["a", "b", "n_followed"]].rename(
        columns={"a": "b", "b": "a", "n_followed": "n_before"}
    )
    rows = rows.merge(back, on=["a", "b"], how="left").fillna({"n_before": 0})
    rows = rows.astype({"a": int, "b": int, "n_before": int})
    both = rows.n_followed + rows.n_before
    other = ~alike(goods, rows.a.to_numpy(), rows.b.to_numpy(), same_need)
    rows = rows[(both >= LEAST_CUSTOMERS) & other].reset_index(drop=True)
    both = rows.n_followed + rows.n_before
    rows["n_buyers"] = n_buyers.reindex(rows.a).to_numpy(int)
    rows["follow_rate"] = rows.n_followed / rows.n_buyers
    rows["follow_rate_low"], rows["follow_rate_high"] = wilson(rows.n_followed, rows.n_buyers)
    usual = any_rate.reindex(rows.b).to_numpy(float)
    rows["lift"] = rows.follow_rate / usual
    rows["after_rate"] = rows.n_followed / both
    rows["after_rate_low"], rows["after_rate_high"] = wilson(rows.n_followed, both)
    rows["pvalue"] = binom.sf(rows.n_followed - 1, both, 0.5)
    false = false_discovery_control(rows.pvalue) if len(rows) else np.empty(0)
    rows["trigger"] = (false <= FALSE_RATE) & (rows.follow_rate_low > usual)
    rows = rows.sort_values(["trigger", "pvalue", "a", "b"], ascending=[False, True, True, True])
    return rows[COLUMNS].reset_index(drop=True)
