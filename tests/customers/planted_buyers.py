"""Customers who buy by the law of the value models, order by order, as orders of a shop."""

import numpy as np
import pandas as pd

from cdp_lib.customers.spend import GammaGamma
from cdp_lib.customers.value import BgNbd

ORDERS = BgNbd(1.2, 50.0, 0.6, 1.8, 0.0, True, 0, at_first=True)  # days
SPEND = GammaGamma(4.0, 6.0, 60.0, 0.0, True, 0)  # a mean order of 48
START = pd.Timestamp("2026-01-01")
KEPT = 0.4  # of the revenue, in every order


def planted(
    n: int, seed: int, days: int = 270, orders: BgNbd = ORDERS, spend: GammaGamma = SPEND,
    arrive: tuple[float, float] = (0, 180), name: str = "c",
) -> pd.DataFrame:  # fmt: skip
    """Orders over `days` days of customers who first order in `arrive`; columns of the contract.

    A day has room for one order a customer: what would fall on the same day is one order in the
    models, so times are kept as they are and the rates are low.
    """
    rng, rows = np.random.default_rng(seed), []
    rate, leave = rng.gamma(orders.r, 1 / orders.alpha, n), rng.beta(orders.a, orders.b, n)
    level, first = rng.gamma(spend.q, 1 / spend.gamma, n), rng.uniform(*arrive, n)
    for i in range(n):
        now, at = first[i], []
        while now < days:
            at.append(now)
            if (len(at) > 1 or orders.at_first) and rng.random() < leave[i]:
                break
            now += rng.exponential(1 / rate[i]) if rate[i] > 1e-9 else np.inf
        worth = rng.gamma(spend.p, 1 / level[i], len(at))
        rows += [(f"{name}{i}", when, value) for when, value in zip(at, worth, strict=True)]
    frame = pd.DataFrame(rows, columns=["customer_id", "day", "revenue"])
    frame["ordered_at"] = (START + pd.to_timedelta(frame.day, unit="D")).astype("datetime64[us]")
    frame["order_id"] = [f"{name}o{i}" for i in range(len(frame))]
    return frame.assign(cost=(1 - KEPT) * frame.revenue).drop(columns="day")
