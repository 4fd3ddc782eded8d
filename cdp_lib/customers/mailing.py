"""Features of messages: how many a customer got, and what they did with them."""

from __future__ import annotations

from collections.abc import Collection

from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.ages import Span
from cdp_lib.customers.features import Formula, about, share
from cdp_lib.customers.part import Part
from cdp_lib.tables.micros import micros

PRESSURE = (7, 28, 90)
CHANNELS = ("email", "push", "sms", "whatsapp", "in_app")
DONE = {"opened": "opened", "clicked": "clicked"}


def formulas(given: Collection[str], span: Span) -> list[Formula]:
    """The features of this block for a shop whose messages have the columns `given`."""
    write = about("message", "messages")
    windows = [w for w in PRESSURE if w <= span.lookback_days]
    done = [name for name in DONE if f"{name}_at" in given]
    longest = windows[-1]
    written = [
        write(f"messages_{w}d", f"messages sent in the last {w} days", "count", _[f"sent_{w}d"])
        for w in windows
    ]
    written.append(
        write("days_since_message", "days since the last message", "days", span.days(_.last_sent))
    )
    for name in done:
        written += [
            write(f"messages_{name}_{w}d", f"messages of the last {w} days {name}", "count",
                  _[f"{name}_{w}d"])
            for w in windows[1:]
        ]  # fmt: skip
        written += [
            write(f"messages_{name}_share", f"share of the last {longest} days' messages {name}",
                  "share", share(_[f"{name}_{longest}d"], _[f"sent_{longest}d"])),
            write(f"days_since_message_{name}", f"days since a message was {name}", "days",
                  span.days(_[f"last_{name}"])),
        ]  # fmt: skip
    for channel in CHANNELS:
        written.append(
            write(f"{channel}_messages_{longest}d",
                  f"messages by {channel.replace('_', '-')} in the last {longest} days", "count",
                  _[f"{channel}_sent"])
        )  # fmt: skip
        written += [
            write(f"{channel}_{name}_share",
                  f"share of messages by {channel.replace('_', '-')} {name}, of {longest} days",
                  "share", share(_[f"{channel}_{name}"], _[f"{channel}_sent"]))
            for name in done
        ]  # fmt: skip
    if "unsubscribed_at" in given:
        written += [
            about("permissions", "messages")(
                "opt_outs", f"times opted out in the last {span.lookback_days} days", "count"
            ),
            about("permissions", "messages")(
                "days_since_opt_out", "days since the last opt-out", "days", span.days(_.last_out)
            ),
        ]
    return written


def sums(shop: Part, span: Span) -> Table:
    """Messages of the span summed up by `customer_id`, for `formulas`."""
    messages, given = shop.messages, shop.given("messages")
    windows = [w for w in PRESSURE if w <= span.lookback_days]
    rows = span.within(messages, "sent_at")
    rows = rows.mutate(us=micros(rows.sent_at), channel=rows.channel.lower())
    rows = rows.mutate(age=span.age_days(rows.us))
    sums = {"last_sent": rows.us.max()}
    done = [name for name in DONE if f"{name}_at" in given]
    for w in windows:
        inside = rows.age < w
        sums[f"sent_{w}d"] = rows.count(where=inside)
        for name in done:
            sums[f"{name}_{w}d"] = rows[f"{name}_at"].count(where=inside)
    for channel in CHANNELS:
        inside = (rows.age < windows[-1]) & (rows.channel == channel)
        sums[f"{channel}_sent"] = rows.count(where=inside)
        for name in done:
            sums[f"{channel}_{name}"] = rows[f"{name}_at"].count(where=inside)
    for name in done:
        sums[f"last_{name}"] = micros(rows[f"{name}_at"]).max()
    if "unsubscribed_at" in given:
        sums["opt_outs"] = rows.unsubscribed_at.count()
        sums["last_out"] = micros(rows.unsubscribed_at).max()
    return rows.group_by("customer_id").aggregate(**sums)
