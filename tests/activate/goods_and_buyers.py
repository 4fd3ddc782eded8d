"""Small shops of orders, lines and products; and goods and purchases as plain matrices."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from scipy import sparse

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.seen import Seen
from cdp_lib.tables import open_shop

AS_OF = datetime(2026, 3, 1)


def opened(folder, con, settings="", **tables):
    """A shop of these frames at 1 March 2026, on the engine `con`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ['name = "small"', 'currency = "EUR"', f"as_of = {AS_OF.isoformat()}Z"]
    lines += ["[settings]", settings] if settings else []
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
        lines += [f"[tables.{name}]", f'path = "{name}.parquet"']
    (folder / "shop.toml").write_text("\n".join(lines), encoding="utf-8")
    return open_shop(folder / "shop.toml", con=con)


def baskets(*rows):
    """Orders and their lines, a row an order: (customer, days before the end, product, …)."""
    orders, lines = [], []
    for number, (customer, days, *products) in enumerate(rows):
        orders.append(
            (f"o{number}", customer, AS_OF - timedelta(days=float(days)), 10.0 * len(products))
        )
        lines += [(f"o{number}", product, 1, 10.0) for product in products]
    frame = pd.DataFrame(orders, columns=["order_id", "customer_id", "ordered_at", "revenue"])
    frame["ordered_at"] = pd.to_datetime(frame.ordered_at).astype("datetime64[us]")
    frame["customer_id"] = frame.customer_id.astype("string")
    columns = ["order_id", "product_id", "quantity", "unit_price"]
    return {"orders": frame, "order_lines": pd.DataFrame(lines, columns=columns)}


def products(*rows, **more):
    """Products from (id, name, category, size, price); `more` are further columns."""
    columns = ["product_id", "name", "category", "size", "price"]
    frame = pd.DataFrame(rows, columns=columns)
    texts = ["name", "category", "size"]
    frame[texts] = frame[texts].astype("string")
    return frame.assign(price=frame.price.astype(float), brand="Alder", **more)


def goods_of(n, category=None, price=10.0, cost=np.nan, offered=True):
    """n articles a0, a1 …, each of one product of its own name."""
    ids = [f"a{i:03d}" for i in range(n)]
    table = pd.DataFrame(
        {
            "article_id": ids, "name": ids, "category": category if category is not None else "all",
            "brand": "Alder", "price": price, "cost": cost, "n_orders": 1, "n_variants": 1,
            "price_band": 0, "offered": offered,
        }
    )  # fmt: skip
    variants = pd.DataFrame(
        {
            "product_id": ids, "article": np.arange(n), "size": pd.array([None] * n, "string"),
            "price": price, "cost": cost, "n_orders": 1, "available": True,
        }
    )  # fmt: skip
    return Goods(table, variants, AS_OF, 0, 0, 0, 0, 1.0)


def seen_of(bought, fresh=None, viewed=None, city=None):
    """Customers c0, c1 … who bought by a matrix of counts, all of it fresh unless told."""
    bought = sparse.csr_array(np.asarray(bought, "float32"))
    n = bought.shape[0]

    def like(matrix, default):
        return default if matrix is None else sparse.csr_array(np.asarray(matrix, "float32"))

    return Seen(
        np.array([f"c{i:04d}" for i in range(n)], dtype=object),
        bought,
        like(fresh, bought),
        *[like(viewed, sparse.csr_array(bought.shape, dtype="float32"))] * 2,
        bought,
        np.full(n, -1) if city is None else np.asarray(city),
        AS_OF,
        bought.nnz,
        0,
    )
