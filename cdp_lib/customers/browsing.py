"""Features of products looked at: how many, of how many kinds, and which kind most."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.actions import owned
from cdp_lib.customers.ages import Span, total
from cdp_lib.customers.features import Formula, about, beside, share
from cdp_lib.customers.part import Part
from cdp_lib.customers.visiting import commonest

KINDS = {"category": "categories", "brand": "brands"}


def formulas(kinds: Collection[str], windows: Sequence[int]) -> list[Formula]:
    """The features of this block; `kinds` are the columns of `KINDS` that the products have."""
    write, longest = about("products", "events"), max(windows)
    written = [
        write(f"products_viewed_{w}d", f"different products viewed in the last {w} days", "count")
        for w in windows
    ]
    written += [
        write("products_in_cart", f"different products put in the cart in {longest} days", "count"),
        write("most_views_of_a_product", "views of the product viewed most", "count"),
        write("days_since_new_product", "whole days since a product was first viewed", "days"),
    ]
    for kind in kinds:
        words = KINDS[kind]
        written += [
            write(f"{words}_viewed_{w}d", f"different {words} viewed in the last {w} days", "count")
            for w in windows[1:]
        ]
        written += [
            write(f"main_{kind}_viewed", f"{kind} viewed most", "category"),
            write(
                f"main_{kind}_viewed_share", f"share of product views in the {kind} viewed most",
                "share", share(_[f"most_{kind}"], _[f"all_{kind}"]),
            ),
        ]  # fmt: skip
    return written


def sums(shop: Part, kinds: Sequence[str], windows: Sequence[int], span: Span) -> Table:
    """The events of the span summed up by `customer_id`, for `formulas`."""
    viewed, added = (
        owned(shop, span, ["product_id"], [event]).filter(_.product_id.notnull())
        for event in ("view_item", "add_to_cart")
    )
    seen = viewed.group_by("owner_id", "product_id")
    seen = seen.aggregate(n=_.count(), us=_.us.max(), first=_.us.min())
    sums = {f"products_viewed_{w}d": seen.count(where=span.last(seen.us, w)) for w in windows}
    sums["most_views_of_a_product"] = seen.n.max()
    sums["days_since_new_product"] = span.age_days(seen["first"].max())
    looked = seen.group_by("owner_id").aggregate(**sums)
    added = added.select("owner_id", "product_id").distinct()
    added = added.group_by("owner_id").aggregate(products_in_cart=_.count())
    anybody = looked.select("owner_id").union(added.select("owner_id"), distinct=True)
    tables = [anybody, looked, added]
    if kinds:
        known = seen.inner_join(shop.products.select("product_id", *kinds), "product_id")
    for kind in kinds:
        by_kind = known.filter(known[kind].notnull()).group_by("owner_id", kind)
        by_kind = by_kind.aggregate(n=total(_.n), us=_.us.max())
        sums = {
            f"{KINDS[kind]}_viewed_{w}d": by_kind.count(where=span.last(by_kind.us, w))
            for w in windows[1:]
        }
        sums |= {f"most_{kind}": by_kind.n.max(), f"all_{kind}": total(by_kind.n)}
        tables.append(by_kind.group_by("owner_id").aggregate(**sums))
        tables.append(commonest(by_kind, kind, f"main_{kind}_viewed"))
    return beside(*tables).rename(customer_id="owner_id")
