"""The truth tables, written beside the shop's own for analyses to be scored against."""

import numpy as np
import pyarrow as pa

from cdp_lib.world.campaigns import Effects
from cdp_lib.world.catalogue import CATEGORIES, SIZES, Catalogue
from cdp_lib.world.ids import instants, words
from cdp_lib.world.law import CAUSES, HOUR_PREFERENCES, OUTCOMES, RESPONSES, World
from cdp_lib.world.leaving import Leaving
from cdp_lib.world.log import CODE, Rows
from cdp_lib.world.messages import Draw
from cdp_lib.world.people import APP, CHANNELS, PRESSURE, People
from cdp_lib.world.sessions import TOUCHPOINTS
from cdp_lib.world.visits import LATER, LEFT, REASONS, Carts, Visits

DAY = 86_400


def people_table(
    world: World,
    law: Leaving,
    people: People,
    person_ids: pa.Array,
    created: np.ndarray,
    phase: np.ndarray,
    held: np.ndarray,
    origin_us: int,
) -> pa.Table:
    """A row a person, with or without an account: the true rates and tastes.

    `person_id` equals the customer_id of those with an account, opened at `account_at` by the end
    of the span. Rates are per day; `p_left` is the mean probability that a cart that is not emptied
    is left, over baskets and devices, `p_left_<cause>` that it is left for that cause,
    `p_left_phone` that it is left on a phone; `p_held` that a cart also holds an item for a moment.
    `app_share` and `mobile_share`: of the visits; `logged_in_share`: of those of an account's
    owner. Newsletters come in weeks w with (w + newsletter_phase) divisible by 1, 2 or 4;
    `opt_in_<channel>` is the state before any message.
    """
    causes = law.causes_of_person(people).round(12)
    opt_in = {f"opt_in_{c}": people.opt_in[:, i] for i, c in enumerate(CHANNELS)}
    return pa.table(
        {
            "person_id": person_ids,
            "kind": words([kind.name for kind in world.kinds], people.kind),
            "existing": people.existing,
            "has_account": np.isfinite(created),
            "account_at": instants(created, origin_us),
            "entered_at": instants(people.entry * DAY, origin_us),
            "ends_at": instants(np.minimum(people.end, 36_500) * DAY, origin_us),
            "visit_rate": people.visit_rate,
            "death_rate": people.death_rate,
            "cart_prob": people.cart_prob,
            "p_left": law.of_person(people).round(12),
            **{f"p_left_{cause}": causes[:, i] for i, cause in enumerate(CAUSES)},
            "p_left_phone": law.on_phone(people).round(12),
            "p_held": held.round(12),
            "hour_preference": words(HOUR_PREFERENCES, people.hour),
            "discount_affinity": people.affinity,
            "preferred_size": words(SIZES, people.size),
            "preferred_category": words(
                [name for name, *_ in CATEGORIES], people.taste.argmax(axis=1)
            ),
            "mobile_share": people.mobile_share,
            "app_share": people.device_mix[:, APP],
            "logged_in_share": people.stays_logged_in,
            "preferred_touchpoint": words(TOUCHPOINTS, people.channel),
            "preferred_channel": words(CHANNELS, people.reads),
            "newsletter": words([name for name, _ in PRESSURE], people.pressure),
            "newsletter_phase": phase,
            **opt_in,
        }
    )


def visits_table(
    visits: Visits, session_ids: pa.Array, person_ids: pa.Array, origin_us: int
) -> pa.Table:
    """A row a visit: whose it is, named or not, when it starts and why it takes place.

    `reason` is one of REASONS: own (by the person's rate), buys_later and looks_again (a return to
    a cart), campaign (a purchase that only a campaign brought), app_remove and push_off (one event
    and no visit to the shop).
    """
    return pa.table(
        {
            "session_id": session_ids,
            "person_id": person_ids.take(pa.array(visits.person)),
            "started_at": instants(np.floor(visits.at * DAY), origin_us),
            "reason": words(REASONS, visits.reason),
        }
    )


