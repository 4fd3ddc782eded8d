"""The profile's event features, many ways: `python benchmarks/profile_peers.py [--millions 10]`.

Writes a log with a fiftieth as many customers as events, runs every peer in a process of its own,
compares their answers, and prints a table. All answer the same 70 features at one cutoff; the
workbench also does the carts and whatever else its profile of such a log holds.
"""

import argparse
import json
import sys
from pathlib import Path

import environment
from visit_log import COUNTS, CUTOFF, DAY, WINDOWS

SINCE = ["view_item", "search", "add_to_wishlist", "add_to_cart", "begin_checkout",
         "contact_support", "purchase"]  # fmt: skip
DEPTH = {"view_item": 1, "add_to_cart": 2, "begin_checkout": 3, "add_payment_info": 5,
         "purchase": 6}  # fmt: skip
FEATURES = [
    *(f"{event}_{w}d" for event, windows in COUNTS.items() for w in windows),
    *(f"days_since_{event}" for event in SINCE),
    *(f"{name}_{w}d" for name in ("visits", "depth", "products_viewed") for w in WINDOWS),
    *(f"{name}_{w}d{tail}" for name, tail in (("active_days", ""), ("viewed_price", "_mean"))
      for w in WINDOWS[1:]),
    *("days_since_visit", "days_since_first_visit", "visit_gap_days", "actions_per_visit",
      "visit_hours", "weekend_share", "evening_share", "mobile_share", "device_types",
      "touchpoints", "most_views_of_a_product", "last_device_type", "last_touchpoint",
      "main_touchpoint"),
]  # fmt: skip


def workbench(path):
    from cdp_lib.customers import profile
    from cdp_lib.tables import open_shop

    shop = path.with_suffix(".toml")
    shop.write_text(
        f'as_of = {CUTOFF}T00:00:00Z\n[tables.events]\npath = "{path.name}"\n', encoding="utf-8"
    )
    return lambda: profile.as_of(open_shop(shop), CUTOFF).to_pandas()


def _sql_parts():
    age = [f"count(*) FILTER (event = '{e}' AND age < {w}) AS {e}_{w}d"
           for e, windows in COUNTS.items() for w in windows]  # fmt: skip
    age += [f"min(age) FILTER (event = '{e}') AS days_since_{e}" for e in SINCE]
    cases = " ".join(f"WHEN '{e}' THEN {k}" for e, k in DEPTH.items())
    age += [f"max(CASE event {cases} ELSE 0 END) FILTER (age < {w}) AS depth_{w}d" for w in WINDOWS]
    age += [f"count(DISTINCT age) FILTER (age < {w}) AS active_days_{w}d" for w in WINDOWS[1:]]
    age += [f"avg(price) FILTER (event = 'view_item' AND age < {w}) AS viewed_price_{w}d_mean"
            for w in WINDOWS[1:]]  # fmt: skip
    visits = [f"count(*) FILTER (age < {w}) AS visits_{w}d" for w in WINDOWS]
    seen = [f"count(*) FILTER (age < {w}) AS products_viewed_{w}d" for w in WINDOWS]
    return ", ".join(age), ", ".join(visits), ", ".join(seen)


