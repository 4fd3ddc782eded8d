"""Where nobody can be told from another, no list is offered."""

import numpy as np
import pytest
from uplift_worlds import no_signal, sheet

from cdp_lib.lift import uplift_curves as curves
from cdp_lib.lift.uplift import foretold
from cdp_lib.lift.uplift_policy import RESPONSE, TESTED, UPLIFT


def qinis(n: int, seed: int):
    """The score table of an experiment without a signal, as a study makes it."""
    x, treated, y, fold = no_signal(n, seed)
    told = foretold(sheet(x), treated, y, 0.5, fold)
    foreseen = told.foreseen(0.5)
    effects = curves.measured(y[told.at], treated[told.at], 0.5, foreseen)
    orders = {UPLIFT: told.effect, RESPONSE: foreseen}
    table = curves.score_table(effects, orders, told.fold, tested=len(TESTED), seed=seed)
    return table.set_index("candidate")


def wrong(n_worlds: int, n: int) -> tuple[int, np.ndarray]:
    """In how many worlds targeting would be recommended, and uplift's qini over its error."""
    found = [qinis(n, seed) for seed in range(n_worlds)]
    errors = [
        table.qini[UPLIFT] / ((table.qini_high - table.qini_low)[UPLIFT] / 2 / 2.24)
        for table in found
    ]
    return sum(bool((table.qini_low > 0).any()) for table in found), np.array(errors)


def test_few_worlds_without_a_signal_are_targeted():
    # One side of two intervals of 97.5 %: at most 2.5 % a world. More than 2 of 12: p < 0.01.
    n_wrong, errors = wrong(12, 2_100)
    assert n_wrong <= 2
    # Were the intervals too narrow, as under ordinary cross-fitting, the errors' size would show:
    # of 12 standard normals the mean square is above 2 once in 50.
    assert (errors**2).mean() < 2


@pytest.mark.proof
@pytest.mark.slow
def test_of_a_hundred_worlds_without_a_signal_at_most_five_are_targeted():
    n_wrong, errors = wrong(100, 6_000)
    assert n_wrong <= 5
    # The standard deviation of 100 standard normals lies in 1 ± 0.2 but for one time in 200.
    assert errors.std() == pytest.approx(1, abs=0.2)
