"""Features against plain Python on random shops, one feature of one customer at a time."""

import math

import pandas as pd
import pytest
from profile_oracle import profiles
from random_shops import CUTOFF, cut, tables

from cdp_lib.customers import profile


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_good_part_of_the_features_are_those_of_plain_python(duckdb_con, make_shop, seed):
    as_plain_python(duckdb_con, make_shop, seed)


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.proof
def test_so_they_are_on_spark(spark_con, make_shop):
    as_plain_python(spark_con, make_shop, 14)


def as_plain_python(con, make_shop, seed):
    whole = tables(seed, n_customers=25, n_events=700)
    got = profile.as_of(make_shop(con, whole), CUTOFF).to_pandas().set_index("customer_id")
    wanted = profiles(cut(whole), CUTOFF)
    assert set(got.index) == set(wanted) and len(got) > 20
    compared = 0
    for customer, features in wanted.items():
        for name, value in features.items():
            have = got.loc[customer, name]
            if value is None:
                assert pd.isna(have), (customer, name, have)
            elif isinstance(value, str):
                assert have == value, (customer, name)
            else:
                # Amounts are summed in millionths, so they agree to rounding.
                assert math.isclose(have, value, rel_tol=1e-9, abs_tol=1e-9), (
                    customer, name, have, value,
                )  # fmt: skip
            compared += 1
    assert len(wanted[customer]) > 80 and compared > 2000
