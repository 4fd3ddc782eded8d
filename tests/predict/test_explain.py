"""Explanations: they add up, they are Shapley's values, and their tables say what is planted."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.customers.features import Feature
from cdp_lib.predict import trees
from cdp_lib.predict.calibration import NONE, Calibration
from cdp_lib.predict.explain import (
    dependence_table,
    explain,
    group_table,
    importance_table,
    point_table,
)
from cdp_lib.predict.propensity import fit

WINNERS = ("xgboost", "logistic", "average")
BENT = Calibration(intercept=-0.4, slope=0.7, kind="shift and slope")


def customers(n=2400, seed=3) -> pd.DataFrame:
    """Days since the last visit raise, orders lower, a city moves, noise does nothing."""
    rng = np.random.default_rng(seed)
    days, orders = rng.exponential(40, n), rng.poisson(2, n)
    city = rng.choice(["Ghent", "Porto", "Riga"], n, p=[0.6, 0.3, 0.1])
    margin = 0.02 * (days - 40) - 0.5 * (orders - 2) + np.where(city == "Porto", 1.0, 0.0)
    gone = rng.random(n) < 1 / (1 + np.exp(-margin))
    days[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {"days": days, "orders": orders, "city": city, "noise": rng.normal(size=n), "gone": gone}
    )


@pytest.fixture(scope="module")
def mixed():
    """A model of numbers, missing numbers and a category."""
    return fit(customers(), "gone")


@pytest.fixture(scope="module")
def plain():
    """A model of numbers alone, some missing."""
    return fit(customers().drop(columns="city"), "gone")


@pytest.mark.parametrize("winner", WINNERS)
@pytest.mark.parametrize("calibration", [NONE, BENT], ids=["raw", "calibrated"])
def test_values_and_base_add_up_to_the_calibrated_log_odds(mixed, winner, calibration):
    model = dataclasses.replace(mixed, winner=winner, calibration=calibration)
    frame = customers(300, seed=9)
    found = explain(model, frame, background=customers(500))
    p = model.predict(frame)
    assert np.abs(found.values.sum(axis=1) + found.base_values - np.log(p / (1 - p))).max() < 1e-4
    assert found.values.shape == (300, 4) and found.feature_names == list(model.columns.names)


def test_the_trees_are_explained_as_the_shap_package_does(plain):
    shap = pytest.importorskip("shap")
    model = dataclasses.replace(plain, winner="xgboost", calibration=NONE)
    frame = customers(400, seed=5)
    ours = explain(model, frame)
    assert np.ptp(ours.base_values) == 0
    peer = shap.TreeExplainer(model.booster)
    peer.model.model_type = "internal"  # its own algorithm: else it would ask XGBoost, as we do
    assert np.abs(ours.values - peer.shap_values(model.columns.matrix(frame))).max() < 1e-5
    assert np.isnan(ours.data).any()  # missing values were among them


def test_a_gpu_is_asked_first_and_the_processor_where_it_cannot(plain, monkeypatch):
    model = dataclasses.replace(plain, winner="xgboost", calibration=NONE)
    rows = customers(400, seed=5)
    alone = explain(model, rows).values
    assert trees.device() == "cpu", "the tests run on the build without GPU libraries"
    monkeypatch.setattr(trees, "device", lambda: "cuda")
    np.testing.assert_array_equal(explain(model, rows).values, alone)  # none is seen
    asked = []

    class Full:
        """A booster whose GPU has no room."""

        def set_param(self, given):
            asked.append(given["device"])

        def predict(self, matrix, **options):
            if asked[-1] == "cuda":
                raise trees.library().core.XGBoostError("out of memory")
            return model.booster.predict(matrix, **options)

    matrix = model.data_matrix(rows)
    found = trees.shap_values(Full(), matrix)
    assert asked == ["cuda", "cpu"]
    np.testing.assert_array_equal(found[:, 0, :-1], alone)


def test_the_trees_of_a_category_are_explained_as_by_hand(mixed):
    """Shapley's formula over all subsets, with each tree walked by hand: what is not in the
    subset goes both ways, in the proportion of the training rows."""
    booster = mixed.booster[:12]
    model = dataclasses.replace(mixed, winner="xgboost", calibration=NONE, booster=booster)
    frame = customers(25, seed=8)
    x, names = model.columns.matrix(frame), list(model.columns.names)
    trees = [json.loads(text) for text in booster.get_dump(dump_format="json", with_stats=True)]
    assert any(isinstance(node.get("split_condition"), list) for t in trees for node in walk(t))
    found = explain(model, frame)
    for row in range(len(frame)):
        by_hand = shapley(lambda s, row=row: expected(trees, names, x[row], s), len(names))
        assert found.values[row] == pytest.approx(by_hand, abs=1e-5)


def test_a_regression_is_explained_as_by_hand(mixed):
    """Shapley's formula, with what is not in the subset taken from each row of the background."""
    model = dataclasses.replace(mixed, winner="logistic", calibration=NONE)
    frame, background = customers(5, seed=8), customers(60, seed=1)
    found = explain(model, frame, background)
    for row in range(len(frame)):

        def worth(subset, row=row):
            world = background.drop(columns="gone").copy()
            for place in subset:
                name = model.columns.names[place]
                world[name] = frame[name].iloc[row]
            return model.margins(model.columns.matrix(world)).mean()

        assert found.values[row] == pytest.approx(shapley(worth, 4), abs=1e-9)


