"""The eleven usual names of customers by recency, frequency and money, as one readable table.

A row a recency score, from 5 (bought last) down to 1. The first column is for the lowest frequency
level (in most shops: those who ordered once); the others go by the mean of frequency and money
score, rounded half up. So every (r, f, m) has just one name.
"""

from __future__ import annotations

import ibis
from ibis.expr.types import IntegerValue, StringValue

SCORES = (1, 2, 3, 4, 5)
CHAMPIONS, LOYAL, POTENTIAL, NEW, PROMISING, ATTENTION, SLEEPY, AT_RISK, CANT_LOSE, HIBERNATING, LOST = NAMES = (  # noqa: E501
    "Champions", "Loyal", "Potential Loyalist", "New Customers", "Promising", "Need Attention",
    "About to Sleep", "At Risk", "Can't Lose Them", "Hibernating", "Lost",
)  # fmt: skip
GRID = {
    # r: lowest f,   fm = 2,      fm = 3,      fm = 4,    fm = 5
    5: (NEW,         POTENTIAL,   POTENTIAL,   CHAMPIONS, CHAMPIONS),
    4: (PROMISING,   POTENTIAL,   POTENTIAL,   LOYAL,     CHAMPIONS),
    3: (SLEEPY,      SLEEPY,      ATTENTION,   LOYAL,     LOYAL),
    2: (HIBERNATING, HIBERNATING, AT_RISK,     AT_RISK,   CANT_LOSE),
    1: (LOST,        LOST,        HIBERNATING, AT_RISK,   CANT_LOSE),
}  # fmt: skip
# What a marketer does about each, and by which channel; the order is that of a report.
ACTIONS = {
    CHAMPIONS: "early access and thanks, no discount",
    LOYAL: "recommend what goes with what they have; ask for a review",
    POTENTIAL: "a reason for the next order, such as a bundle",
    NEW: "welcome and show how to use what they bought",
    PROMISING: "remind of the shop with what is new",
    ATTENTION: "a limited offer on what they looked at",
    SLEEPY: "write before they forget; share what is popular",
    AT_RISK: "win back by name, with what they used to buy",
    CANT_LOSE: "have customer care call; ask what went wrong",
    HIBERNATING: "one cheap try a season, no ads",
    LOST: "leave alone, or one last try at no cost",
}


def name_of(r: int, f: int, m: int) -> str:
    """The name of a customer with these scores, each 1 to 5.

    >>> name_of(5, 5, 4), name_of(1, 1, 5)
    ('Champions', 'Lost')
    """
    return GRID[r][0 if f == 1 else max(2, (f + m + 1) // 2) - 1]


def named(r: IntegerValue, f: IntegerValue, m: IntegerValue) -> StringValue:
    """The same as an expression; null where a score is."""
    both = (r * 25 + f * 5 + m).cast("int64")
    table = {25 * i + 5 * j + k: name_of(i, j, k) for i in SCORES for j in SCORES for k in SCORES}
    groups = [(both.isin([key for key, one in table.items() if one == n]), n) for n in NAMES]
    return ibis.cases(*groups, else_=ibis.null("string"))
