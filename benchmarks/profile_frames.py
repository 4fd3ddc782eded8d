"""The profile by data frames: Polars and pandas, each as its users would write it."""

from profile_features import CART, DEPTH, SINCE
from visit_log import COUNTS, CUTOFF, DAY, WINDOWS


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
            n_app_remove=(event == "app_remove").sum(),
        ).collect(engine="streaming").lazy()  # fmt: skip
        stats = {f"{e}_{w}d": pl.col(f"n_{e}").filter(age < w).sum()
                 for e, windows in COUNTS.items() for w in windows}  # fmt: skip
        stats |= {f"days_since_{e}": age.filter(pl.col(f"n_{e}") > 0).min()
                  for e in (*SINCE, "app_remove")}  # fmt: skip
        stats |= {f"depth_{w}d": pl.col("depth").filter(age < w).max() for w in WINDOWS}
        for w in WINDOWS[1:]:
            stats[f"active_days_{w}d"] = age.filter(age < w).n_unique()
            total, n = pl.col("priced").filter(age < w).sum(), pl.col("n_priced").filter(age < w)
            stats[f"viewed_price_{w}d_mean"] = total / n.sum()
        result = days.group_by("customer_id").agg(**stats)
        visits = days.group_by("customer_id", "session_id").agg(
            pl.col("age", "f").min(), pl.col("l", "d", "t", "depth").max(), pl.col("n").sum()
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
                depth_last_visit=pl.col("depth").filter(last == last.max()).max(),
            ), on="customer_id",
        )  # fmt: skip
        main = visits.group_by("customer_id", "t").len().sort("len", "t", descending=[True, False])
        main = main.group_by("customer_id", maintain_order=True).agg(main_touchpoint=pl.first("t"))
        shown = event.is_in(["view_item", "add_to_cart"]) & pl.col("product_id").is_not_null()
        seen = rows.filter(shown).group_by("customer_id", "product_id").agg(
            n=viewed.sum(), age=age.filter(viewed).min(), first=age.filter(viewed).max(),
            added=(event == "add_to_cart").sum(),
        )  # fmt: skip
        seen = seen.group_by("customer_id").agg(
            **{f"products_viewed_{w}d": (age < w).sum() for w in WINDOWS},
            most_views_of_a_product=pl.col("n").max(),
            products_in_cart=(pl.col("added") > 0).sum(),
            days_since_new_product=pl.col("first").min(),
        )
        sign = event.replace_strict({"add_to_cart": 1, "remove_from_cart": -1}, default=0)
        step = event.replace_strict(CART, default=0, return_dtype=pl.Int64)
        carts = rows.filter(event.is_in(list(CART))).group_by("customer_id", "session_id").agg(
            added=(event == "add_to_cart").sum(), age=age.min(), l=pl.col("us").max(),
            k=step.max(), worth=(pl.col("price") * sign).sum(),
        ).filter(pl.col("added") > 0)  # fmt: skip
        bought, idle = pl.col("k") == 6, end - pl.col("l") >= DAY
        left, still = ~bought & idle, ~bought & ~idle
        carts = carts.group_by("customer_id").agg(
            **{f"carts_{w}d": (age < w).sum() for w in WINDOWS[1:]},
            **{f"carts_left_{w}d": (left & (age < w)).sum() for w in WINDOWS[1:]},
            days_since_left_cart=(end - last.filter(left).max()) / DAY,
            open_carts=still.sum(), left_cart_depth=pl.col("k").filter(left).mean(),
            left_cart_value=pl.col("worth").filter(left).mean(),
            open_cart_value=pl.col("worth").filter(still).sum(),
        )  # fmt: skip
        for part in (main, seen, carts):
            result = result.join(part, on="customer_id", how="left")
        part_of = {f"{name}_trend": pl.col(f"{name}_30d") / pl.col(f"{name}_90d")
                   for name in ("visits", "view_item", "add_to_cart")}  # fmt: skip
        result = result.with_columns(
            visit_gaps_waited=pl.col("days_since_visit") / pl.col("visit_gap_days"),
            carts_left_share=pl.col("carts_left_365d") / pl.col("carts_365d"), **part_of,
        ).fill_nan(None)  # fmt: skip
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
        gone = rows[rows.event == "app_remove"]
        parts["days_since_app_remove"] = gone.groupby("customer_id", **by).age.min()
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
        rows["depth"] = depth
        visits = rows.groupby(["customer_id", "session_id"], **by).agg(
            age=("age", "min"), f=("us", "min"), l=("us", "max"), n=("us", "size"),
            d=("device_type", "first"), t=("touchpoint", "first"), k=("depth", "max"),
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
        newest = visits[visits.l == each.l.transform("max")]
        parts["depth_last_visit"] = newest.groupby("customer_id", **by).k.max()
        counted = visits.groupby(["customer_id", "t"], **by).size().rename("n").reset_index()
        counted = counted.sort_values(["n", "t"], ascending=[False, True])
        parts["main_touchpoint"] = counted.drop_duplicates("customer_id").set_index("customer_id").t
        shown = rows[rows.event.isin(["view_item", "add_to_cart"]) & rows.product_id.notna()]
        view = shown.event == "view_item"
        shown = shown.assign(n=view, added=~view, age=shown.age.where(view))
        seen = shown.groupby(["customer_id", "product_id"], **by).agg(
            n=("n", "sum"), added=("added", "sum"), age=("age", "min"), first=("age", "max")
        ).reset_index()  # fmt: skip
        for w in WINDOWS:
            size = seen[seen.age < w].groupby("customer_id", **by).size()
            parts[f"products_viewed_{w}d"] = size
        each = seen.groupby("customer_id", **by)
        parts["most_views_of_a_product"], parts["days_since_new_product"] = (
            each.n.max(), each["first"].min()
        )  # fmt: skip
        parts["products_in_cart"] = seen[seen.added > 0].groupby("customer_id", **by).size()
        _cart_parts(rows, end, parts, by)
        for name in ("visits", "view_item", "add_to_cart"):
            parts[f"{name}_trend"] = parts[f"{name}_30d"].reindex(every).fillna(0) / parts[
                f"{name}_90d"].reindex(every)  # fmt: skip
        parts["visit_gaps_waited"] = parts["days_since_visit"] / parts["visit_gap_days"]
        return pd.DataFrame({k: p.reindex(every) for k, p in parts.items()})

    return answer


def _cart_parts(rows, end, parts, by):
    """The features of carts, in pandas."""
    some = rows[rows.event.isin(list(CART))]
    sign = some.event.map({"add_to_cart": 1, "remove_from_cart": -1}).astype(float).fillna(0)
    some = some.assign(
        k=some.event.map(CART).astype(int),
        worth=some.price * sign,
        added=some.event == "add_to_cart",
    )
    carts = some.groupby(["customer_id", "session_id"], **by).agg(
        age=("age", "min"), l=("us", "max"), k=("k", "max"), worth=("worth", "sum"),
        added=("added", "sum"),
    ).reset_index()  # fmt: skip
    carts = carts[carts.added > 0]
    bought, idle = carts.k == 6, end - carts.l >= DAY
    left, still = carts[~bought & idle], carts[~bought & ~idle]
    for w in WINDOWS[1:]:
        parts[f"carts_{w}d"] = carts[carts.age < w].groupby("customer_id", **by).size()
        parts[f"carts_left_{w}d"] = left[left.age < w].groupby("customer_id", **by).size()
    each = left.groupby("customer_id", **by)
    parts["days_since_left_cart"] = (end - each.l.max()) / DAY
    parts["left_cart_depth"], parts["left_cart_value"] = each.k.mean(), each.worth.mean()
    every = parts["carts_365d"].index
    share = parts["carts_left_365d"].reindex(every).fillna(0) / parts["carts_365d"]
    parts["carts_left_share"] = share
    parts["open_carts"] = still.groupby("customer_id", **by).size()
    parts["open_cart_value"] = still.groupby("customer_id", **by).worth.sum()