def sql(path):
    import duckdb

    ages, visits, seen = _sql_parts()
    query = f"""
    WITH e AS (
      SELECT customer_id, session_id, event, product_id, price, device_type, touchpoint,
             epoch_us(occurred_at) AS us,
             (epoch_us(TIMESTAMP '{CUTOFF}') - epoch_us(occurred_at) - 1) // {DAY} AS age
      FROM '{path}' WHERE occurred_at >= TIMESTAMP '{CUTOFF}' - INTERVAL 365 DAY
        AND occurred_at < TIMESTAMP '{CUTOFF}'),
    a AS (SELECT customer_id, {ages} FROM e GROUP BY customer_id),
    v AS (SELECT customer_id, session_id, min(age) AS age, min(us) AS f, max(us) AS l,
            count(*) AS n, max(device_type) AS d, max(touchpoint) AS t FROM e GROUP BY ALL),
    b AS (SELECT customer_id, {visits}, (epoch_us(TIMESTAMP '{CUTOFF}') - max(l)) / {DAY}
              AS days_since_visit,
            (epoch_us(TIMESTAMP '{CUTOFF}') - min(f)) / {DAY} AS days_since_first_visit,
            (max(f) - min(f)) / nullif(count(*) - 1, 0) / {DAY} AS visit_gap_days,
            sum(n) / count(*) AS actions_per_visit,
            sum(l - f) / count(*) / {DAY} * 24 AS visit_hours,
            avg((((f // {DAY}) + 3) % 7 >= 5)::INT) AS weekend_share,
            avg(((f // ({DAY} // 24)) % 24 >= 18)::INT) AS evening_share,
            avg((d = 'mobile')::INT) AS mobile_share, count(DISTINCT d) AS device_types,
            count(DISTINCT t) AS touchpoints, arg_max(d, l) AS last_device_type,
            arg_max(t, l) AS last_touchpoint FROM v GROUP BY customer_id),
    m AS (SELECT customer_id, t AS main_touchpoint FROM v GROUP BY customer_id, t
          QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY count(*) DESC, t) = 1),
    p AS (SELECT customer_id, product_id, count(*) AS n, min(age) AS age FROM e
          WHERE event = 'view_item' AND product_id IS NOT NULL GROUP BY ALL),
    q AS (SELECT customer_id, {seen}, max(n) AS most_views_of_a_product FROM p GROUP BY ALL)
    SELECT * FROM a LEFT JOIN b USING (customer_id) LEFT JOIN m USING (customer_id)
      LEFT JOIN q USING (customer_id)"""
    return lambda: duckdb.connect().execute(query).df()