def carts_table(
    goods: Catalogue,
    carts: Carts,
    rows: Rows,
    cart_ids: pa.Array,
    person_ids: pa.Array,
    days: float,
    origin_us: int,
) -> pa.Table:
    """A row a cart seen in the log: outcome by the end of the span, cause, true probabilities.

    `outcome` is bought, bought_later, left or emptied; a cart that will be bought only after the
    span is `left` here and carries `returns_at`. `cause` is null unless the cart was left in its
    first sitting. `p_left`: probability to leave it, given its basket and device and that it is
    not emptied. `p_<cause>`: probability of the cause, given left. `value`: its goods when opened.
    """
    n, add = len(carts), rows.code == CODE["add_to_cart"]
    opened, bought = np.full(n, np.inf), np.full(n, np.nan)
    np.minimum.at(opened, rows.cart[add], rows.seconds[add])
    done = rows.code == CODE["purchase"]
    bought[rows.cart[done]] = rows.seconds[done]
    seen = np.flatnonzero(np.isfinite(opened))
    outcome = np.where((carts.outcome == LATER) & np.isnan(bought), LEFT, carts.outcome)
    week = np.clip((opened[seen] // (7 * DAY)).astype(int), 0, goods.value.shape[1] - 1)
    return pa.table(
        {
            "cart_id": cart_ids.take(pa.array(seen)),
            "person_id": person_ids.take(pa.array(carts.person[seen])),
            "opened_at": instants(opened[seen], origin_us),
            "outcome": words(OUTCOMES, outcome[seen]),
            "cause": words(CAUSES, carts.cause[seen]),
            "bought_at": instants(bought[seen], origin_us),
            "returns_at": instants(carts.returns_at[seen] * DAY, origin_us),
            "value": goods.value[carts.basket[seen], week],
            "extra": carts.extra[seen],
            "p_left": carts.p_left[seen],
            **{f"p_{cause}": carts.p_cause[seen, i] for i, cause in enumerate(CAUSES)},
        }
    )


def effects_table(
    names: list[str],
    effect_days: float,
    draw: Draw,
    effects: Effects,
    people: People,
    person_ids: pa.Array,
    origin_us: int,
) -> pa.Table:
    """A row a campaign and eligible customer: the arm drawn and what either arm would have brought.

    `effect` e multiplies the intensity of purchases by 1 + e over [starts_at, ends_at) if treated.
    `realised_…` and `expected_…`: revenue in the window, after discount, returns not counted.
    """
    arms = {name: getattr(effects, name).round(9) for name in Effects.__dataclass_fields__}
    response = arms.pop("response")
    renamed = {
        name.replace("_0", "_holdout").replace("_1", "_treated"): v for name, v in arms.items()
    }
    return pa.table(
        {
            "campaign_id": words(names, draw.campaign),
            "customer_id": person_ids.take(pa.array(draw.person)),
            "treated": draw.treated,
            "starts_at": instants(draw.at * DAY, origin_us),
            "ends_at": instants((draw.at + effect_days) * DAY, origin_us),
            "alive": people.end[draw.person] > draw.at,
            "response": words(RESPONSES, response),
            **renamed,
        }
    )


def pairs_table(goods: Catalogue) -> pa.Table:
    """Products that belong together: a row an ordered pair, of one size where both are sized."""
    mine = np.repeat(np.flatnonzero(goods.complement[goods.sku_model] >= 0), len(SIZES))
    size = np.resize(np.arange(len(SIZES)), len(mine))
    other = goods.skus(goods.complement[goods.sku_model[mine]], size)
    sizes = goods.sku_size[mine], goods.sku_size[other]
    fits = (sizes[0] == sizes[1]) | (sizes[0] < 0) | (sizes[1] < 0)
    pairs = np.unique(np.column_stack([mine, other])[fits], axis=0)
    names = goods.product_ids()
    return pa.table(
        {"product_id": words(names, pairs[:, 0]), "complement_id": words(names, pairs[:, 1])}
    )
