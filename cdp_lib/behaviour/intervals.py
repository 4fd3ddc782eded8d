"""95 % intervals for shares and for money, from sums over people.

Carts of one person are not independent draws, so the person is the unit of sampling: every
interval here takes sums over people, which one grouped query fetches, and never rows.
"""

import numpy as np
from scipy import special

from cdp_lib.normal import Z


def wilson(n_hit, n, design_effect=1.0):
    """Wilson's score interval of a share, (low, high); NaN where n is 0.

    n_hit of n units (arrays or numbers); `design_effect` >= 1 shrinks n to what it is worth.
    Sources: Wilson (1927) doi:10.1080/01621459.1927.10502953; with an effective sample size,
    Dean and Pagano (2015) doi:10.1093/jssam/smv024.

    >>> [round(float(bound), 4) for bound in wilson(40, 100)]
    [0.3094, 0.498]
    """
    hit, n = np.asarray(n_hit, float), np.asarray(n, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share, worth = hit / n, n / design_effect
        shrink = 1 + Z**2 / worth
        centre = (share + Z**2 / (2 * worth)) / shrink
        half = Z / shrink * np.sqrt(share * (1 - share) / worth + (Z / (2 * worth)) ** 2)
    # Rounding must not leave the ends of 0 of n and n of n a hair away from 0 and 1.
    low = np.where(hit == 0, np.where(n > 0, 0.0, np.nan), centre - half)
    high = np.where(hit == n, np.where(n > 0, 1.0, np.nan), centre + half)
    return low, high


def design_effect(n_people, n, n_hit, nn, nh, hh):
    """How many times wider the variance of a share is than if all units were independent; >= 1.

    Sums over people: n their units, n_hit their hits, nn = sum n_i^2, nh = sum n_i h_i,
    hh = sum h_i^2. It is the linearised variance of a ratio (Cochran 1977, section 11.8) over
    p (1 - p) / n. A value below 1 is noise or negative dependence, and is not used to narrow.
    """
    people, n, hit = (np.asarray(value, float) for value in (n_people, n, n_hit))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hit / n
        spread = np.asarray(hh) - 2 * share * np.asarray(nh) + share**2 * np.asarray(nn)
        ratio = spread * people / (people - 1) / (n * share * (1 - share))
    ratio = np.where(np.isfinite(ratio), np.maximum(ratio, 1.0), 1.0)
    # One person is worth one draw, however many units it has.
    return np.where(people == 1, np.maximum(n, 1.0), ratio)


def clustered_share(n_people, n, n_hit, nn, nh, hh):
    """A share with its 95 % interval, people being the clusters: (share, low, high)."""
    effect = design_effect(n_people, n, n_hit, nn, nh, hh)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.asarray(n_hit, float) / np.asarray(n, float)
    return share, *wilson(n_hit, n, effect)


def total(amount, squares, largest):
    """The 95 % interval of a total of amounts that independent people bring, (low, high).

    amount: the total; squares: sum over people of their amounts squared; largest: the largest
    of them. It says where the expected total lies of a span like the one seen, people coming as
    a Poisson process and amounts being >= 0: the gamma interval of Fay and Feuer (1997)
    doi:10.1002/(SICI)1097-0258(19970415)16:7<791::AID-SIM500>3.0.CO;2-#, which is exact for
    equal amounts and errs to the wide side otherwise. NaN where the total is NaN.
    """
    amount, squares, largest = (np.asarray(v, float) for v in (amount, squares, largest))
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = squares / (2 * amount)
        low = scale * 2 * special.gammaincinv(amount**2 / squares, 0.025)
        more, wider = amount + largest, squares + largest**2
        high = wider / (2 * more) * 2 * special.gammaincinv(more**2 / wider, 0.975)
    return np.where(amount == 0, 0.0, low), high
