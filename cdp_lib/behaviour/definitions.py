"""The usual definitions of a lost cart beside the one truth, counted on the same log."""

import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.cart_rates import WAS_LEFT, share_table
from cdp_lib.behaviour.cart_states import Carts


def definition_table(carts: Carts, journeys: Table) -> pd.DataFrame:
    """How many carts, sessions or people are lost, by each usual definition.

    In: the carts and the `Shop.journeys` they were read from. Out: a row per definition, the
    one truth first: definition, unit (cart, session, person, order), n_units, n_lost, rate,
    rate_low, rate_high (95 %, people as clusters; NaN where the figure is no share of units),
    why (one sentence on how it differs from the one truth).
    """
    table = carts.table
    hours = f"{carts.idle_hours:g} hours"
    decided = table.filter(_.state != "open")
    sold = _.state.isin(["bought", "bought_later"])
    rows = [
        _row(
            f"Cart abandoned: idle for {hours}, not bought or emptied so far",
            "cart",
            decided,
            _.state == "abandoned",
            "The one truth used everywhere here; open carts are not counted yet.",
        ),
        _row(
            f"Cart left for {hours}, whatever came later",
            "cart",
            decided,
            WAS_LEFT,
            "Also counts carts that came back and were bought.",
        ),
        _row(
            "Cart not bought so far",
            "cart",
            table,
            ~sold,
            "Also counts carts that are still open and carts that were emptied on purpose.",
        ),
    ]
    if "begin_checkout" in carts.steps:
        rows.append(
            _row(
                "Checkout begun, not bought so far",
                "cart",
                table.filter(_.checkout_at.notnull()),
                ~sold,
                "Leaves out the carts that never got to the checkout.",
            )
        )
    cut = journeys.filter(journeys.occurred_at < carts.as_of)
    cut = cut.filter(_.event.isin(["add_to_cart", "purchase"]))
    added, bought = (_.event == "add_to_cart").any(), (_.event == "purchase").any()
    sessions = cut.group_by("person_id", "session_id").agg(added=added, bought=bought)
    people = cut.group_by("person_id").agg(added=added, bought=bought)
    rows += [
        _row(
            "Session with an add to cart and no purchase",
            "session",
            sessions.filter(_.added),
            ~_.bought,
            "Counts a cart as lost when it is bought in a later session, and a cart over "
            "several sessions more than once.",
        ),
        _row(
            "Person who added to a cart and never bought",
            "person",
            people.filter(_.added),
            ~_.bought,
            "Forgives every lost cart of a person who bought once.",
        ),
        _orders(carts),
    ]
    return pd.DataFrame(rows)


def _row(definition: str, unit: str, units: Table, lost, why: str) -> dict:
    counted = share_table(units, {"lost": lost}).iloc[0]
    return {
        "definition": definition,
        "unit": unit,
        "n_units": int(counted.n),
        "n_lost": int(counted.n_hit),
        "rate": counted.share,
        "rate_low": counted.low,
        "rate_high": counted.high,
        "why": why,
    }


def _orders(carts: Carts) -> dict:
    """One less orders over carts, as shop dashboards have it; below 0 where carts go unrecorded."""
    counts = carts.table.agg(n=_.count(), sold=_.bought_at.notnull().sum()).execute().iloc[0]
    n_carts, alone = int(counts.n), carts.n_purchases_without_cart
    lost = n_carts - int(counts.sold or 0) - alone
    return {
        "definition": "One less purchases over carts",
        "unit": "order",
        "n_units": n_carts,
        "n_lost": lost,
        "rate": lost / n_carts if n_carts else float("nan"),
        "rate_low": float("nan"),
        "rate_high": float("nan"),
        "why": f"Sets {alone:,} purchases with no recorded cart against carts that were lost.",
    }