def test_the_average_is_explained_by_the_average(mixed):
    frame, background = customers(50, seed=2), customers(200)
    parts = [
        explain(dataclasses.replace(mixed, winner=name), frame, background)
        for name in ("xgboost", "logistic")
    ]
    both = explain(dataclasses.replace(mixed, winner="average"), frame, background)
    assert both.values == pytest.approx((parts[0].values + parts[1].values) / 2, abs=1e-12)
    intercept = mixed.calibration.intercept
    bases = [part.base_values - intercept for part in parts]
    assert both.base_values - intercept == pytest.approx((bases[0] + bases[1]) / 2, abs=1e-12)


def test_a_customer_is_explained_the_same_whoever_stands_by(mixed):
    model = dataclasses.replace(mixed, winner="average")
    frame, background = customers(40, seed=2), customers(200)
    together = explain(model, frame, background)
    alone = explain(model, frame.iloc[[7]], background)
    assert alone.values[0] == pytest.approx(together.values[7], abs=1e-6)


def test_a_regression_with_categories_asks_for_a_background(mixed):
    model = dataclasses.replace(mixed, winner="logistic")
    with pytest.raises(Refusal, match=r"frames\.train"):
        explain(model, customers(5))


def test_nothing_is_explained_where_everybody_has_one_probability(mixed):
    with pytest.raises(Refusal, match="one probability for everybody"):
        explain(dataclasses.replace(mixed, winner="constant"), customers(5))
    with pytest.raises(Refusal, match="lacks days"):
        explain(dataclasses.replace(mixed, winner="xgboost"), customers(5).drop(columns="days"))


def test_an_explanation_keeps_the_data_and_serves_shaps_own_tools(mixed):
    frame = customers(30, seed=4)
    found = explain(dataclasses.replace(mixed, winner="xgboost"), frame)
    assert found[3].values.shape == (4,) and found[:, "days"].values.shape == (30,)
    assert found.abs.mean(0).values == pytest.approx(np.abs(found.values).mean(axis=0))
    place = found.feature_names.index("city")
    assert list(found.display_data[:, place]) == list(frame["city"])
    assert found.data[:, 0] == pytest.approx(frame["days"].to_numpy(), nan_ok=True, rel=0)
    assert found[2].display_data[place] == frame["city"].iloc[2]


def test_shap_can_draw_what_is_handed_back(mixed):
    pytest.importorskip("matplotlib", reason="shap's own pictures need matplotlib").use("Agg")
    import shap

    found = explain(dataclasses.replace(mixed, winner="xgboost"), customers(60, seed=4))
    shap.plots.beeswarm(found, show=False)
    shap.plots.waterfall(found[0], show=False)


@pytest.mark.parametrize("winner", WINNERS)
def test_importance_names_the_planted_drivers_and_their_directions(mixed, winner):
    model = dataclasses.replace(mixed, winner=winner)
    table = importance_table(
        explain(model, customers(600, seed=6), customers(500)), model.features
    ).set_index("feature")
    assert table.direction.loc[["days", "orders", "city"]].tolist() == [
        "higher raises", "higher lowers", "by category",
    ]  # fmt: skip
    assert table.index[-1] == "noise" and table.share.sum() == pytest.approx(1)
    assert table.mean_abs.is_monotonic_decreasing


