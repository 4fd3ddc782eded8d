"""What was shown lately is read from the files that left; nothing of the present day counts."""

import pytest
from small_shop import people, write_shop

from cdp_lib.activate.audience import export
from cdp_lib.activate.ledger import ledger_of
from cdp_lib.activate.shown import just_shown
from cdp_lib.checks import Refusal
from cdp_lib.tables import open_shop


def at(tmp_path, day: str):
    return open_shop(write_shop(tmp_path, people(60), as_of=day))


@pytest.fixture
def sent(tmp_path):
    """One wave with products in the week of 16 November, and one without."""
    shop = at(tmp_path, "2026-11-16")
    rows = people(60)[["customer_id"]].assign(product_1="p1", product_2=None)
    rows.loc[:9, "product_2"] = "p2"
    one = export(shop, rows, "offers", "email", 0.5, ("product_1", "product_2"))
    export(shop, rows[["customer_id"]], "plain", "email", 0.5, layer="other")
    return one


def test_it_is_what_the_treated_were_shown(tmp_path, sent):
    assigned = ledger_of(at(tmp_path, "2026-11-23")).assignments("offers.2026-W47")
    treated = set(assigned.unit_id[assigned.arm == "treated"])
    first = set(people(60).customer_id.head(10))
    wanted = {(one, "p1") for one in treated} | {(one, "p2") for one in treated & first}
    found = just_shown(at(tmp_path, "2026-11-23"))
    assert set(found.itertuples(index=False, name=None)) == wanted and len(found) == len(wanted)
    assert len(treated & first) > 0 and list(found.columns) == ["customer_id", "product_id"]


@pytest.mark.parametrize(
    ("day", "days", "some"),
    [
        ("2026-11-16", 14, False),  # it leaves just now
        ("2026-11-30", 14, True),  # on the last day that counts
        ("2026-12-01", 14, False),
        ("2026-11-23", 0, False),
    ],
)
def test_only_the_days_before_count(tmp_path, sent, day, days, some):
    assert (len(just_shown(at(tmp_path, day), days)) > 0) == some


def test_a_file_that_is_gone_tells_nothing_and_a_broken_one_is_named(tmp_path, sent):
    shop = at(tmp_path, "2026-11-23")
    (file,) = [path for path in sent.paths if path.suffix == ".parquet"]
    content = file.read_bytes()
    file.unlink()
    assert just_shown(shop).empty
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(Refusal, match=r"offers\.parquet.*restore it, or take it away"):
        just_shown(shop)


def test_a_shop_that_has_sent_nothing_has_shown_nothing(tmp_path):
    found = just_shown(at(tmp_path, "2026-11-23"))
    assert found.empty and list(found.columns) == ["customer_id", "product_id"]
