"""Who is called: only those who had trouble, may leave, and are worth it."""

import pandas as pd
import pytest
from small_shop import people, write_shop

from cdp_lib.activate import recovery
from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.tables import open_shop

FEATURES = pd.DataFrame(
    [
        ("c0000", 1, 0, 0, 400.0), ("c0001", 0, 2, 0, 300.0), ("c0002", 0, 0, 0, 900.0),
        ("c0003", 3, 0, 1, 20.0), ("c0004", 0, 0, 5, 1000.0), ("c0005", 1, 0, 0, None),
    ],
    columns=["customer_id", "contact_support_30d", "returns_30d", "errors_30d", "margin_365d"],
)  # fmt: skip
RISK = pd.DataFrame(
    {
        "customer_id": [f"c000{i}" for i in range(6)],
        "probability": [0.5, 0.9, 0.9, 0.9, 0.1, 0.9],
        "reason_1": ["no visit for 40 days raises the risk", None, None, None, None, None],
    }
)


@pytest.fixture
def shop(tmp_path):
    return open_shop(write_shop(tmp_path, people(10)))


def profile(shop, frame=FEATURES):
    return shop.con.create_table("profile", frame, temp=True, overwrite=True)


def test_by_hand(shop):
    """c0002 had no trouble; c0003 is worth 18 at risk, of which a tenth is below the cost of a
    call; c0004 is worth 100 at risk, of which a tenth is 10; of c0005 nothing is known."""
    found = recovery.troubled(shop, RISK, profile(shop), contact_cost=5.0, saved_share=0.1)
    assert found.customer_id.tolist() == ["c0001", "c0000", "c0004"]
    assert found.at_risk.tolist() == pytest.approx([270, 200, 100])
    assert found.trouble.tolist() == [
        "sent goods back 2 times in 30 days", "asked for help once in 30 days",
        "was shown an error 5 times in 30 days",
    ]  # fmt: skip
    two = recovery.troubled(shop, RISK, profile(shop), most=2)
    assert two.customer_id.tolist() == ["c0001", "c0000"]


def test_a_value_of_ones_own_counts_instead(shop):
    worth = shop.con.create_table(
        "worth", pd.DataFrame({"customer_id": ["c0003"], "expected_value": [5000.0]}), temp=True
    )
    found = recovery.troubled(shop, RISK, profile(shop), worth)
    assert found.customer_id.tolist() == ["c0003"], "who has no value is worth no call"
    assert found.trouble[0].startswith("asked for help 3 times")


def test_the_list_has_reasons_and_what_happened_last(shop):
    found = recovery.troubled(shop, RISK, profile(shop))
    table = recovery.with_context(shop, found, RISK)
    assert list(table.columns) == recovery.COLUMNS
    assert table.customer_id.tolist() == found.customer_id.tolist()
    assert table.set_index("customer_id").loc["c0000", "reason_1"].startswith("no visit")
    assert (table.history == "").all(), "this shop has no log to tell from"
    empty = recovery.with_context(shop, found.head(0), RISK)
    assert empty.empty and list(empty.columns) == recovery.COLUMNS


def test_without_trouble_or_worth_to_tell_nobody_is_called(shop):
    with pytest.raises(TooLittleData, match="no trouble"):
        recovery.troubled(shop, RISK, profile(shop, FEATURES[["customer_id", "margin_365d"]]))
    with pytest.raises(TooLittleData, match="worth"):
        recovery.troubled(shop, RISK, profile(shop, FEATURES.drop(columns="margin_365d")))
    with pytest.raises(Refusal, match=r"must lie in \[0, 1\]"):
        recovery.troubled(shop, RISK, profile(shop), saved_share=2)
