"""Features of what was bought: different products and kinds of them, pieces, and what came back."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.ages import Span, amount, money, total
from cdp_lib.customers.browsing import KINDS
from cdp_lib.customers.features import Formula, about, beside, share
from cdp_lib.customers.part import Part
from cdp_lib.customers.visiting import commonest
from cdp_lib.tables.micros import micros


def formulas(kinds: Collection[str], windows: Sequence[int]) -> list[Formula]:
    """The features of this block; `kinds` are the columns of `KINDS` that the products have."""
    write, longest = about("products", "order_lines"), max(windows)
    back = about("returns", "order_lines")
    written = [
        *(
            write(f"products_bought_{w}d", f"different products bought in the last {w} days",
                  "count")
            for w in windows[1:]
        ),
        write("products_bought_ever", "different products bought ever", "count"),
        write(f"pieces_bought_{longest}d", f"pieces bought in the last {longest} days", "count"),
        write("most_buys_of_a_product", "orders of the product ordered most", "count"),
        about("money", "order_lines")(
            "piece_price_mean", f"price of a piece bought in the last {longest} days, on average",
            "money", amount(_.worth) / _[f"pieces_bought_{longest}d"].nullif(0),
        ),
        back(f"pieces_returned_{longest}d", f"pieces returned in the last {longest} days", "count"),
        back("pieces_returned_share", f"share of the last {longest} days' pieces returned",
             "share", share(_[f"pieces_returned_{longest}d"], _[f"pieces_bought_{longest}d"])),
    ]  # fmt: skip
    for kind in kinds:
        written += [
            write(f"{KINDS[kind]}_bought_ever", f"different {KINDS[kind]} bought ever", "count"),
            write(f"main_{kind}_bought", f"{kind} bought most", "category"),
        ]
    return written


def sums(shop: Part, kinds: Sequence[str], windows: Sequence[int], span: Span) -> Table:
    """Order lines summed up by `customer_id`, for `formulas`; a line below 0 pieces came back."""
    orders = shop.orders.filter(shop.orders.customer_id.notnull())
    whose = orders.select("order_id", "ordered_at", owner_id="customer_id")
    rows = shop.order_lines.select("order_id", "product_id", "quantity", "unit_price")
    rows = rows.inner_join(whose, "order_id")
    rows = rows.mutate(age=span.age_days(micros(rows.ordered_at)))
    longest = max(windows)
    bought, recent = rows.quantity > 0, rows.age < longest
    seen = rows.group_by("owner_id", "product_id").aggregate(
        n=rows.order_id.nunique(where=bought),
        age=rows.age.min(where=bought),
        pieces=total(rows.quantity, bought & recent).coalesce(0),
        returned=total(-rows.quantity, (rows.quantity < 0) & recent).coalesce(0),
        worth=total(money(rows.unit_price) * rows.quantity, bought & recent).coalesce(0),
    )
    sums = {f"products_bought_{w}d": seen.count(where=seen.age < w) for w in windows[1:]}
    sums["products_bought_ever"] = seen.count(where=seen.n > 0)
    sums["most_buys_of_a_product"] = seen.n.max()
    sums[f"pieces_bought_{longest}d"] = total(seen.pieces)
    sums[f"pieces_returned_{longest}d"] = total(seen.returned)
    sums["worth"] = total(seen.worth)
    tables = [seen.group_by("owner_id").aggregate(**sums)]
    if kinds:
        known = shop.products.select("product_id", *kinds)
        sold = seen.filter(seen.n > 0).inner_join(known, "product_id")
    for kind in kinds:
        by_kind = sold.filter(sold[kind].notnull()).group_by("owner_id", kind)
        by_kind = by_kind.aggregate(n=total(_.n))
        spread = by_kind.group_by("owner_id").aggregate(**{f"{KINDS[kind]}_bought_ever": _.count()})
        tables += [spread, commonest(by_kind, kind, f"main_{kind}_bought")]
    return beside(*tables).rename(customer_id="owner_id")
