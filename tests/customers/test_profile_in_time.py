"""Features from the whole log equal features from a log cut by hand, bit for bit."""

import pandas as pd
import pytest
from random_shops import CUTOFF, cut, tables

from cdp_lib.customers import profile


def read(shop, **options):
    return (
        profile.as_of(shop, CUTOFF, **options)
        .to_pandas()
        .sort_values("customer_id", ignore_index=True)
    )


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (1, {}),
        (2, {"versions": False}),
        (3, {"late": False}),
        (4, {"sessions": False}),
        (5, {"sessions": False, "late": False, "versions": False}),
    ],
)
def test_the_whole_log_and_the_cut_log_give_the_same_profile(con, make_shop, seed, options):
    whole = tables(seed, **options)
    part = cut(whole)
    assert len(part["events"]) < len(whole["events"]) - 100
    full, known = read(make_shop(con, whole)), read(make_shop(con, part, as_of="2026-07-01"))
    pd.testing.assert_frame_equal(full, known, check_exact=True)
    assert len(full) > 20 and full.visits_365d.sum() > 100
