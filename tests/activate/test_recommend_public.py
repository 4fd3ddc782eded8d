"""Recommendations on public shops: what is known of them is found again."""

import shutil
from pathlib import Path

import pytest

from cdp_lib.activate import recommend
from cdp_lib.tables import open_shop

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


def opened(folder, shared_data, name, *tables):
    """A public set by its example shop file, on DuckDB."""
    for table in tables:
        (folder / f"{table}.parquet").symlink_to(shared_data / name / f"{table}.parquet")
    shutil.copy(EXAMPLES / f"{name}.toml", folder / "shop.toml")
    return open_shop(folder / "shop.toml")


@pytest.mark.proof
def test_online_retail_is_bought_again_and_ease_finds_what_is_new(shared_data, tmp_path):
    shop = opened(tmp_path, shared_data, "online_retail", "online_retail")
    one = recommend.study(shop, horizon_days=28, most=1_000, kind="ease 1")
    assert one.owned == "keep" and one.rebuy_share > 0.25
    assert "looked" not in one.now.families, "the shop has no events"
    again, new = one.any.set_index("family"), one.new.set_index("family")
    # Of any article a customer's own history foresees most, of all single families.
    single = again.drop(index="blend").recall
    assert single.idxmax() == "repeat" and 0.25 < single["repeat"] < 0.40
    assert again.recall["blend"] > again.recall["repeat"] - 0.01
    # Of new ones EASE finds about twice as many as what sells best.
    assert new.beats["together"] == "yes" and new.recall["together"] > 1.5 * new.recall["popular"]
    assert new.beats["repeat"] == "no", "what was bought before is no new article"
    assert new.recall["blend"] > new.recall["popular"]


@pytest.mark.proof
def test_complete_journey_is_bought_again(shared_data, tmp_path):
    tables = ("transactions", "products", "demographics")
    shop = opened(tmp_path, shared_data, "complete_journey", *tables)
    one = recommend.study(shop, horizon_days=28, most=2_000, kind="ease 1")
    assert one.rebuy_share > 0.5 and one.owned == "keep"
    again, new = one.any.set_index("family"), one.new.set_index("family")
    assert again.drop(index="blend").recall.idxmax() == "repeat"
    assert again.recall["repeat"] > 0.3 and again.recall["blend"] > again.recall["repeat"] - 0.01
    assert new.beats["blend"] == "yes"