def made(values, names=("a", "b", "c"), data=None, shown=None):
    """A shap.Explanation of these values."""
    from shap import Explanation

    values = np.asarray(values, float)
    data = np.zeros(values.shape) if data is None else np.asarray(data, float)
    return Explanation(
        values, np.zeros(len(values)), data=data, display_data=shown, feature_names=list(names)
    )


def test_a_group_counts_what_its_features_say_together():
    features = [
        Feature("a", "a", "days", "events", "recency"),
        Feature("b", "b", "days", "events", "recency"),
        Feature("c", "c", "category", "customers", "attributes", "category"),
        Feature("d", "d", "category", "customers", "attributes", "category"),
    ]
    found = made([[2, -2, 0.5, 0], [2, 0, -0.5, 1]], "abcd")
    table = group_table(found, features)
    # recency: |2 - 2| and |2 + 0|, mean 1; each attribute is by itself: 0.5 and 0.5.
    assert list(table.itertuples(index=False, name=None)) == [
        ("recency", 2, "a", 1.0, 0.5), ("c", 1, "c", 0.5, 0.25), ("d", 1, "d", 0.5, 0.25),
    ]  # fmt: skip


def test_importance_by_hand():
    features = [Feature(name, f"the {name}", "number", "t", "money") for name in "abc"]
    rising = [[1, 0, 0.5], [2, 0, -0.5], [3, 0, 0.5], [4, 0, -0.5]]
    data = [[1, 5, 1], [2, 6, 1], [3, 7, 2], [4, 8, 2]]
    table = importance_table(made(rising, data=data), features)
    assert list(table.itertuples(index=False, name=None)) == [
        ("a", "the a", "money", 2.5, 2.5 / 3, "higher raises"),
        ("c", "the c", "money", 0.5, 0.5 / 3, "mixed"),
        ("b", "the b", "money", 0.0, 0.0, "none"),
    ]
    with pytest.raises(Refusal, match=r"model\.features"):
        importance_table(made(rising), features[:2])


def test_importance_where_nothing_moves_has_no_shares():
    features = [Feature(name, name, "number", "t", "money") for name in "abc"]
    table = importance_table(made(np.zeros((4, 3))), features)
    assert table.share.isna().all() and set(table.direction) == {"none"}


def test_dependence_gives_values_as_the_frame_holds_them():
    shown = np.array([[1.0, "Ghent"], [np.nan, None]], dtype=object)
    found = made([[0.1, 0.2], [0.3, 0.4]], "ab", [[1, 0], [np.nan, np.nan]], shown)
    numbers = dependence_table(found, "a")
    assert numbers.value.dtype == float and numbers.value.isna().tolist() == [False, True]
    cities = dependence_table(found, "b")
    assert cities.value.iloc[0] == "Ghent" and pd.isna(cities.value.iloc[1])
    assert cities.contribution.tolist() == [0.2, 0.4]
    with pytest.raises(Refusal, match="did you mean 'a'"):
        dependence_table(found, "aa")


def test_points_are_few_drawn_by_the_seed_and_ranked():
    features = [Feature(name, f"the {name}", "number", "t", "money") for name in "ab"]
    features.append(Feature("c", "the c", "category", "t", "attributes", "category"))
    rng = np.random.default_rng(0)
    data = np.column_stack([rng.permutation(500), np.full(500, 3.0), np.zeros(500)])
    data[:50, 0] = np.nan
    found = made(rng.normal(size=(500, 3)) * [1, 3, 2], data=data)
    table = point_table(found, features, top=3, n_points=300)
    assert table.groupby("feature", sort=False).size().to_dict() == {"b": 100, "c": 100, "a": 100}
    ranks = table.set_index("feature")["rank"]
    assert (ranks["b"] == 0.5).all() and ranks["c"].isna().all()
    assert (ranks["a"].min(), ranks["a"].max()) == (0, 1) and 0 < ranks["a"].isna().sum() < 30
    # The same customers in each row, every one of them explained, and the same ones next time.
    rows = [np.flatnonzero(np.isin(found.values[:, place], table.contribution)) for place in (0, 1)]
    assert len(rows[0]) == 100 and (rows[0] == rows[1]).all()
    pd.testing.assert_frame_equal(table, point_table(found, features, top=3, n_points=300))
    assert len(point_table(found[:0], features)) == 0


