"""Five articles for each of 100,000 customers: the workbench beside plain implicit ALS.

`python benchmarks/recommend_peers.py` makes an environment of its own (benchmarks/.venv-recommend),
simulates a shop whose last four weeks are kept apart, runs every peer in a process of its own and
prints time, memory, and recall of the articles bought then, with an interval over customers. Every
peer reads the same Parquet files. `python recommend_peers.py PEER FOLDER` runs one peer and prints
one line of JSON.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parents[1]
DAYS, PLACES, SEED = 28, 5, 7


def write_shop(folder: str, customers: str, weeks: str) -> None:
    """Simulate the shop, and write a shop.toml whose data end four weeks earlier."""
    from datetime import timedelta

    from cdp_lib.tables import open_shop
    from cdp_lib.world import World, simulate

    path = simulate(Path(folder, "shop"), customers=int(customers), weeks=int(weeks), seed=SEED,
                    params=World(campaigns=()))  # fmt: skip
    shop = open_shop(path)
    cut = shop.as_of - timedelta(days=DAYS)
    Path(folder, "cut").write_text(cut.isoformat())
    n_customers, n_orders = shop.customers.count().execute(), shop.orders.count().execute()
    print(f"{n_customers:,} customers, {n_orders:,} orders", flush=True)


def workbench(folder: Path) -> None:
    """The study (three time splits, seven families, the blend) and the lists of everybody."""
    from cdp_lib.activate.next_best import next_best
    from cdp_lib.activate.recommend import study
    from cdp_lib.tables import open_shop

    shop = open_shop(folder / "shop").at((folder / "cut").read_text())
    one = study(shop, DAYS, owned="keep")
    listed = next_best(one, PLACES)
    place = one.now.goods.variants.set_index("product_id").article
    names = one.now.goods.table.article_id.to_numpy()
    listed["article_id"] = names[place[listed.product_id].to_numpy(int)]
    listed[["customer_id", "rank", "article_id"]].to_parquet(folder / "workbench.parquet")


def _purchases(folder: Path):
    """customer_id, article_id, n of before the cut, by one query; sizes of a model are one."""
    import duckdb

    cut = (folder / "cut").read_text()
    return duckdb.sql(
        f"""
        with model as (select product_id, min(product_id) over (partition by name, brand, category)
                              as article_id from '{folder}/shop/products.parquet')
        select customer_id, article_id, count(distinct order_id) as n
        from '{folder}/shop/order_lines.parquet'
             join '{folder}/shop/orders.parquet' using (order_id) join model using (product_id)
        where quantity > 0 and ordered_at < '{cut}' and customer_id is not null
        group by all
        """
    ).df()


def implicit_als(folder: Path) -> None:
    """implicit's ALS, 64 factors and 15 rounds as it comes, on log(1 + orders); two threads."""
    import numpy as np
    import pandas as pd
    from implicit.als import AlternatingLeastSquares
    from scipy import sparse

    rows = _purchases(folder)
    customers, customer = np.unique(rows.customer_id, return_inverse=True)
    articles, article = np.unique(rows.article_id, return_inverse=True)
    x = sparse.csr_matrix((np.log1p(rows.n).astype("float32"), (customer, article)))
    model = AlternatingLeastSquares(factors=64, iterations=15, random_state=SEED, num_threads=2)
    model.fit(x, show_progress=False)
    found, _ = model.recommend(
        np.arange(len(customers)), x, N=PLACES, filter_already_liked_items=False
    )
    pd.DataFrame(
        {
            "customer_id": np.repeat(customers, PLACES),
            "rank": np.tile(np.arange(1, PLACES + 1), len(customers)),
            "article_id": articles[found.ravel()],
        }
    ).to_parquet(folder / "implicit_als.parquet")


def popular(folder: Path) -> None:
    """What sold best, the same for everybody."""
    import numpy as np
    import pandas as pd

    rows = _purchases(folder)
    best = rows.groupby("article_id").n.sum().nlargest(PLACES).index.to_numpy()
    customers = np.unique(rows.customer_id)
    pd.DataFrame(
        {
            "customer_id": np.repeat(customers, PLACES),
            "rank": np.tile(np.arange(1, PLACES + 1), len(customers)),
            "article_id": np.tile(best, len(customers)),
        }
    ).to_parquet(folder / "popular.parquet")


PEERS = {"workbench": workbench, "implicit_als": implicit_als, "popular": popular}


def run_one(peer: str, folder: str) -> None:
    """One peer in this process: its lists beside the data, and a line of JSON with its cost."""
    _, cost = environment.timed(lambda: PEERS[peer](Path(folder)))
    print(json.dumps(cost))


def judge(folder: str) -> None:
    """Print the recall of each peer over customers who had bought before and bought again."""
    import numpy as np
    import pandas as pd

    from cdp_lib.activate.recommend_judge import bootstrap
    from cdp_lib.activate.seen import bought_between
    from cdp_lib.tables import open_shop

    place = Path(folder)
    shop = open_shop(place / "shop")
    cut = pd.Timestamp((place / "cut").read_text()).to_pydatetime()
    later = bought_between(shop, cut, shop.as_of)[["customer_id", "article_id"]]
    before = bought_between(shop, pd.Timestamp(1990, 1, 1).to_pydatetime(), cut)
    later = later[later.customer_id.isin(before.customer_id)]
    owned = pd.MultiIndex.from_frame(before[["customer_id", "article_id"]])
    is_new = ~pd.MultiIndex.from_frame(later).isin(owned)
    costs = json.loads((place / "costs.json").read_text())
    print(f"{'peer':<14}{'seconds':>9}{'cpu s':>8}{'GiB':>7}{'any':>9}{'95 % interval':>20}")
    for path in sorted(place.glob("*.parquet")):
        listed = pd.read_parquet(path)
        truth = later
        hits = truth.merge(listed, how="left", on=["customer_id", "article_id"])["rank"].notna()
        by = pd.DataFrame({"c": truth.customer_id.to_numpy(), "hit": hits.to_numpy()}).groupby("c")
        found = by.hit.sum() / np.minimum(by.size(), PLACES)
        low, high = np.quantile(bootstrap(found.to_numpy()[None, :, None], SEED), (0.025, 0.975))
        cost = costs[path.stem]
        print(f"{path.stem:<14}{cost['seconds']:>9.1f}{cost['cpu']:>8.1f}{cost['peak_gib']:>7.2f}"
              f"{found.mean():>9.4f}{low:>10.4f}{high:>10.4f}")  # fmt: skip
    print(
        f"{len(found):,} customers judged; of their articles {is_new.mean():.0%} were new to them"
    )


def main() -> None:
    """Read the arguments, write the shop, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=100_000, help="customers of the shop")
    parser.add_argument("--weeks", type=int, default=40, help="weeks that it lives")
    parser.add_argument("--peers", default=",".join(PEERS), help="peers to run")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the fastest run counts")
    asked = parser.parse_args()
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
    folder = environment.WORK / "recommend"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    peers = asked.peers.split(",")
    try:
        with environment.using("recommend"):
            environment.call("recommend_peers", "write_shop", folder, asked.customers, asked.weeks)
            found = environment.rounds(asked.repeat, peers, "recommend_peers.py", folder)
            (folder / "costs.json").write_text(json.dumps(found))
            environment.call("recommend_peers", "judge", folder)
        for peer in (peer for peer in peers if "failed" in found[peer]):
            print(f"{peer:<14} failed: {found[peer]['failed']}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in PEERS:
        run_one(*sys.argv[1:])
    else:
        main()
