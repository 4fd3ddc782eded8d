"""The profile's event features, many ways: `python benchmarks/profile_peers.py [--millions 10]`.

Writes a log with a fiftieth as many customers as events, runs every peer in a process of its own,
compares their answers, and prints a table. All answer the same features at one cutoff: all that
the workbench's profile of such a log holds.
"""

import argparse
import json
import sys
from pathlib import Path

import environment
from profile_features import CART, DEPTH, FEATURES, SINCE
from profile_frames import pandas, polars
from visit_log import COUNTS, CUTOFF, DAY, WINDOWS


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
    age += ["min(age) FILTER (event = 'app_remove') AS days_since_app_remove"]
    age += [f"{e}_30d / nullif({e}_90d, 0) AS {e}_trend" for e in ("view_item", "add_to_cart")]
    visits = [f"count(*) FILTER (age < {w}) AS visits_{w}d" for w in WINDOWS]
    seen = [f"count(*) FILTER (age < {w}) AS products_viewed_{w}d" for w in WINDOWS]
    carts = [f"count(*) FILTER (age < {w}) AS carts_{w}d" for w in WINDOWS[1:]]
    carts += [f"count(*) FILTER (age < {w} AND s = 'left') AS carts_left_{w}d" for w in WINDOWS[1:]]
    return cases, *map(", ".join, (age, visits, seen, carts))


def sql_bare(path):
    """For a log like this one alone: it believes every row and the customer that stands there."""
    return _sql(
        f"""
    e AS (
      SELECT customer_id, session_id, event, product_id, price, device_type, touchpoint,
             epoch_us(occurred_at) AS us,
             (epoch_us(TIMESTAMP '{CUTOFF}') - epoch_us(occurred_at) - 1) // {DAY} AS age
      FROM '{path}' WHERE occurred_at >= TIMESTAMP '{CUTOFF}' - INTERVAL 365 DAY
        AND occurred_at < TIMESTAMP '{CUTOFF}')""",
        "session_id",
    )


def sql(path):
    """For any log, as the workbench: checks rows, tells visits apart, ties visitors to people."""
    texts = ("customer_id", "visitor_id", "session_id", "event", "product_id", "device_type",
             "touchpoint")  # fmt: skip
    blank = ", ".join(f"nullif({name}, '') AS {name}" for name in texts)
    return _sql(
        f"""
    r AS (SELECT {blank}, occurred_at,
            CASE WHEN isnan(price) OR abs(price) >= 1e300 THEN NULL ELSE price END AS price
          FROM '{path}' WHERE occurred_at >= TIMESTAMP '1990-01-01'
            AND occurred_at < TIMESTAMP '{CUTOFF}'),
    n AS (SELECT customer_id AS c, coalesce(visitor_id, 'c:' || customer_id) AS i,
            session_id, event, product_id, price, device_type, touchpoint, occurred_at
          FROM r WHERE event IS NOT NULL AND coalesce(price >= 0, true)),
    pairs AS (SELECT i, c FROM n WHERE i IS NOT NULL AND c IS NOT NULL GROUP BY ALL),
    one AS (SELECT i, min(c) AS c FROM pairs GROUP BY i HAVING count(*) = 1),
    several AS (SELECT i FROM pairs GROUP BY i HAVING count(*) > 1),
    there AS (SELECT DISTINCT i, session_id, c FROM n SEMI JOIN several USING (i)
              WHERE c IS NOT NULL),
    alone AS (SELECT i, session_id, min(c) AS c FROM there GROUP BY ALL HAVING count(*) = 1),
    e AS (
      SELECT * FROM (
        SELECT coalesce(n.c, one.c, alone.c) AS customer_id, n.i, n.session_id, event, product_id,
               price, device_type, touchpoint, epoch_us(occurred_at) AS us,
               (epoch_us(TIMESTAMP '{CUTOFF}') - epoch_us(occurred_at) - 1) // {DAY} AS age
        FROM n LEFT JOIN one ON n.i = one.i
          LEFT JOIN alone ON n.i = alone.i AND n.session_id = alone.session_id
        WHERE occurred_at >= TIMESTAMP '{CUTOFF}' - INTERVAL 365 DAY AND n.session_id IS NOT NULL
      ) WHERE customer_id IS NOT NULL)""",
        "i, session_id",
    )


