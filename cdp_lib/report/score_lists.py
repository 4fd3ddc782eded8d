"""What the pages on leaving and buying leave for others: a list to look at, and every chance."""

from __future__ import annotations

from pathlib import Path

from cdp_lib.activate.lists import write_list
from cdp_lib.activate.scores import write_scores
from cdp_lib.predict.outcome import Outcome
from cdp_lib.predict.race import race_verdict
from cdp_lib.predict.study import Listed, Study
from cdp_lib.report import wording

SHORT = {"purchase": "buy", "use_coupon": "coupon", "app_remove": "remove_app"}


def list_name(notebook: str, question: Outcome) -> str:
    """The file name of a scored list, such as "06_propensity-purchase-7-days"."""
    return f"{notebook}-{_word(question.event)}-{question.horizon_days}-days"


def score_name(question: Outcome) -> str:
    """What the chances of a question are called among the columns of segments."""
    if not question.happens:
        return "leave_probability"
    return f"{SHORT.get(question.event) or _word(question.event)}_probability"


def _word(event: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in event)


def leave(one: Study, listed: Listed, lists: str, notebook: str) -> Path | None:
    """Write the list of whom a contact pays for, and, of a model that is of use, the chances of
    everybody at risk. lists: a folder; "" for none. Out: the path of the list."""
    name = list_name(notebook, one.outcome)
    if one.usable:
        days = one.outcome.horizon_days
        write_scores(one.now, lists, name, score_name(one.outcome), one.shop, days)
    return write_list(listed.table, lists, name)


def list_note(one: Study, listed: Listed, path: Path | None) -> str:
    """How long the list is, what it is worth, where it lies, and whether a rule would do."""
    if listed.table.empty:
        return "Nobody is on the list."
    n, stake = len(listed.table), float(listed.table.value_at_stake.sum())
    money = wording.as_text(stake, "money", one.shop.currency)
    where = f"It lies beside this page as {path.name}." if path else "No file was written."
    said = f"{n:,} customers; {money} at stake, each by their own chance. {where}"
    verdict = race_verdict(one.race)
    rule = f" By the race a list of as many by {verdict.rule} would do as well."
    return said + rule if verdict.word == "use the rule" else said
