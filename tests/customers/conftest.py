"""A shop from pandas frames, on either engine; several may be open at once."""

from itertools import count

import pytest

from cdp_lib.tables import open_shop


@pytest.fixture
def make_shop(tmp_path):
    """`make_shop(con, tables, as_of=…)`: frames written as Parquet and opened."""
    numbers = count()

    def make(con, tables, as_of="2026-12-01"):
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        lines = ['name = "made"', f"as_of = {as_of}T00:00:00Z"]
        for name, frame in tables.items():
            frame.to_parquet(folder / f"{name}.parquet", index=False)
            lines += [f"[tables.{name}]", f'path = "{name}.parquet"']
        (folder / "shop.toml").write_text("\n".join(lines), encoding="utf-8")
        return open_shop(folder / "shop.toml", con=con)

    return make
