"""A shop of a few hundred customers in files, for exports."""

from pathlib import Path

import pandas as pd

SHOP = """name = "corner"
currency = "EUR"
as_of = 2026-11-23T00:00:00Z
{settings}
[tables.customers]
path = "customers.parquet"
"""


def write_shop(folder: Path, customers: pd.DataFrame, settings: str = "", as_of: str = "") -> Path:
    """Write shop.toml and its customers; gives the path of shop.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    customers.to_parquet(folder / "customers.parquet", index=False)
    text = SHOP.format(settings=f"[settings]\n{settings}" if settings else "")
    path = folder / "shop.toml"
    path.write_text(text.replace("2026-11-23", as_of or "2026-11-23"))
    return path


def people(n: int = 300) -> pd.DataFrame:
    """n customers who may all be mailed: customer_id, email_sha256, email_opt_in, city."""
    ids = [f"c{number:04d}" for number in range(n)]
    return pd.DataFrame(
        {
            "customer_id": ids,
            "email_sha256": [f"{number:064x}" for number in range(n)],
            "email_opt_in": True,
            "city": [["Ulm", "=1+1", "Köln"][number % 3] for number in range(n)],
        }
    )
