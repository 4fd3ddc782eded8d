"""The audiences of a week: each leaves with its holdout, or says why it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from ibis.expr.types import Table

from cdp_lib.activate.audience import Export, export
from cdp_lib.checks import MissingTable, TooLittleData
from cdp_lib.tables import Shop


@dataclass(frozen=True)
class NotSent:
    """An audience that this shop cannot send. name: of the audience. why: what is lacking."""

    name: str
    why: str


def send_all(
    shop: Shop,
    lists: Mapping[str, Table | pd.DataFrame],
    channel: str = "email",
    holdout: float = 0.1,
    send: bool = False,
    **options,
) -> tuple[Export | NotSent, ...]:
    """Send each list as an audience of its name, or plan it, where `send` is False.

    lists: tables with customer_id, by the audience's name. options: those of `audience.export`,
    the same for all. What has left this week already stays as it left, also where the list has
    changed since: nobody is drawn twice. A shop that cannot tell who gave consent sends nothing.
    """
    found = []
    for name, customers in lists.items():
        try:
            found.append(
                export(
                    shop, customers, name, channel, holdout, send=send, if_sent="keep", **options
                )
            )
        except (MissingTable, TooLittleData) as lack:
            found.append(NotSent(name, f"{lack.place}: {lack.problem}"))
    return tuple(found)
