"""Who asks for whom this week: the lists of the workbench, made into candidates of the policy.

Each list comes from one place: carts and browses from the log, likely churners from their study,
segments from the catalogue, prospects from the look-alikes. A list that a shop cannot make is named
with what it lacks, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd
from ibis.expr.types import Table

from cdp_lib.activate import lookalike, reach, recovery
from cdp_lib.activate.lists import read_list
from cdp_lib.activate.lookalike import Lookalikes
from cdp_lib.activate.policy import Audience, Policy
from cdp_lib.behaviour import cart_lists, carts
from cdp_lib.behaviour.cart_states import Carts
from cdp_lib.checks import MissingTable, Refusal, TooLittleData, one_of
from cdp_lib.customers import profile
from cdp_lib.customers.catalogue import load
from cdp_lib.customers.portrait import portrait
from cdp_lib.customers.segments import entry, members
from cdp_lib.predict import study
from cdp_lib.predict.outcome import churn
from cdp_lib.report.joined import joined
from cdp_lib.report.score_lists import list_name
from cdp_lib.tables import Shop
from cdp_lib.tables.placed import place

WHO = {"customer_id": "string"}
CHURN = "05_churn"  # the notebook whose list of likely churners is taken where it has been written
LEAST_DROP = 0.05  # of the price seen, from which a lower price is news
BOUGHT_DAYS = (3, 14)  # days since the last order in which something that goes with it is offered
LACKS = (MissingTable, TooLittleData)


@dataclass(frozen=True, eq=False)
class Sources:
    """Where candidates come from; what is asked for twice is worked out once.

    shop, policy. only: audiences that may ask (none: all of the policy). lists: the folder in which
    `CHURN` may have left its list. list_days: how far carts and browses reach back. horizon_days:
    of the look-alikes (0: the usual). seeds: those to compare (none: all). reach: share of the
    prospects to ask for. segments: path of the shop's own catalogue. costs: of the churn study
    (contact_cost, saved_share, incentive_cost).
    """

    shop: Shop
    policy: Policy
    only: tuple[str, ...] = ()
    lists: str = ""
    list_days: float = 7.0
    horizon_days: int = 0
    seeds: tuple[str, ...] = ()
    reach: float = 0.1
    segments: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def profile(self) -> Table:
        """Everybody's features at the end of the data, kept by the engine."""
        if self.shop.has("events"):
            self.shop.keep()
        return profile.as_of(self.shop, self.shop.as_of).cache()

    @cached_property
    def people(self) -> Table:
        """The profile with what places each among the others, and what the segments that may ask
        need beside it."""
        catalogue, table = load(self.segments), portrait(self.profile).table
        asked = [one.segment for one in self.policy.audiences if one.segment and self.may_ask(one)]
        wanted = {name for one in asked for name in entry(one, catalogue).predicate.columns}
        return joined(self.shop, table, sorted(wanted), self.lists)

    def may_ask(self, one: Audience) -> bool:
        """Whether an audience of the policy is among those that may ask."""
        return not self.only or one.name in self.only

    @cached_property
    def baskets(self) -> Carts:
        """The shop's carts."""
        self.shop.require("events")
        return carts.read(self.shop.journeys, self.shop.as_of, self.shop.settings.idle_hours)

    @cached_property
    def stock(self) -> dict[str, Table | None]:
        """What tells prices."""
        return {name: self.shop.find(name) for name in ("prices", "products")}

    @cached_property
    def browsed(self) -> Table:
        """Products looked at by people who put nothing in a cart."""
        self.shop.require("events")
        shop = self.shop
        return cart_lists.abandoned_browse_list(
            shop.journeys, shop.as_of, self.list_days, **self.stock
        )

    @cached_property
    def carted(self) -> Table:
        """Products in abandoned carts, as far back as carts may ask."""
        items = cart_lists.abandoned_item_list(self.baskets, **self.stock)
        return items.filter(items.idle_hours < 24 * self.list_days)

    @cached_property
    def cheaper(self) -> Table:
        """Products looked at or carted that cost clearly less now: customer_id, product_id,
        drop_rate (of the price seen)."""
        if not any(table is not None for table in self.stock.values()):
            self.shop.require("prices")
        columns = ["customer_id", "product_id", "price_drop", "price_seen"]
        rows = self.carted.select(*columns).union(self.browsed.select(*columns))
        rows = rows.mutate(drop_rate=rows.price_drop / rows.price_seen.nullif(0))
        return rows.filter(rows.drop_rate >= LEAST_DROP)

    @cached_property
    def churners(self) -> pd.DataFrame:
        """Those likely to leave whom a contact pays for: the columns of `study.scored_list`."""
        question = churn(self.shop)
        written = read_list(self.lists, list_name(CHURN, question))
        if written is not None:
            return written
        return study.scored_list(study.study(self.shop, question, **self.costs)).table

    @cached_property
    def alike(self) -> Lookalikes:
        """The shop's prospects, and the seeds they may be like."""
        return lookalike.study(
            self.shop, self.seeds, self.horizon_days, profile_now=lambda: self.profile
        )

    @cached_property
    def lifts(self) -> pd.DataFrame:
        """How well each seed finds its like; see `reach.lift_table`."""
        return reach.lift_table(self.alike)

    @property
    def seed(self) -> str:
        """The seed to use."""
        return reach.best_seed(self.lifts)

    @cached_property
    def troubled(self) -> pd.DataFrame:
        """Whom customer care should call; see `recovery.troubled`."""
        one = next((a for a in self.policy.audiences if a.list == "service_recovery"), Audience(""))
        saved = {k: v for k, v in self.costs.items() if k == "saved_share"}
        return recovery.troubled(
            self.shop, self.churners, self.profile, most=one.most or 10**9,
            contact_cost=one.contact_cost, **saved,
        )  # fmt: skip