@pytest.mark.slow
def test_the_sign_of_a_planted_driver_is_right_in_every_world():
    """20 worlds of 1,200 customers; the driver moves log odds by ±0.5 a standard deviation.

    Its own z value on the 55 % that train is about 0.5 sqrt(660 · 0.23) = 6, so that one wrong
    sign would be a fault of the explanation, not chance. A world whose few calibration rows cannot
    prove the model (about one in four) is explained by the average of its two models.
    """
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sign = 1 if seed % 2 else -1
        frame = pd.DataFrame(rng.normal(size=(1200, 3)), columns=["x", "y", "z"])
        frame["hit"] = rng.random(1200) < 1 / (1 + np.exp(-0.5 * sign * frame.x))
        model = fit(frame, "hit", seed=seed)
        model = dataclasses.replace(model, winner=model.winner.replace("constant", "average"))
        table = importance_table(explain(model, frame), model.features)
        assert table.feature[0] == "x"
        assert table.direction[0] == ("higher raises" if sign > 0 else "higher lowers")


@pytest.mark.proof
def test_the_drivers_of_a_visit_have_their_signs_in_nearly_every_simulated_shop(tmp_path):
    """Visits are Poisson while a person lives, and a death is never seen: so the longer ago the
    last visit, the less likely the next, and the more visits, the likelier. Right in 95 % of 40."""
    from datetime import timedelta

    from cdp_lib.customers import profile
    from cdp_lib.predict.outcome import Outcome, label_table
    from cdp_lib.tables import open_shop
    from cdp_lib.world import simulate

    outcome = Outcome("visit", 14, active_event="visit", active_days=120)
    told = ["days_since_visit", "visits_90d", "age_years", "mobile_share"]
    right = {"days_since_visit": 0, "visits_90d": 0}
    for seed in range(40):
        folder = tmp_path / str(seed)
        simulate(folder, customers=1500, weeks=30, seed=seed)
        shop = open_shop(folder / "shop.toml")
        cutoff = shop.as_of - timedelta(days=14)
        label = label_table(shop, outcome, cutoff).to_pandas()
        known = profile.as_of(shop, cutoff).select("customer_id", *told).to_pandas()
        table = label.merge(known, on="customer_id")
        model = fit(table, "label", id="customer_id", seed=seed)
        found = importance_table(explain(model, table.head(1000), table), model.features)
        way = found.set_index("feature").direction
        right["days_since_visit"] += way["days_since_visit"] == "higher lowers"
        right["visits_90d"] += way["visits_90d"] == "higher raises"
    print(right)
    assert min(right.values()) >= 38


def shapley(worth, n: int) -> list[float]:
    """Shapley's values of a game of n players by his formula, over all subsets."""
    known = {
        subset: worth(subset)
        for size in range(n + 1)
        for subset in itertools.combinations(range(n), size)
    }
    values = []
    for player in range(n):
        total = 0.0
        for subset in known:
            if player not in subset:
                weight = math.factorial(len(subset)) * math.factorial(n - len(subset) - 1)
                joined = tuple(sorted((*subset, player)))
                total += weight / math.factorial(n) * (known[joined] - known[subset])
        values.append(total)
    return values


def walk(node: dict):
    """Every node of a dumped tree."""
    yield node
    for child in node.get("children", ()):
        yield from walk(child)


def expected(trees, names, row, subset) -> float:
    """The sum of the trees' leaves for a row of which only the columns of `subset` are known."""

    def below(node) -> float:
        if "leaf" in node:
            return node["leaf"]
        child = {one["nodeid"]: one for one in node["children"]}
        place = names.index(node["split"])
        if place not in subset:
            whole = sum(one["cover"] for one in node["children"])
            return sum(one["cover"] / whole * below(one) for one in node["children"])
        value, bound = row[place], node["split_condition"]
        if np.isnan(value):
            way = node["missing"]
        elif isinstance(bound, list):
            way = node["yes"] if int(value) in bound else node["no"]
        else:
            way = node["yes"] if value < bound else node["no"]
        return below(child[way])

    return sum(below(tree) for tree in trees)
