"""What goes with leaving, cause by cause: inferred from the log, not proven.

A cause of abandonment is read from where carts stop. A *driver* is something that carts have or
have not (a shipping cost was shown, the buyer was a guest). Among the carts that reached the
step at which a cause bites, its effect is the difference in the share left there, between carts
with and without it, compared only between carts that are alike in device, in new or returning
people, in guest or known, in size, and in being short of free shipping (`ALIKE`; a driver is
not held alike with itself).

That is a linear probability model with a constant per stratum of like carts; the interval is
clustered by person (CR1; Cameron and Miller 2015 doi:10.3368/jhr.50.2.317). Nobody drew at
random who was a guest, so every row is *inferred*: an experiment may say otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.cart_rates import WAS_LEFT, money_table, share_table
from cdp_lib.behaviour.cart_states import Carts
from cdp_lib.behaviour.cart_sums import STEPS
from cdp_lib.normal import Z

BASIS = "inferred"
ALIKE = ("device_type", "returning", "guest", "size", "short")
NEEDED = {"short": "a free-shipping threshold", "value": "price", "n_errors": "error"}
CAUSES = {
    "account": "An account is asked for before one can buy",
    "extra_costs": "Shipping or other costs appear late",
    "long_checkout": "The checkout is long or fails",
    "trust": "The shop is not trusted with a payment",
    "low_intent": "There was little intent to buy",
}


@dataclass(frozen=True)
class Driver:
    """A feature of a cart that may make people leave.

    cause: a key of `CAUSES`. name: in words. reached: the step a cart must have reached to be
    compared. stops: the furthest steps that count as left there. exposed: cart table to boolean,
    null where it cannot be told. needs: columns without which nothing can be said. held: what is
    not to be held alike, being the driver itself.
    """

    cause: str
    name: str
    reached: str
    stops: tuple[str, ...]
    exposed: Callable[[Table], ibis.expr.types.BooleanValue]
    needs: tuple[str, ...]
    held: tuple[str, ...] = ()


DRIVERS = (
    Driver("account", "Guest at checkout", "begin_checkout", ("begin_checkout", "account"),
           lambda t: t.guest, ("checkout_at",), ("guest",)),
    Driver("extra_costs", "A shipping cost is shown", "add_shipping_info",
           ("add_shipping_info",), lambda t: t.shipping_cost > 0, ("shipping_cost",),
           ("size", "short")),
    Driver("extra_costs", "Short of free shipping", "add_shipping_info", ("add_shipping_info",),
           lambda t: t.short == 1, ("short",), ("size", "short")),
    Driver("extra_costs", "Shipping is a tenth of the goods or more", "add_shipping_info",
           ("add_shipping_info",), lambda t: t.shipping_cost >= 0.1 * t.value,
           ("shipping_cost", "value"), ("size", "short")),
    Driver("long_checkout", "An error is shown", "add_shipping_info", ("add_shipping_info",),
           lambda t: t.n_errors > 0, ("n_errors",)),
    Driver("long_checkout", "On a phone", "add_shipping_info", ("add_shipping_info",),
           lambda t: t.device_type == "mobile", ("device_type",), ("device_type",)),
    Driver("trust", "First visit seen of this person", "add_payment_info", ("add_payment_info",),
           lambda t: ~t.returning, ("returning",), ("returning",)),
    Driver("low_intent", "One piece, of a value in the lowest fifth", "add_to_cart",
           ("add_to_cart", "view_cart"), lambda t: (t.n_items == 1) & (t.size <= 1), ("value",),
           ("size",)),
)  # fmt: skip


def driver_table(
    carts: Carts,
    free_shipping_threshold: float | None = None,
    drivers: tuple[Driver, ...] = DRIVERS,
) -> pd.DataFrame:
    """The effect of each driver on leaving, with its interval; every row is inferred.

    The threshold is in the shop's currency; without one, being short of it holds nothing alike.
    Out: a row per driver: cause, driver, n_carts (compared), n_exposed, n_people, rate_exposed,
    rate_other (share left at the step), effect (difference of shares between like carts, 0.1 =
    10 points), effect_low, effect_high, carts_at_stake (effect x n_exposed) with _low and _high,
    basis ("inferred"), note (why nothing can be said, where so: the effect is then NaN).
    """
    table = _compared(carts, free_shipping_threshold)
    present = _present(table, drivers)
    rows = []
    for driver in drivers:
        row = {"cause": driver.cause, "driver": driver.name}
        missing = [NEEDED.get(c, c) for c in driver.needs if c not in present]
        if driver.reached not in carts.steps:
            missing.append(driver.reached)
        if missing:
            rows.append(row | _nothing(f"cannot tell: needs {', '.join(missing)}"))
        else:
            rows.append(row | _effect(table, driver))
    return pd.DataFrame(rows).assign(basis=BASIS)


def cause_table(carts: Carts) -> pd.DataFrame:
    """The causes of left carts, read from the step at which they were first left.

    In the cart or viewing it: low intent. Starting the checkout as a guest: the account. At
    shipping: a long checkout where the last thing shown was an error, extra costs otherwise. At
    payment: trust. Known people who begin the checkout and go no further: unclear. Out: a row
    per cause that the log's steps can show: cause, meaning, n_carts, share (of left carts),
    share_low, share_high, n_people, value, basis ("inferred").
    """
    left = carts.table.filter(WAS_LEFT)
    account = "begin_checkout" if "account" in carts.steps else "nothing"
    cause = ibis.cases(
        (_.left_step.isin(["add_to_cart", "view_cart"]), "low_intent"),
        (_.left_step == account, "account"),
        ((_.left_step == "add_shipping_info") & _.left_on_error, "long_checkout"),
        (_.left_step == "add_shipping_info", "extra_costs"),
        (_.left_step == "add_payment_info", "trust"),
        else_="unclear",
    )
    left = left.mutate(cause=cause)
    causes = [*CAUSES, "unclear"]
    shares = share_table(left, {name: _.cause == name for name in causes})
    shares = shares.rename(columns={"hit": "cause", "n_hit": "n_carts", "low": "share_low"})
    shares = shares.rename(columns={"high": "share_high"})
    shares["n_people"] = shares.n_people_hit
    money = money_table(left, {"value": _.value}, by="cause").set_index("cause").total
    shares["value"] = shares.cause.map(money).astype(float)
    shares["meaning"] = shares.cause.map(CAUSES | {"unclear": "The log does not tell"})
    columns = ["cause", "meaning", "n_carts", "share", "share_low", "share_high", "n_people"]
    seen = shares.n_carts > 0
    return shares[seen][[*columns, "value"]].assign(basis=BASIS).reset_index(drop=True)


def _compared(carts: Carts, threshold: float | None) -> Table:
    """Carts whose fate is known, with their size (0 to 9 for a tenth each by value) and short."""
    table = carts.table.filter((_.state != "open") & (_.state != "emptied"))
    tenths = {f"q{i}": table.value.quantile(i / 10) for i in range(1, 10)}
    bounds = table.agg(**tenths).execute().iloc[0].dropna()
    bands = [(table.value > float(bound)).cast("int64") for bound in bounds]
    # Without a threshold no cart is short of it, and none can be said not to be.
    short = ibis.null("int64") if threshold is None else (table.value < threshold).cast("int64")
    return table.mutate(
        size=sum(bands, ibis.literal(0)) if bands else ibis.null("int64"), short=short
    )


def _present(table: Table, drivers: tuple[Driver, ...]) -> set[str]:
    """The columns that hold anything at all; errors count when any cart shows one."""
    needed = sorted({column for driver in drivers for column in driver.needs})
    some = {
        c: table[c].notnull().any() if c != "n_errors" else (table[c] > 0).any() for c in needed
    }
    found = table.agg(**some).execute().iloc[0]
    return {column for column in needed if bool(found[column])}


def _effect(table: Table, driver: Driver) -> dict:
    far = [step for step in STEPS if STEPS.index(step) >= STEPS.index(driver.reached)]
    strata = [column for column in ALIKE if column not in driver.held]
    rows = table.filter(_.furthest_step.isin(far)).mutate(
        exposed=driver.exposed(table).cast("float64"),
        stopped=(_.left_step.isin(driver.stops).coalesce(False)).cast("float64"),
    )
    rows = rows.filter(_.exposed.notnull()).select("person_id", "exposed", "stopped", *strata)
    alike = ibis.window(group_by=strata)
    # Each stratum's means taken off, what is left is one regression through the origin.
    rows = rows.mutate(
        x=_.exposed - _.exposed.mean().over(alike), y=_.stopped - _.stopped.mean().over(alike)
    )
    people = rows.group_by("person_id").agg(xx=(_.x * _.x).sum(), xy=(_.x * _.y).sum())
    sums = people.agg(
        n=_.count(), xx=_.xx.sum(), xy=_.xy.sum(),
        a=(_.xy * _.xy).sum(), b=(_.xx * _.xy).sum(), c=(_.xx * _.xx).sum(),
    ).execute().iloc[0]  # fmt: skip
    arms = rows.group_by("exposed").agg(n=_.count(), rate=_.stopped.mean()).execute()
    arms = arms.set_index("exposed").reindex([0.0, 1.0])
    counts = arms.n.fillna(0).astype(int)
    if not counts.all() or sums.n < 2 or not sums.xx > 1e-9:
        return _nothing("cannot tell: all carts are alike in this")
    effect = sums.xy / sums.xx
    scores = sums.a - 2 * effect * sums.b + effect**2 * sums.c
    half = Z * np.sqrt(max(scores, 0.0) * sums.n / (sums.n - 1)) / sums.xx
    row = {
        "n_carts": int(counts.sum()),
        "n_exposed": int(counts[1.0]),
        "n_people": int(sums.n),
        "rate_exposed": float(arms.rate[1.0]),
        "rate_other": float(arms.rate[0.0]),
    }
    ends = {"": effect, "_low": effect - half, "_high": effect + half}
    row |= {f"effect{end}": float(value) for end, value in ends.items()}
    row |= {f"carts_at_stake{end}": float(v * counts[1.0]) for end, v in ends.items()}
    return row | {"note": ""}


def _nothing(note: str) -> dict:
    figures = ["rate_exposed", "rate_other"]
    figures += [f"{f}{end}" for f in ("effect", "carts_at_stake") for end in ("", "_low", "_high")]
    return (
        dict.fromkeys(("n_carts", "n_exposed", "n_people"), 0)
        | dict.fromkeys(figures, np.nan)
        | {"note": note}
    )