def ask(sources: Sources) -> tuple[dict[str, Table], dict[str, str]]:
    """The candidates of each audience of the policy, and why others have none.

    Out: audience -> a table with customer_id, on the shop's engine; audience -> what the shop
    lacks.
    """
    found, lacking = {}, {}
    for name in sources.only:
        one_of("only", name, sources.policy.names)
    for one in sources.policy.audiences:
        if not sources.may_ask(one):
            continue
        try:
            found[one.name] = _candidates(sources, one)
        except LACKS as lack:
            lacking[one.name] = f"{lack.place}: {lack.problem}"
    return found, lacking


def _candidates(sources: Sources, one: Audience) -> Table:
    if one.segment:
        catalogue = load(sources.segments)
        try:
            found = members(sources.people, one.segment, catalogue)
        except Refusal as refusal:
            if "needs" in refusal.problem:
                raise TooLittleData(
                    one.segment, refusal.value, refusal.problem, refusal.fix
                ) from refusal
            raise
        return found
    return _LISTS[one.list](sources)


def _service_recovery(sources: Sources) -> Table:
    return place(sources.shop, sources.troubled, WHO)


def _likely_churners(sources: Sources) -> Table:
    return place(sources.shop, sources.churners, WHO)


def _abandoned_carts(sources: Sources) -> Table:
    hours = 24 * sources.list_days
    threshold = sources.shop.settings.free_shipping_threshold
    return cart_lists.abandoned_cart_list(
        sources.baskets, **sources.stock, free_shipping_threshold=threshold, max_idle_hours=hours
    ).select("customer_id")


def _abandoned_browses(sources: Sources) -> Table:
    return sources.browsed.select("customer_id")


def _price_drop(sources: Sources) -> Table:
    return sources.cheaper.select("customer_id")


def _cross_sell(sources: Sources) -> Table:
    if "days_since_order" not in sources.profile.columns:
        sources.shop.require("orders")
    first, last = BOUGHT_DAYS
    days = sources.profile.days_since_order
    return sources.profile.filter((days >= first) & (days < last)).select("customer_id")


def _lookalike_prospects(sources: Sources) -> Table:
    one = sources.alike
    most = max(1, round(sources.reach * len(one.now)))
    return place(sources.shop, lookalike.ranked(one, sources.seed, most), WHO)


_LISTS: dict[str, Callable[[Sources], Table]] = {
    "service_recovery": _service_recovery,
    "likely_churners": _likely_churners,
    "abandoned_carts": _abandoned_carts,
    "abandoned_browses": _abandoned_browses,
    "price_drop": _price_drop,
    "cross_sell": _cross_sell,
    "lookalike_prospects": _lookalike_prospects,
}
