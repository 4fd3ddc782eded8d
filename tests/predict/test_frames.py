"""Frames: roles that never meet, closed windows, and everything odd in a table said aloud."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import small_shops as small

from cdp_lib.checks import Refusal
from cdp_lib.customers import profile
from cdp_lib.predict import frames
from cdp_lib.predict.columns import Columns, kind_of, read_columns
from cdp_lib.predict.cutoffs import Cutoffs
from cdp_lib.predict.outcome import Outcome, label_table
from cdp_lib.predict.roles import ROLES, SHARES, role_of

BUYS = Outcome("purchase", 14, active_days=60)


def buyers(n: int, days: int, seed: int = 3):
    """Customers who buy at rates of their own."""
    draw = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        d, mean = draw.uniform(0, 40), draw.gamma(2.0, 15.0)
        while d < days:
            rows.append((f"c{i}", d, draw.uniform(5, 50)))
            d += draw.exponential(mean)
    return small.orders(*rows)


@pytest.fixture(scope="module")
def shop(duckdb_con, tmp_path_factory):
    folder = tmp_path_factory.mktemp("buyers")
    return small.opened(folder, duckdb_con, small.day(200), orders=buyers(1500, 200))


@pytest.fixture(scope="module")
def found(shop):
    return frames.from_shop(shop, BUYS, lookback_days=90)


def test_each_customer_has_one_role_and_each_window_its_time(shop, found):
    seen = {role: set(found.part(role)["customer_id"]) for role in ROLES}
    for i, role in enumerate(ROLES):
        for other in ROLES[i + 1 :]:
            assert not seen[role] & seen[other]
    assert found.cutoffs.test == small.day(186)
    for role, cutoff in found.cutoffs.all:
        assert (found.part(role)["cutoff"] == cutoff).any()
        if role != "test":
            assert cutoff + pd.Timedelta(days=15) <= found.cutoffs.test
    n = sum(map(len, seen.values()))
    for role in ROLES:
        # Binomial: four standard deviations either way.
        wanted = n * SHARES[role]
        assert abs(len(seen[role]) - wanted) < 4 * np.sqrt(wanted * (1 - SHARES[role])) + 1


def test_rows_are_the_profile_beside_the_label(shop, found):
    test = found.test.set_index("customer_id")
    labels = small.labels(label_table(shop, BUYS, found.cutoffs.test))
    everybody = pd.Series(list(labels))
    wanted = set(everybody[role_of(everybody, 7) == "test"])
    assert set(test.index) == wanted and test.index.is_unique
    assert (test["label"] == pd.Series(labels)[test.index]).all()
    table = profile.as_of(shop, found.cutoffs.test, 90).to_pandas().set_index("customer_id")
    assert found.names and set(found.names) <= set(table.columns)
    for name, kind in zip(found.columns.names, found.columns.kinds, strict=True):
        if kind == "number":
            known = table.loc[test.index, name].to_numpy(dtype=float, na_value=np.nan)
            np.testing.assert_array_equal(test[name].to_numpy(), known)
    assert list(found.test.columns) == ["customer_id", "cutoff", "label", *found.names]
    assert found.test["label"].dtype == "int8"
    roles = frames.role_table(found)
    counted = found.n_at_risk
    assert list(roles["n_rows"]) == list(counted["n_customers"])
    assert list(roles["n_positive"]) == list(counted["n_positive"])


def test_the_same_rows_again_and_fewer_by_hash(shop, found):
    at = Cutoffs(found.cutoffs.train[-1:], *(c for _, c in found.cutoffs.all[-3:]))
    few = frames.from_shop(shop, BUYS, 90, at=at, cap=600)
    for role in ROLES:
        assert set(few.part(role)["customer_id"]) <= set(found.part(role)["customer_id"])
    n = sum(len(few.part(role)) for role in ROLES)
    # Each customer is kept by itself with 600 of 1,300: four binomial deviations.
    assert abs(n - 600) < 4 * np.sqrt(600)
    assert any("drawn by the hash" in warning for warning in few.warnings)
    again = frames.from_shop(shop, BUYS, 90, at=at, cap=600)
    for role in ROLES:
        pd.testing.assert_frame_equal(few.part(role), again.part(role))


def test_a_cutoff_at_another_time(shop, found):
    earlier = found.cutoffs.test - pd.Timedelta(days=28)
    part = frames.frame_at(shop, found, earlier.isoformat())
    assert list(part.columns) == list(found.test.columns)
    assert not set(part["customer_id"]) & set(found.train["customer_id"])
    again = frames.frame_at(shop, found, found.cutoffs.test)
    pd.testing.assert_frame_equal(again, found.test)
    with pytest.raises(Refusal, match="wait until"):
        frames.frame_at(shop, found, "2026-07-18")


def test_roles_are_the_same_on_both_engines(con, make_table):
    from cdp_lib.predict.frames import _of_role

    ids = pd.DataFrame({"customer_id": [f"id {i}" for i in range(400)] + ["ä", "", "🙂"]})
    table = make_table(con, ids)
    wanted = role_of(ids["customer_id"], 7)
    for role in ROLES:
        got = _of_role(table, role, 7).execute()["customer_id"]
        assert set(got) == set(ids["customer_id"][wanted == role])


def test_shops_that_no_model_can_learn_from(duckdb_con, tmp_path):
    rows = [(f"c{i}", d) for i in range(50) for d in range(0, 200, 5)]
    shop = small.opened(tmp_path, duckdb_con, small.day(200), orders=small.orders(*rows))
    with pytest.raises(Refusal, match="no negatives among"):
        frames.from_shop(shop, BUYS, 90)
    with pytest.raises(Refusal, match="no positives among"):
        frames.from_shop(shop, Outcome("use_coupon", 14, active_days=60), 90)
    # All buy until day 150 and nobody after it, as when an export broke.
    cut = [(f"c{i}", d) for i in range(200) for d in range(i % 5, 150, 5 + i % 60)]
    (tmp_path / "cut").mkdir()
    shop = small.opened(tmp_path / "cut", duckdb_con, small.day(200), orders=small.orders(*cut))
    with pytest.raises(Refusal, match="one class in its window"):
        frames.from_shop(shop, Outcome("purchase", 14, active_days=120), 90)


def table(n: int = 400, seed: int = 1) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=n)
    return pd.DataFrame(
        {
            "id": [f"i{i}" for i in range(n)],
            "day": pd.date_range("2026-01-01", periods=n, freq="h"),
            "x": x,
            "colour": draw.choice(["red", "blue", None], n),
            "member": draw.choice([True, False, None], n),
            "charges": [f" {v:.2f}" if v > -1.5 else " " for v in x],
            "bought": np.where(draw.random(n) < 1 / (1 + np.exp(-x)), "yes", "no"),
        }
    )


def test_a_prepared_table(duckdb_con, make_table):
    rows = table()
    found = frames.from_table(rows, "bought", id="id", features=["x", "colour", "charges"])
    assert found.columns.kinds == ("number", "category", "number")
    assert found.columns.categories[1] == ("blue", "red")
    assert found.target == "bought = yes"
    joined = pd.concat([found.part(role) for role in ROLES]).set_index("customer_id")
    assert len(joined) == 400 and joined.index.is_unique
    wanted = (rows.set_index("id")["bought"] == "yes").astype("int8")
    assert (joined["label"] == wanted[joined.index]).all()
    assert joined["charges"].isna().sum() == (rows["charges"] == " ").sum() > 5
    # The same rows in another order, and from an engine, have the same roles.
    names = ["x", "colour", "charges"]
    mixed = frames.from_table(
        rows.sample(frac=1, random_state=2), "bought", id="id", features=names
    )
    assert set(mixed.test["customer_id"]) == set(found.test["customer_id"])
    engine = make_table(duckdb_con, rows)
    there = frames.from_table(engine, "bought", id="id", features=names)
    assert set(there.test["customer_id"]) == set(found.test["customer_id"])


def test_a_table_split_in_time():
    rows = table()
    rows["day"] = rows["day"].dt.floor("D")
    found = frames.from_table(rows, "bought", id="id", time="day", features=["x"])
    ends = [(found.part(r)["cutoff"].min(), found.part(r)["cutoff"].max()) for r in ROLES]
    assert all(a[1] < b[0] for a, b in pairwise(ends))
    assert len(found.test) == pytest.approx(100, abs=24)
    with pytest.raises(Refusal, match="1 times leave no row"):
        frames.from_table(rows.assign(day="2026-01-01"), "bought", id="id", time="day")
    with pytest.raises(Refusal, match="cannot be read as dates"):
        frames.from_table(rows.assign(day="soon"), "bought", id="id", time="day")


def test_what_a_table_may_not_be():
    rows = table()
    with pytest.raises(Refusal, match="the target is among the features"):
        frames.from_table(rows, "bought", features=["x", "bought"])
    with pytest.raises(Refusal, match="says the target in other words"):
        frames.from_table(rows.assign(again=rows["bought"].map({"yes": "A", "no": "B"})), "bought")
    with pytest.raises(Refusal, match="did you mean 'bought'"):
        frames.from_table(rows, "bougth")
    with pytest.raises(Refusal, match="is constant: every row is yes"):
        frames.from_table(rows.assign(bought="yes"), "bought")
    with pytest.raises(Refusal, match="say which of them counts"):
        frames.from_table(rows.assign(bought=rows["bought"] + "!"), "bought")
    with pytest.raises(Refusal, match="has 3 values"):
        frames.from_table(rows.assign(bought=np.arange(400) % 3), "bought")
    with pytest.raises(Refusal, match="1 ids repeat, such as 'i0'"):
        frames.from_table(rows.assign(id=["i0", "i0", *rows["id"][2:]]), "bought", id="id")
    with pytest.raises(Refusal, match="names kept for the frame"):
        frames.from_table(rows.rename(columns={"x": "label"}), "bought")
    with pytest.raises(Refusal, match="none can be used"):
        frames.from_table(rows[["id", "bought"]].assign(x=1), "bought", id="id")
    turned = frames.from_table(rows.assign(bought=rows["bought"] + "!"), "bought", positive="no!")
    assert turned.target == "bought = no!"


def test_columns_that_are_set_aside_are_named():
    rows = table().assign(
        empty=None,
        one="a",
        blank=" ",
        when=pd.Timestamp("2026-01-01"),
        note=[f"n{i}" for i in range(400)],
    )
    found = frames.from_table(rows, "bought", id="id")
    assert set(found.set_aside) == {"empty", "one", "blank", "when", "note", "day"}
    assert "like an id" in found.set_aside["note"] and "date" in found.set_aside["when"]
    assert found.names == ["x", "colour", "member", "charges"]
    assert found.columns.kinds == ("number", "category", "number", "number")


def test_few_positives_are_said_with_their_interval():
    rows = table(3000).assign(bought=lambda t: np.arange(3000) % 60 == 0)
    found = frames.from_table(rows[["x", "colour", "bought"]], "bought")
    assert len(found.warnings) == 1
    n = int(found.train["label"].sum())
    assert f"Only {n} positives" in found.warnings[0] and "95 % interval" in found.warnings[0]


def test_the_matrix_of_a_frame():
    columns = Columns(("a", "b"), ("number", "category"), ((), ("3", "x")))
    frame = pd.DataFrame({"b": ["x", "new", None, 3.0], "a": [1, np.inf, None, True]})
    got = columns.matrix(frame)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[:, 1], [1, np.nan, np.nan, 0])
    np.testing.assert_array_equal(got[:, 0], [1, np.nan, np.nan, 1])
    assert Columns.from_card(columns.to_card()) == columns
    with pytest.raises(Refusal, match="lacks b"):
        columns.matrix(frame[["a"]])
    with pytest.raises(Refusal, match="a = 'word': was a number"):
        columns.matrix(frame.assign(a="word"))
    with pytest.raises(Refusal, match=r"b = 0\.5: was a category"):
        columns.matrix(frame.assign(b=0.5))


def test_only_the_commonest_categories_are_known():
    values = [f"v{i:03d}" for i in range(150) for _ in range(3 if i >= 50 else 2)]
    columns, aside = read_columns(pd.DataFrame({"city": values}), ["city"])
    assert not aside
    assert columns.categories[0] == tuple(f"v{i:03d}" for i in range(50, 150))
    assert kind_of(pd.Series([None, "1", " 2.5 "])) == "number"
    assert kind_of(pd.Series(["1", "two"])) == "category"
