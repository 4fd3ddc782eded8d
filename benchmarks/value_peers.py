"""Value of many customers: this library beside lifetimes.

Simulates customers who order by the BG/NBD and Gamma-Gamma law (days), writes their orders as
Parquet, and has every peer go from the orders to an expected value for each customer over 91 days:
in a process of its own, in rounds, the fastest counts. lifetimes is no longer kept up and lives in
an environment of its own (requirements-value.txt), made on the first run.
"""

import argparse
import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import environment

ROOT = environment.HERE.parent
CUTOFF, HORIZON = "2026-12-27", 91


def write_set(folder: str, customers: str) -> None:
    """Orders of customers who first order in 180 of 360 days, and a shop.toml beside them."""
    import numpy as np
    import pandas as pd

    n, rng, days = int(customers), np.random.default_rng(7), 360.0
    rate, leave = rng.gamma(0.9, 1 / 60, n), rng.beta(0.7, 2.2, n)
    level, first = rng.gamma(6.0, 1 / 60, n), rng.uniform(0, 180, n)
    who, when, now = [np.arange(n)], [first], first.copy()
    alive = np.arange(n)
    while len(alive):
        now[alive] += rng.exponential(1 / np.maximum(rate[alive], 1e-9))
        alive = alive[now[alive] < days]
        who.append(alive)
        when.append(now[alive].copy())
        alive = alive[rng.random(len(alive)) >= leave[alive]]
    who, when = np.concatenate(who), np.concatenate(when)
    frame = pd.DataFrame(
        {
            "order_id": np.char.add("o", np.arange(len(who)).astype(str)),
            "customer_id": np.char.add("c", who.astype(str)),
            "ordered_at": pd.Timestamp("2026-01-01") + pd.to_timedelta(when, unit="D"),
            "revenue": rng.gamma(4.0, 1 / level[who]).round(2) + 0.01,
        }
    )
    frame["ordered_at"] = frame.ordered_at.astype("datetime64[us]")
    frame.to_parquet(Path(folder, "orders.parquet"), index=False)
    Path(folder, "shop.toml").write_text(
        f'name = "bench"\nas_of = {CUTOFF}T00:00:00Z\n[tables.orders]\npath = "orders.parquet"\n'
    )
    print(f"{n:,} customers, {len(frame):,} orders", flush=True)


def _workbench(intervals: bool, generations: bool):
    def run(folder: Path) -> dict:
        from cdp_lib.customers import generations as parts
        from cdp_lib.customers import worth
        from cdp_lib.customers.value import fit_bgnbd
        from cdp_lib.tables import open_shop

        if not generations:  # one plain model for all, as lifetimes has it
            parts.starts = lambda histories: ()
            parts.fit_better = fit_bgnbd
        shop = open_shop(folder / "shop.toml")
        model = worth.fit(shop)
        values = worth.value_table(model, HORIZON, intervals=intervals).to_pandas()
        one = model.orders.models[0]
        return {
            "n": len(values), "value": float(values.expected_revenue.sum()),
            "log_likelihood": one.log_likelihood if len(model.orders.models) == 1 else None,
        }  # fmt: skip

    return run


def _lifetimes(grouped: bool):
    def run(folder: Path) -> dict:
        import numpy as np
        import pandas as pd
        from lifetimes import BetaGeoFitter, GammaGammaFitter
        from lifetimes.utils import summary_data_from_transaction_data

        orders = pd.read_parquet(folder / "orders.parquet")
        table = summary_data_from_transaction_data(
            orders, "customer_id", "ordered_at", monetary_value_col="revenue",
            observation_period_end=pd.Timestamp(CUTOFF) - pd.Timedelta(days=1),
            include_first_transaction=False,
        )  # fmt: skip
        fit = BetaGeoFitter()
        names = ["frequency", "recency", "T"]
        if grouped:
            cells = table.groupby(names).size().rename("w").reset_index()
            fit.fit(*(cells[name] for name in names), weights=cells.w)
        else:
            fit.fit(*(table[name] for name in names))
        came = fit.conditional_expected_number_of_purchases_up_to_time(
            HORIZON, *(table[name] for name in names)
        )
        back = table[(table.frequency > 0) & (table.monetary_value > 0)]
        spend = GammaGammaFitter()
        spend.fit(back.frequency, back.monetary_value)
        worth = spend.conditional_expected_average_profit(table.frequency, table.monetary_value)
        # Its own mean of the likelihood, at its own parameters, in days and over everybody.
        at = np.log([fit.params_[name] for name in ("r", "alpha", "a", "b")])
        past = [table[name].to_numpy(float) for name in names]
        n = len(table)
        mean = fit._negative_log_likelihood(at, *past, np.ones(n), 0.0)
        return {
            "n": n, "value": float((came * worth).sum()), "log_likelihood": -float(mean) * n,
        }  # fmt: skip

    return run


PEERS = {
    "workbench": _workbench(intervals=False, generations=True),
    "workbench_intervals": _workbench(intervals=True, generations=True),
    "workbench_one_model": _workbench(intervals=False, generations=False),
    "lifetimes": _lifetimes(grouped=False),
    "lifetimes_grouped": _lifetimes(grouped=True),
}


def run_one(peer: str, folder: str) -> None:
    """One peer in this process: from orders to values, and a line of JSON with its cost."""
    found, cost = environment.timed(lambda: PEERS[peer](Path(folder)))
    print(json.dumps({**found, **cost}))


def main() -> None:
    """Read the arguments, write the orders, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000, help="customers to value")
    parser.add_argument("--peers", default=",".join(PEERS), help="peers to run")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the fastest run counts")
    asked = parser.parse_args()
    environment.set_up()
    folder = environment.WORK / "value"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        environment.call("value_peers", "write_set", folder, asked.customers)
        print(f"{'peer':<22}{'seconds':>9}{'cpu s':>8}{'GiB':>7}{'value':>15}{'log-lik':>16}")
        for peer in asked.peers.split(","):
            with environment.using("value") if "lifetimes" in peer else nullcontext():
                row = environment.rounds(asked.repeat, [peer], "value_peers.py", folder)[peer]
            if "failed" in row:
                print(f"{peer:<22} failed: {row['failed']}", flush=True)
                continue
            told = f"{row['log_likelihood']:,.1f}" if row["log_likelihood"] else "by generation"
            print(f"{peer:<22}{row['seconds']:>9.1f}{row['cpu']:>8.1f}{row['peak_gib']:>7.2f}"
                  f"{row['value']:>15,.0f}{told:>16}", flush=True)  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in PEERS:
        run_one(*sys.argv[1:])
    else:
        main()