def polars(path):
    import polars as pl

    end = pl.lit(CUTOFF).str.to_datetime(time_unit="us").dt.epoch("us")

    def answer():
        us = pl.col("occurred_at").dt.epoch("us")
        rows = pl.scan_parquet(path).with_columns(us=us, age=(end - us - 1) // DAY)
        rows = rows.filter((pl.col("age") >= 0) & (pl.col("age") < 365)).with_columns(
            pl.col("event", "device_type", "touchpoint").cast(pl.String)
        )
        event, age = pl.col("event"), pl.col("age")
        kinds = {f"n_{e}": (event == e).sum() for e in COUNTS}
        depth = event.replace_strict(DEPTH, default=0, return_dtype=pl.Int64)
        viewed = event == "view_item"
        days = rows.group_by("customer_id", "session_id", "age").agg(
            **kinds, n=pl.len(), f=pl.col("us").min(), l=pl.col("us").max(), depth=depth.max(),
            priced=pl.col("price").filter(viewed).sum(), d=pl.col("device_type").max(),
            n_priced=pl.col("price").filter(viewed).count(), t=pl.col("touchpoint").max(),
        ).collect(engine="streaming").lazy()  # fmt: skip
        stats = {f"{e}_{w}d": pl.col(f"n_{e}").filter(age < w).sum()
                 for e, windows in COUNTS.items() for w in windows}  # fmt: skip
        stats |= {f"days_since_{e}": age.filter(pl.col(f"n_{e}") > 0).min() for e in SINCE}
        stats |= {f"depth_{w}d": pl.col("depth").filter(age < w).max() for w in WINDOWS}
        for w in WINDOWS[1:]:
            stats[f"active_days_{w}d"] = age.filter(age < w).n_unique()
            total, n = pl.col("priced").filter(age < w).sum(), pl.col("n_priced").filter(age < w)
            stats[f"viewed_price_{w}d_mean"] = total / n.sum()
        result = days.group_by("customer_id").agg(**stats)
        visits = days.group_by("customer_id", "session_id").agg(
            pl.col("age", "f").min(), pl.col("l", "d", "t").max(), pl.col("n").sum()
        ).collect().lazy()  # fmt: skip
        f, last, n = pl.col("f"), pl.col("l"), pl.len()
        result = result.join(
            visits.group_by("customer_id").agg(
                **{f"visits_{w}d": (age < w).sum() for w in WINDOWS},
                days_since_visit=(end - last.max()) / DAY,
                days_since_first_visit=(end - f.min()) / DAY,
                visit_gap_days=(f.max() - f.min()) / (n - 1) / DAY,
                actions_per_visit=pl.col("n").mean(),
                visit_hours=(last - f).mean() / DAY * 24,
                weekend_share=((f // DAY + 3) % 7 >= 5).mean(),
                evening_share=(f // (DAY // 24) % 24 >= 18).mean(),
                mobile_share=(pl.col("d") == "mobile").mean(),
                device_types=pl.col("d").n_unique(), touchpoints=pl.col("t").n_unique(),
                last_device_type=pl.col("d").get(last.arg_max()),
                last_touchpoint=pl.col("t").get(last.arg_max()),
            ), on="customer_id",
        )  # fmt: skip
        main = visits.group_by("customer_id", "t").len().sort("len", "t", descending=[True, False])
        main = main.group_by("customer_id", maintain_order=True).agg(main_touchpoint=pl.first("t"))
        seen = rows.filter(viewed & pl.col("product_id").is_not_null())
        seen = seen.group_by("customer_id", "product_id").agg(n=pl.len(), age=age.min())
        seen = seen.group_by("customer_id").agg(
            **{f"products_viewed_{w}d": (age < w).sum() for w in WINDOWS},
            most_views_of_a_product=pl.col("n").max(),
        )
        result = result.join(main, on="customer_id").join(seen, on="customer_id", how="left")
        return result.collect(engine="streaming").to_pandas()

    return answer


def pandas(path):
    import numpy as np
    import pandas as pd

    def answer():
        rows = pd.read_parquet(path)
        us = rows.pop("occurred_at").to_numpy().astype("datetime64[us]").astype("int64")
        end = int(np.datetime64(CUTOFF, "us").astype("int64"))
        rows["us"], rows["age"] = us, (end - us - 1) // DAY
        rows = rows[(rows.age >= 0) & (rows.age < 365)]
        for name in ("customer_id", "session_id", "event", "product_id"):
            rows[name] = rows[name].astype("category")
        by = dict(observed=True)
        parts, every = {}, rows.customer_id.cat.categories
        for e, windows in COUNTS.items():
            some = rows[rows.event == e]
            for w in windows:
                parts[f"{e}_{w}d"] = some[some.age < w].groupby("customer_id", **by).size()
            if e in SINCE:
                parts[f"days_since_{e}"] = some.groupby("customer_id", **by).age.min()
        depth = rows.event.map(DEPTH).astype(float).fillna(0)
        viewed = rows[rows.event == "view_item"]
        for w in WINDOWS:
            inside = rows.age < w
            parts[f"depth_{w}d"] = depth[inside].groupby(rows.customer_id[inside], **by).max()
        days = rows[["customer_id", "age"]].drop_duplicates()
        for w in WINDOWS[1:]:
            parts[f"active_days_{w}d"] = days[days.age < w].groupby("customer_id", **by).size()
            mean = viewed[viewed.age < w].groupby("customer_id", **by).price.mean()
            parts[f"viewed_price_{w}d_mean"] = mean
        visits = rows.groupby(["customer_id", "session_id"], **by).agg(
            age=("age", "min"), f=("us", "min"), l=("us", "max"), n=("us", "size"),
            d=("device_type", "first"), t=("touchpoint", "first"),
        ).reset_index()  # fmt: skip
        visits = visits.assign(
            hours=(visits.l - visits.f) / DAY * 24, weekend=(visits.f // DAY + 3) % 7 >= 5,
            evening=visits.f // (DAY // 24) % 24 >= 18, mobile=visits.d == "mobile",
            d=visits.d.astype(str), t=visits.t.astype(str),
        )  # fmt: skip
        for w in WINDOWS:
            parts[f"visits_{w}d"] = visits[visits.age < w].groupby("customer_id", **by).size()
        each = visits.groupby("customer_id", **by)
        means = {"n": "actions_per_visit", "hours": "visit_hours", "weekend": "weekend_share",
                 "evening": "evening_share", "mobile": "mobile_share"}  # fmt: skip
        for name, feature in means.items():
            parts[feature] = each[name].mean()
        parts["days_since_visit"] = (end - each.l.max()) / DAY
        parts["days_since_first_visit"] = (end - each.f.min()) / DAY
        n = each.size()
        parts["visit_gap_days"] = (each.f.max() - each.f.min()) / (n - 1).replace(0, np.nan) / DAY
        parts["device_types"], parts["touchpoints"] = each.d.nunique(), each.t.nunique()
        last = visits.loc[each.l.idxmax()].set_index("customer_id")
        parts["last_device_type"], parts["last_touchpoint"] = last.d, last.t
        counted = visits.groupby(["customer_id", "t"], **by).size().rename("n").reset_index()
        counted = counted.sort_values(["n", "t"], ascending=[False, True])
        parts["main_touchpoint"] = counted.drop_duplicates("customer_id").set_index("customer_id").t
        seen = viewed.groupby(["customer_id", "product_id"], **by).agg(
            n=("age", "size"), age=("age", "min")
        ).reset_index()  # fmt: skip
        for w in WINDOWS:
            size = seen[seen.age < w].groupby("customer_id", **by).size()
            parts[f"products_viewed_{w}d"] = size
        parts["most_views_of_a_product"] = seen.groupby("customer_id", **by).n.max()
        return pd.DataFrame({k: p.reindex(every) for k, p in parts.items()})

    return answer


PEERS = {peer.__name__: peer for peer in (workbench, sql, polars, pandas)}


def digest(frame):
    """What peers are compared by: of each feature its sum, or for texts how often each stands."""
    answer = {"n": len(frame)}
    for name in FEATURES:
        column = frame[name].dropna()
        if name.startswith(("last_", "main_")):
            answer[name] = {str(k): int(v) for k, v in column.astype(str).value_counts().items()}
        else:
            answer[name] = float(column.astype(float).sum())
    return answer


def run_one(peer, path):
    """One peer in this process: a line of JSON with what it answered and what it cost."""
    frame, cost = environment.timed(PEERS[peer](path))
    print(json.dumps({**cost, "digest": digest(frame)}))


def same(one, other):
    """Whether two digests agree: texts and counts exactly, sums to a millionth part."""
    return all(
        one[name] == other[name]
        if isinstance(one[name], dict)
        else abs(one[name] - other[name]) <= 1e-6 * max(1, abs(one[name]))
        for name in one
    )


def main():
    """Read the arguments, write the log, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, default=10, help="millions of events")
    parser.add_argument("--only", default=",".join(PEERS), help="peers to run")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the fastest run counts")
    asked = parser.parse_args()
    environment.set_up()
    log = environment.WORK / f"profile_{asked.millions:g}m.parquet"
    environment.call("visit_log", "write_log", log, int(asked.millions * 10**6))
    peers = asked.only.split(",")
    results = environment.rounds(asked.repeat, peers, "profile_peers.py", log)
    for file in environment.WORK.glob(f"{log.stem}.*"):
        file.unlink()
    first = next(result for result in results.values() if "digest" in result)
    n_customers = first["digest"]["n"]
    print(f"{asked.millions:g} million events, {n_customers:,} customers, {len(FEATURES)} features")
    environment.print_peers(
        results,
        first["seconds"],
        lambda result: "same" if same(first["digest"], result["digest"]) else "OTHER",
        "answers",
    )


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in PEERS:
        run_one(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
