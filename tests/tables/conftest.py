"""A shop from pandas frames, on either engine."""

import pytest

from cdp_lib.tables import open_shop


@pytest.fixture
def make_shop(tmp_path):
    """`make_shop(con, tables, text="", as_of=…)`: frames written as Parquet and opened.

    `text` is added to shop.toml; a table that it describes itself gets no section of its own.
    """

    def make(con, tables, text="", as_of="2026-02-01", **options):
        lines = ['name = "made"', 'currency = "EUR"', f"as_of = {as_of}T00:00:00Z" if as_of else ""]
        for name, frame in tables.items():
            frame.to_parquet(tmp_path / f"{name}.parquet", index=False)
            if f"[tables.{name}]" not in text:
                lines += [f"[tables.{name}]", f'path = "{name}.parquet"']
        file = tmp_path / "shop.toml"
        file.write_text("\n".join([*lines, text]), encoding="utf-8")
        return open_shop(file, con=con, **options)

    return make
