"""What discounts cost on purchases that would have come without one.

Two readings, and the second is the better where there is one:

- *Inferred*: a customer needs a discount on the share of their purchases that is their affinity.
  So of the discounts they used the rest, 1 − affinity, was given away. Who uses a coupon when there
  is one may not have needed it, so this errs to the low side.
- *Measured*: in an experiment with a discount, those held out show how many purchases come anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _

from cdp_lib.checks import above
from cdp_lib.customers.ages import DAY, total
from cdp_lib.customers.discounts import Discounts, purchases
from cdp_lib.normal import Z
from cdp_lib.tables import Shop
from cdp_lib.tables.micros import micros


@dataclass(frozen=True)
class GivenAway:
    """Discounts of the last `days`, in the shop's currency, and the part that was not needed.

    n_customers: who used one. n_orders, n_discounted: purchases. discount: given in all. anyway,
    anyway_low, anyway_high: of it, what was given on purchases that would have come without, with
    the 95 % interval of what is not known of the customers' affinities. share, share_low,
    share_high: of `discount`; NaN where none was given.
    """

    days: float
    n_customers: int
    n_orders: int
    n_discounted: int
    discount: float
    anyway: float
    anyway_low: float
    anyway_high: float

    @property
    def share(self) -> float:
        """The part given away, as a share of the discounts."""
        return self.anyway / self.discount if self.discount else float("nan")

    @property
    def share_low(self) -> float:
        """The lower end of the share."""
        return self.anyway_low / self.discount if self.discount else float("nan")

    @property
    def share_high(self) -> float:
        """The upper end of the share."""
        return self.anyway_high / self.discount if self.discount else float("nan")


def inferred(shop: Shop, habits: Discounts, days: float = 365.0) -> GivenAway:
    """The discounts of the last `days` that customers would not have needed, by their affinity.

    habits: `discounts.read` of the same shop.
    """
    above("days", days, 0)
    rows = purchases(shop)
    rows = rows.filter(rows.ordered_at >= ibis.literal(shop.as_of - timedelta(days=days)))
    by = rows.group_by("customer_id").aggregate(
        n=_.count(), k=total(_.discounted), given=_.discount.sum()
    )
    law = habits.prior
    known = habits.table.select("customer_id", "affinity", "n_orders")
    joined = by.inner_join(known, "customer_id")
    kept = 1 - joined.affinity
    # How far a customer's affinity may be off, and how far all may be off together.
    worth = law.weight + joined.n_orders
    spread = joined.given * joined.given * joined.affinity * kept / (worth + 1)
    found = joined.aggregate(
        n_customers=(joined.given > 0).sum(), n=joined.n.sum(), k=joined.k.sum(),
        given=joined.given.sum(), anyway=(joined.given * kept).sum(), spread=spread.sum(),
        together=(joined.given * law.weight / worth).sum(),
    ).execute().fillna(0.0).iloc[0]  # fmt: skip
    se = float(np.sqrt(found.spread + (found.together * np.nan_to_num(law.mean_se)) ** 2))
    ends = np.clip([found.anyway - Z * se, found.anyway + Z * se], 0.0, found.given)
    return GivenAway(
        days, int(found.n_customers), int(found.n), int(found.k), float(found.given),
        float(found.anyway), float(ends[0]), float(ends[1]),
    )  # fmt: skip


def by_affinity(shop: Shop, habits: Discounts, days: float = 365.0) -> pd.DataFrame:
    """Buyers of the last `days` by how many of their purchases need a discount.

    Out: a row per band of affinity, cut at half, once and twice the shop's own mean: affinity_from,
    affinity_to, n_customers, n_orders, discounted_rate, discount (money given), anyway (of it, by
    `inferred`).
    """
    above("days", days, 0)
    rows = purchases(shop)
    rows = rows.filter(rows.ordered_at >= ibis.literal(shop.as_of - timedelta(days=days)))
    by = rows.group_by("customer_id").aggregate(
        n=_.count(), k=total(_.discounted), given=_.discount.sum()
    )
    joined = by.inner_join(habits.table.select("customer_id", "affinity"), "customer_id")
    mean = habits.prior.mean
    edges = [0.0, mean / 2, mean, min(2 * mean, 1.0), 1.0]
    band = sum((joined.affinity >= edge).cast("int64") for edge in edges[1:4])
    found = joined.mutate(band=band).group_by("band").aggregate(
        n_customers=_.count(), n_orders=_.n.sum(), n_discounted=_.k.sum(), discount=_.given.sum(),
        anyway=(_.given * (1 - _.affinity)).sum(),
    ).execute().sort_values("band", ignore_index=True)  # fmt: skip
    found["affinity_from"] = [edges[int(at)] for at in found.band]
    found["affinity_to"] = [edges[int(at) + 1] for at in found.band]
    found["discounted_rate"] = (found.n_discounted / found.n_orders).astype(float)
    counts = ["n_customers", "n_orders"]
    found[counts] = found[counts].astype("int64")
    columns = ["affinity_from", "affinity_to", *counts, "discounted_rate", "discount", "anyway"]
    return found[columns]


def by_experiment(shop: Shop, window_days: float = 7.0) -> pd.DataFrame:
    """The discounts that each arm of the shop's experiments got within so many days of its draw.

    Out: a row per experiment and arm: experiment_id, arm, n_units, n_orders, n_discounted, discount
    (money), discounted_rate (of orders; null without). Raises MissingTable without assignments or
    orders that tell of discounts.
    """
    above("window_days", window_days, 0)
    shop.require("assignments")
    units = shop.assignments.select("experiment_id", "arm", "assigned_at", customer_id="unit_id")
    drawn = units.group_by("experiment_id", "arm").aggregate(n_units=_.count()).execute()
    joined = purchases(shop).inner_join(units, "customer_id")
    age = micros(joined.ordered_at) - micros(joined.assigned_at)
    inside = joined.filter(age >= 0, age < round(window_days * DAY))
    sums = inside.group_by("experiment_id", "arm").aggregate(
        n_orders=_.count(), n_discounted=total(_.discounted), discount=_.discount.sum()
    )
    table = drawn.merge(sums.execute(), how="left", on=["experiment_id", "arm"])
    counts = ["n_units", "n_orders", "n_discounted"]
    table[counts] = table[counts].fillna(0).astype("int64")
    table["discount"] = table.discount.fillna(0.0).astype(float)
    rate = table.n_discounted / table.n_orders.where(table.n_orders > 0)
    table["discounted_rate"] = rate.astype(float)
    return table.sort_values(["experiment_id", "arm"], ignore_index=True)


def measured(discounts: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    """The part of an arm's discounts that went to purchases that the held-out show come anyway.

    discounts: `by_experiment`. orders: a row per experiment and arm, of a read-out by intention to
    treat: experiment_id, arm, control, rel_lift, rel_low, rel_high (of orders a unit). Out: a row
    per arm in which a larger part of the orders is discounted than in its control: experiment_id,
    arm, n_units, n_discounted, discount, anyway_share, anyway_share_low, anyway_share_high, anyway,
    anyway_low, anyway_high (money). An arm whose lift is not known is left out.
    """
    table = discounts.merge(orders, on=["experiment_id", "arm"])
    held = discounts[["experiment_id", "arm", "discounted_rate"]]
    held = held.rename(columns={"arm": "control", "discounted_rate": "held_rate"})
    table = table.merge(held, on=["experiment_id", "control"], how="left")
    # Beyond chance: a shop without any offer has arms that differ a little.
    rate, usual = table.discounted_rate, table.held_rate.fillna(0.0)
    noise = np.sqrt((rate * (1 - rate) / table.n_orders.where(table.n_orders > 0)).astype(float))
    table = table[(rate - usual > 3 * noise) & table.rel_lift.notna() & (table.discount > 0)]
    for name, lift in (("", "rel_lift"), ("_low", "rel_high"), ("_high", "rel_low")):
        # One held out may order more often than one who is treated; all came anyway, then.
        share = (1 / (1 + table[lift])).clip(0, 1)
        table = table.assign(**{f"anyway_share{name}": share,
                                f"anyway{name}": share * table.discount})  # fmt: skip
    shares = ["anyway_share", "anyway_share_low", "anyway_share_high"]
    money = ["anyway", "anyway_low", "anyway_high"]
    columns = ["experiment_id", "arm", "n_units", "n_discounted", "discount", *shares, *money]
    return table[columns].reset_index(drop=True)
