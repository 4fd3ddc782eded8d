"""The look-alikes of a week as a page shows them, and the lists that advertising platforms take."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from ibis import _

from cdp_lib.activate import ads, reach, seeds
from cdp_lib.activate.lookalike import Lookalikes
from cdp_lib.activate.moves import Moves
from cdp_lib.checks import Refusal
from cdp_lib.report.candidates import LACKS, Sources

CURVE = ["share", "n", "caught", "caught_low", "caught_high", "margin", "per_head"]


@dataclass(frozen=True, eq=False)
class Prospects:
    """What is known of people without an order.

    one: the look-alikes, None where the shop cannot tell, and `why`. quality: of
    `seeds.quality_table`; lifts: of `reach.lift_table`; curve: of `reach.size_curve` for `seed`,
    the seed whose like bring most.
    """

    one: Lookalikes | None
    why: str
    seed: str
    quality: pd.DataFrame
    lifts: pd.DataFrame
    curve: pd.DataFrame


@dataclass(frozen=True)
class ForPlatforms:
    """Lists for advertising platforms. sizes: people by "<list> for <platform>". consent: the
    permission that lets a hash leave. why: what is lacking, in words."""

    sizes: dict[str, int]
    consent: str
    why: str


def prospects(sources: Sources) -> Prospects:
    """The look-alikes of a shop; where it cannot have any, what lacks."""
    try:
        one = sources.alike
    except LACKS as lack:
        nothing = pd.DataFrame(columns=["title"])
        return Prospects(
            None, f"{lack.place}: {lack.problem}", "", nothing, nothing,
            pd.DataFrame(columns=CURVE, dtype=float),
        )  # fmt: skip
    return Prospects(
        one,
        "",
        sources.seed,
        seeds.quality_table(sources.shop, one.told, one.newest.end),
        sources.lifts,
        reach.size_curve(one, sources.seed),
    )


def for_platforms(sources: Sources, moves: Moves, found: Prospects) -> ForPlatforms:
    """Write the seed of the look-alikes, and the people whom no advertisement should follow.

    Files go to the folder of lists, as `<name>.<platform>.csv`; where there is no folder they are
    counted alone. The seed is that of the newest span; whom to leave out says the policy.
    """
    shop = sources.shop
    try:
        consent = ads.usable_consent(shop)
    except LACKS as lack:
        return ForPlatforms({}, "", f"{lack.place}: {lack.problem}")
    lists = {}
    if found.one is not None:
        members = found.one.newest.members[found.seed].to_pandas()
        bought = seeds.amounts(shop, found.one.newest.start, found.one.newest.end).to_pandas()
        lists["seed"] = members.merge(bought, "left", on="customer_id")
    if moves.policy.ads_exclude:
        kept_away = moves.table.filter(_.audience.isin(list(moves.policy.ads_exclude)))
        lists["leave_out"] = kept_away.select("customer_id").distinct().to_pandas()
    sizes, lacks = {}, []
    for name, people in lists.items():
        for platform in ads.LAYOUTS:
            by_value = "margin" if platform == "meta" and "margin" in people else ""
            try:
                table = ads.matched(shop, people, platform, consent, value=by_value)
                ads.write(table, sources.lists, f"08_{name}", platform)
                sizes[f"{name} for {platform}"] = len(table)
            except Refusal as lack:
                lacks.append(f"{name} for {platform}, {lack.problem}")
    return ForPlatforms(sizes, consent, "; ".join(lacks))