def _sql(log, visit):
    import duckdb

    cases, ages, visits, seen, carts = _sql_parts()
    steps = " ".join(f"WHEN '{e}' THEN {k}" for e, k in CART.items())
    query = f"""
    WITH {log},
    a AS (SELECT customer_id, {ages} FROM e GROUP BY customer_id),
    v AS (SELECT customer_id, {visit}, min(age) AS age, min(us) AS f, max(us) AS l,
            count(*) AS n, max(device_type) AS d, max(touchpoint) AS t,
            max(CASE event {cases} ELSE 0 END) AS k FROM e GROUP BY ALL),
    b AS (SELECT customer_id, {visits}, (epoch_us(TIMESTAMP '{CUTOFF}') - max(l)) / {DAY}
              AS days_since_visit,
            (epoch_us(TIMESTAMP '{CUTOFF}') - min(f)) / {DAY} AS days_since_first_visit,
            (max(f) - min(f)) / nullif(count(*) - 1, 0) / {DAY} AS visit_gap_days,
            days_since_visit / nullif(visit_gap_days, 0) AS visit_gaps_waited,
            visits_30d / nullif(visits_90d, 0) AS visits_trend, max(l) AS newest,
            sum(n) / count(*) AS actions_per_visit,
            sum(l - f) / count(*) / {DAY} * 24 AS visit_hours,
            avg((((f // {DAY}) + 3) % 7 >= 5)::INT) AS weekend_share,
            avg(((f // ({DAY} // 24)) % 24 >= 18)::INT) AS evening_share,
            avg((d = 'mobile')::INT) AS mobile_share, count(DISTINCT d) AS device_types,
            count(DISTINCT t) AS touchpoints, arg_max(d, l) AS last_device_type,
            arg_max(t, l) AS last_touchpoint FROM v GROUP BY customer_id),
    m AS (SELECT customer_id, t AS main_touchpoint FROM v GROUP BY customer_id, t
          QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY count(*) DESC, t) = 1),
    z AS (SELECT v.customer_id, max(k) AS depth_last_visit FROM v JOIN b
          ON v.customer_id = b.customer_id AND v.l = b.newest GROUP BY ALL),
    p AS (SELECT customer_id, product_id, count(*) AS n, min(age) AS age, max(age) AS first FROM e
          WHERE event = 'view_item' AND product_id IS NOT NULL GROUP BY ALL),
    q AS (SELECT customer_id, {seen}, max(n) AS most_views_of_a_product,
            min(first) AS days_since_new_product FROM p GROUP BY ALL),
    x AS (SELECT customer_id, count(*) AS products_in_cart FROM
            (SELECT DISTINCT customer_id, product_id FROM e
             WHERE event = 'add_to_cart' AND product_id IS NOT NULL) GROUP BY ALL),
    c AS (SELECT customer_id, max(us) AS l, min(age) AS age,
            max(CASE event {steps} END) AS k,
            sum(price * CASE event WHEN 'add_to_cart' THEN 1 WHEN 'remove_from_cart' THEN -1
                ELSE 0 END) AS worth,
            CASE WHEN k = 6 THEN 'bought' WHEN epoch_us(TIMESTAMP '{CUTOFF}') - l >= {DAY}
                THEN 'left' ELSE 'open' END AS s
          FROM e WHERE event IN ({", ".join(f"'{e}'" for e in CART)})
          GROUP BY customer_id, {visit} HAVING count(*) FILTER (event = 'add_to_cart') > 0),
    g AS (SELECT customer_id, {carts},
            carts_left_365d / nullif(carts_365d, 0) AS carts_left_share,
            (epoch_us(TIMESTAMP '{CUTOFF}') - max(l) FILTER (s = 'left')) / {DAY}
              AS days_since_left_cart,
            count(*) FILTER (s = 'open') AS open_carts,
            avg(k) FILTER (s = 'left') AS left_cart_depth,
            sum(worth) FILTER (s = 'left') / nullif(carts_left_365d, 0) AS left_cart_value,
            sum(worth) FILTER (s = 'open') AS open_cart_value FROM c GROUP BY customer_id)
    SELECT * FROM a LEFT JOIN b USING (customer_id) LEFT JOIN m USING (customer_id)
      LEFT JOIN q USING (customer_id) LEFT JOIN z USING (customer_id)
      LEFT JOIN x USING (customer_id) LEFT JOIN g USING (customer_id)"""
    return lambda: duckdb.connect().execute(query).df()


PEERS = {peer.__name__: peer for peer in (workbench, sql, sql_bare, polars, pandas)}


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
