"""Features of the customers' own table: attributes, permissions, and every further column.

A further column of texts is a category where it has few values; a number stays a number, unless
it numbers the customers. Ids, hashes, contacts, free texts and instants are no features.
"""

from __future__ import annotations

from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.ages import Span
from cdp_lib.customers.features import Formula, about
from cdp_lib.customers.part import Part
from cdp_lib.tables import Shop
from cdp_lib.tables.micros import micros

MAX_VALUES = 50
WORDS = {
    "gender": "gender", "education": "education", "marital_status": "marital status",
    "city": "home city", "country": "home country",
}  # fmt: skip
CHANNELS = {"email": "mailed", "push": "sent push messages", "sms": "sent SMS",
            "whatsapp": "sent WhatsApp messages"}  # fmt: skip


def formulas(shop: Shop, span: Span, extras: dict[str, str]) -> list[Formula]:
    """The features of this block. extras: `kept_extras`, by name to unit."""
    given = shop.given("customers")
    dated = "valid_from" in given
    write = about("attributes", "customers", dated)
    written = [
        Formula(
            about("attributes", "customers")("has_account", "has an account", "yes/no").feature,
            _.customer_id.notnull(),
            False,
        )
    ]
    if "created_at" in given:
        written.append(
            about("tenure", "customers")(
                "tenure_days", "days since the account was made", "days", span.days(_.created_us)
            )
        )
    if "birth_year" in given:
        age = (span.cutoff.year - _.birth_year).cast("float64")
        written.append(write("age_years", "age in years", "number", age))
    written += [write(name, words, "category") for name, words in WORDS.items() if name in given]
    for name, words in (("email_sha256", "mail address"), ("phone_sha256", "phone number")):
        if name in given:
            short = f"has_{name.removesuffix('_sha256')}"
            written.append(write(short, f"a {words} is known", "yes/no", _[name].notnull()))
    for channel, words in CHANNELS.items():
        name = f"{channel}_opt_in"
        if name in given:
            known = dated or _tells(shop, channel)
            written.append(
                about("permissions", "customers", known)(name, f"may be {words}", "yes/no")
            )
    taken = {formula.feature.name for formula in written}
    for name, unit in extras.items():
        feature = f"{name}_attribute" if name in taken else name
        written.append(write(feature, f"{name.replace('_', ' ')} as told", unit, _[name]))
    return written


def _tells(shop: Shop, channel: str) -> bool:
    """Whether the shop's logs tell when a permission of the channel was changed."""
    opted = shop.has("messages") and "unsubscribed_at" in shop.given("messages")
    return opted or (channel == "push" and shop.has("events"))


def kept_extras(customers: Table, names: tuple[str, ...]) -> dict[str, str]:
    """The further columns that make features, by name to unit; one query counts their values."""
    kinds = {name: customers.schema()[name] for name in names}
    asked = {name for name, kind in kinds.items() if kind.is_string() or kind.is_integer()}
    counts = {}
    if asked:
        sums = {f"n_{i}": customers[name].count() for i, name in enumerate(sorted(asked))}
        sums |= {f"d_{i}": customers[name].nunique() for i, name in enumerate(sorted(asked))}
        row = customers.aggregate(**sums).to_pyarrow().to_pylist()[0]
        counts = {name: (row[f"n_{i}"], row[f"d_{i}"]) for i, name in enumerate(sorted(asked))}
    kept = {}
    for name, kind in kinds.items():
        n, different = counts.get(name, (0, 0))
        if kind.is_string() and different <= MAX_VALUES and 2 * different <= n:
            kept[name] = "category"
        elif kind.is_boolean():
            kept[name] = "yes/no"
        elif kind.is_floating() or kind.is_decimal() or (kind.is_integer() and different < n):
            kept[name] = "number"
    return kept


def sums(shop: Part) -> Table:
    """The customers, a row each, with `created_us` for their first instant."""
    customers = shop.customers
    return customers.mutate(created_us=micros(customers.created_at))
