"""What is predicted: does, or does not do, an event within a horizon, for customers at risk.

The label window is [cutoff, cutoff + horizon), half-open, and must be over at `as_of`; all that is
known of it by now counts, rows that came in late too. Who is at risk is judged from what was known
at the cutoff: a newcomer of the label window is in no population, and nobody counts as gone
because the observation ended. `acts` says which rows are an event and whose they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, at_least, one_of
from cdp_lib.customers import profile
from cdp_lib.customers.ages import Span
from cdp_lib.customers.daily import visit_days
from cdp_lib.customers.part import Part
from cdp_lib.predict.acts import acts, app_holders, check_event
from cdp_lib.predict.cutoffs import cutoffs
from cdp_lib.predict.horizon import Horizon, default_horizon
from cdp_lib.predict.span import data_span
from cdp_lib.tables import Shop
from cdp_lib.windows import Window, instant, require_closed

__all__ = ["Horizon", "Outcome", "at_risk", "churn", "default_horizon", "label_table"]

POPULATIONS = ("active", "known")
_DOES = {"purchase": "buys", "visit": "visits", "use_coupon": "uses a coupon",
         "app_remove": "removes the app"}  # fmt: skip
_NOT = {"purchase": "no purchase", "visit": "no visit", "use_coupon": "no coupon used",
        "app_remove": "keeps the app"}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Does (or does not do) an event within a horizon, among customers at risk.

    event: an event of the log, or purchase, visit, use_coupon. horizon_days: whole days of the
    label window. happens: the label is 1 where the event happens; else where it does not.
    population: "active", those who did `active_event` within [cutoff - active_days, cutoff), or
    "known", every customer of the profile at the cutoff. For app_remove, of these only those
    who have the app.
    """

    event: str = "purchase"
    horizon_days: int = 30
    happens: bool = True
    population: str = "active"
    active_event: str = "purchase"
    active_days: int = 365

    def __post_init__(self) -> None:
        one_of("population", self.population, POPULATIONS)
        for place in ("event", "active_event"):
            if not isinstance(getattr(self, place), str) or not getattr(self, place):
                raise Refusal(place, getattr(self, place), "not a name", 'write "purchase"')
        for place in ("horizon_days", "active_days"):
            days = getattr(self, place)
            if isinstance(days, bool) or int(days) != days:
                raise Refusal(place, days, "not a whole number of days", "write 30")
            at_least(place, days, 1)

    @property
    def name(self) -> str:
        """The outcome in words.

        >>> Outcome("purchase", 7).name
        'buys within 7 days'
        >>> Outcome("purchase", 90, happens=False).name
        'no purchase within 90 days'
        """
        words = _DOES if self.happens else _NOT
        other = f"does {self.event}" if self.happens else f"no {self.event}"
        unit = "day" if self.horizon_days == 1 else "days"
        return f"{words.get(self.event, other)} within {self.horizon_days} {unit}"

    @property
    def who(self) -> str:
        """The population at risk in words."""
        if self.population == "known":
            base = "every customer known before the cutoff"
        else:
            did = {"purchase": "bought", "visit": "visited", "use_coupon": "used a coupon"}.get(
                self.active_event, f"did {self.active_event}"
            )
            base = f"customers who {did} in the {self.active_days} days before the cutoff"
        return base + (" and have the app" if self.event == "app_remove" else "")

    def label_window(self, cutoff: datetime) -> Window:
        """[cutoff, cutoff + horizon)."""
        return Window(cutoff, cutoff + timedelta(days=int(self.horizon_days)))


def churn(
    shop: Shop,
    event: str = "purchase",
    horizon_days: int | None = None,
    active_days: int | None = None,
) -> Outcome:
    """The outcome that means leaving: no `event` within the horizon among those active before.

    The horizon comes from the shop's own gaps between purchases (or visits) where none is given;
    see `default_horizon`. Active means: did `event` in the `active_days` before the cutoff; where
    none are given, as far as the oldest training cutoff can look back, at least the horizon and
    at most 365 days, so that the population is of one kind at every cutoff. "app_remove" is
    leaving by itself: it happens, among those who have the app and visited. Raises Refusal for an
    event that the shop cannot show and for a history that is too short.
    """
    check_event(shop, event)
    removal = event == "app_remove"
    if horizon_days is None:
        horizon_days = 30 if removal else default_horizon(shop, event).days
    outcome = Outcome(
        event,
        horizon_days,
        happens=removal,
        active_event="visit" if removal else event,
        active_days=365 if active_days is None else active_days,
    )
    if active_days is None:
        oldest = cutoffs(shop, outcome).train[0]
        seen = (oldest - data_span(shop, outcome.active_event).start).days
        outcome = replace(outcome, active_days=max(horizon_days, min(365, seen)))
    return outcome


def at_risk(shop: Shop, outcome: Outcome, cutoff: str | date | datetime) -> Table:
    """The population at risk at a cutoff, as the shop was known then: `customer_id`, distinct.

    Raises Refusal for a cutoff after the shop's `as_of` and an event that it cannot show.
    """
    cutoff = instant(cutoff, "cutoff")
    past = shop.at(cutoff)
    since = cutoff - timedelta(days=int(outcome.active_days))
    if outcome.population == "known":
        people = profile.as_of(shop, cutoff).select("customer_id")
    else:
        check_event(shop, outcome.active_event)
        if outcome.active_event == "visit":
            visited = visit_days(Part(past), Span(cutoff, int(outcome.active_days)))
            people = visited.filter(visited.n_actions > 0).select(customer_id="owner_id")
        else:
            people = acts(past, outcome.active_event, since, cutoff).select("customer_id")
        people = people.distinct()
    if outcome.event == "app_remove":
        people = people.semi_join(app_holders(past, since, cutoff), "customer_id")
    return people


def label_table(shop: Shop, outcome: Outcome, cutoff: str | date | datetime) -> Table:
    """The label of everybody at risk at a cutoff.

    Out: a row per customer of `at_risk`: `customer_id`, `label` (int8; 1 where the outcome comes
    true in [cutoff, cutoff + horizon)). Raises Refusal for an event that the shop cannot show
    and for a window that is not over at the shop's `as_of`, naming the date to wait for.
    """
    check_event(shop, outcome.event)
    window = outcome.label_window(instant(cutoff, "cutoff"))
    require_closed(window, shop.as_of, "as_of")
    did = acts(shop, outcome.event, window.start, window.end).select("customer_id").distinct()
    joined = at_risk(shop, outcome, window.start).left_join(
        did.mutate(did__=ibis.literal(True)), "customer_id"
    )
    label = _.did__.notnull() if outcome.happens else _.did__.isnull()
    return joined.select("customer_id", label=label.cast("int8"))
