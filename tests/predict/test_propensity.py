"""A propensity against what was planted, against known formulas, and against itself saved."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.predict import propensity
from cdp_lib.predict.calibration import calibrate, expit, newton
from cdp_lib.predict.frame_set import Frames
from cdp_lib.predict.frames import from_table
from cdp_lib.predict.logistic import log_loss
from cdp_lib.predict.propensity import choose_winner
from cdp_lib.predict.ranking import auc_with_error
from cdp_lib.predict.saved import load, save
from cdp_lib.predict.verdict import signal


def planted(n: int, seed: int = 1, strength: float = 1.0, curved: bool = False) -> pd.DataFrame:
    """Rows whose true probability is known (column p): a straight law, or a curved one."""
    draw = np.random.default_rng(seed)
    x, z, noise = draw.normal(size=(3, n))
    colour = draw.choice(["red", "blue", "green"], n)
    lift = np.where(colour == "red", 1.0, 0.0)
    law = 1.5 * ((x * z > 0.3) | (np.abs(x) > 1.5)) if curved else np.sign(x) * np.log1p(np.abs(x))
    p = expit(-1 + strength * (law + lift))
    return pd.DataFrame(
        {
            "x": np.where(draw.random(n) < 0.1, np.nan, x), "z": z, "noise": noise,
            "colour": colour, "bought": draw.random(n) < p, "p": p,
        }
    )  # fmt: skip


FEATURES = ["x", "z", "noise", "colour"]


def frames_of(rows: pd.DataFrame, **options) -> Frames:
    return from_table(rows, "bought", features=FEATURES, **options)


def truth_of(frames: Frames, rows: pd.DataFrame) -> np.ndarray:
    return rows["p"].to_numpy()[frames.test["customer_id"].astype(int)]


@pytest.fixture(scope="module")
def straight():
    rows = planted(6000)
    frames = frames_of(rows)
    return rows, frames, propensity.fit(frames)


def test_a_straight_law_is_found(straight):
    rows, frames, model = straight
    p, truth = model.predict(frames.test), truth_of(frames, rows)
    assert model.verdict == "use" and model.winner in ("logistic", "average")
    label = frames.test["label"].to_numpy()
    best, error = auc_with_error(label, truth)
    # x is missing for a tenth, so a little of the truth cannot be had.
    assert auc_with_error(label, p)[0] > best - 0.03
    # Mean of n = 1,500 labels about their truth: four deviations of sqrt(p q / n) = 0.012.
    assert abs(p.mean() - truth.mean()) < 0.05
    assert np.corrcoef(p, truth)[0, 1] > 0.9
    assert 0.005 < error < 0.02


def test_a_curved_law_needs_trees():
    rows = planted(6000, curved=True, strength=1.5)
    frames = frames_of(rows)
    model = propensity.fit(frames)
    assert model.winner == "xgboost"
    scores = model.card["log_loss_on_choose"]
    assert scores["xgboost"] < scores["average"] < scores["logistic"]
    label = frames.test["label"].to_numpy()
    trees = auc_with_error(label, model.predict(frames.test))[0]
    assert trees > auc_with_error(label, replace(model, winner="logistic").predict(frames.test))[0]


def test_the_same_bytes_again(straight, tmp_path):
    _, frames, model = straight
    again = propensity.fit(frames)
    for name, fitted in (("one", model), ("two", again)):
        save(fitted, tmp_path / name)
    for file in ("card.json", "trees.ubj"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    other = propensity.fit(frames, seed=8)
    assert other.booster.save_raw("ubj") != model.booster.save_raw("ubj")


@pytest.mark.parametrize("winner", ["xgboost", "logistic", "average"])
def test_a_saved_model_predicts_bit_for_bit(straight, tmp_path, winner):
    _, frames, model = straight
    model = replace(model, winner=winner, card={**model.card, "winner": winner})
    read = load(save(model, tmp_path / "model"))
    np.testing.assert_array_equal(read.predict(frames.test), model.predict(frames.test))
    # A row's probability is its own, whichever rows come with it.
    some = np.concatenate([read.predict(frames.test[i : i + 7]) for i in range(0, 70, 7)])
    np.testing.assert_array_equal(some, model.predict(frames.test)[:70])
    assert read.card == json.loads(json.dumps(model.card))
    assert read.features == model.features and read.columns == model.columns
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"card.json", "trees.ubj"}
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_what_does_not_fit_is_refused(straight, tmp_path):
    _, frames, model = straight
    folder = save(model, tmp_path / "model")
    save(model, folder)  # a model may be written over
    (tmp_path / "own").mkdir()
    with pytest.raises(Refusal, match="exists and holds no model"):
        save(model, tmp_path / "own")
    with pytest.raises(Refusal, match=r"no readable card\.json"):
        load(tmp_path / "own")
    with pytest.raises(Refusal, match="features = 'noise': the model needs it"):
        load(folder, [f for f in model.features if f.name != "noise"])
    turned = [replace(f, kind="category") if f.name == "z" else f for f in model.features]
    with pytest.raises(Refusal, match="'z': is a category now, and was a number"):
        load(folder, turned)
    with pytest.raises(Refusal, match="lacks x, z"):
        model.predict(frames.test.drop(columns=["x", "z"]))
    with pytest.raises(Refusal, match="'tall': was a number"):
        model.predict(frames.test.assign(z="tall"))

    card = json.loads((folder / "card.json").read_text())

    def written(**changes):
        (folder / "card.json").write_text(json.dumps({**card, **changes}))

    written(format=2)
    with pytest.raises(Refusal, match="reads format 1"):
        load(folder)
    written(features=card["features"][1:])
    with pytest.raises(Refusal, match=r"trees\.ubj"):
        load(folder)
    written(calibration={})
    with pytest.raises(Refusal, match="is not whole"):
        load(folder)
    written()
    (folder / "trees.ubj").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(Refusal, match="cannot be read"):
        load(folder)
    (folder / "trees.ubj").unlink()
    if model.winner != "logistic":
        with pytest.raises(Refusal, match="is missing"):
            load(folder)


def test_an_unseen_category_is_missing(straight):
    _, frames, model = straight
    model = replace(model, winner="average")
    rows = frames.test.head(50)
    new = model.predict(rows.assign(colour="ultraviolet"))
    none = model.predict(rows.assign(colour=None))
    np.testing.assert_array_equal(new, none)
    red = model.predict(rows.assign(colour="red"))
    assert (red > none).all()


def test_no_signal_gets_no_model():
    rows = planted(8000, strength=0.0)
    model = propensity.fit(frames_of(rows))
    assert (model.verdict, model.winner) == ("no signal", "constant")
    assert "no better than chance" in model.reason
    p = model.predict(rows)
    assert np.ptp(p) == 0 and p[0] == pytest.approx(expit(-1), abs=0.06)


def test_too_few_positives_get_no_model_and_a_number(tmp_path):
    rows = planted(400).assign(bought=lambda t: t["p"].rank() > 380)
    model = propensity.fit(frames_of(rows))
    assert model.verdict == "too little data" and model.winner == "constant"
    assert model.booster is None and model.n_needed == 75
    assert model.warnings
    read = load(save(model, tmp_path / "model"))
    np.testing.assert_array_equal(read.predict(rows), model.predict(rows))
    # Enough to fit, too few to tell a faint law from chance.
    rows = planted(500, strength=0.25)
    model = propensity.fit(frames_of(rows))
    assert model.verdict == "too little data" and model.n_needed > 100
    assert "would settle" in model.reason


def test_how_often_chance_passes_for_signal():
    draw = np.random.default_rng(4)
    said = [
        signal(draw.random(400) < 0.3, draw.random(400), 1000).word == "use" for _ in range(1000)
    ]
    # The lower end of a 95 % interval lies above chance in 2.5 %: 25 ± 4 · 4.9 of 1,000.
    assert 5 <= sum(said) <= 45


def test_the_area_and_its_error():
    draw = np.random.default_rng(2)
    label, score = draw.random(300) < 0.4, np.round(draw.normal(size=300), 1)
    score = score + 0.7 * label
    hits, misses = score[label], score[~label]
    pairs = (hits[:, None] > misses) + 0.5 * (hits[:, None] == misses)
    auc, error = auc_with_error(label, score)
    assert auc == pytest.approx(pairs.mean(), abs=1e-12)
    by_hit, by_miss = pairs.mean(axis=1), pairs.mean(axis=0)
    wanted = by_hit.var(ddof=1) / len(hits) + by_miss.var(ddof=1) / len(misses)
    assert error == pytest.approx(np.sqrt(wanted), rel=1e-12)
    assert np.isnan(auc_with_error(np.ones(5), np.arange(5))[0])


def test_calibration_finds_shift_and_slope():
    from statsmodels.api import Logit, add_constant

    draw = np.random.default_rng(3)
    margin = draw.normal(size=20_000)
    right = (draw.random(20_000) < expit(margin)).astype(float)
    moved = (draw.random(20_000) < expit(margin - 0.7)).astype(float)
    steep = (draw.random(20_000) < expit(0.5 + 0.6 * margin)).astype(float)
    assert abs(calibrate(margin, right).intercept) < 0.06  # four standard errors of 0.015
    shift = calibrate(margin, moved)
    assert shift.intercept == pytest.approx(-0.7, abs=0.08)
    both = calibrate(margin, steep)
    assert both.kind == "shift and slope"
    reference = Logit(steep, add_constant(margin)).fit(disp=0).params
    assert (both.intercept, both.slope) == pytest.approx(tuple(reference), abs=1e-6)
    # Scores that say the opposite are not turned round.
    assert calibrate(-margin, right).slope == 1
    shifted = newton(np.ones((20_000, 1)), margin, moved)[0]
    losses = [log_loss(moved, margin + shifted + step) for step in (-0.01, 0, 0.01)]
    assert losses[1] == min(losses)


def test_the_simplest_wins_a_tie():
    assert choose_winner({"xgboost": 0.5, "logistic": 0.5004, "average": 0.5}) == "logistic"
    assert choose_winner({"xgboost": 0.5, "logistic": 0.51, "average": 0.4996}) == "xgboost"
    assert choose_winner({"xgboost": 0.5, "logistic": 0.51, "average": 0.49}) == "average"


def test_a_table_goes_straight_in():
    rows = planted(1500).drop(columns="p")
    model = propensity.fit(rows, "bought", seed=3)
    assert model.card["target"] == "bought = True" and model.card["seed"] == 3
    with pytest.raises(Refusal, match="a table needs a target"):
        propensity.fit(rows)
    roles = [row["n_rows"] for row in model.card["roles"]]
    assert sum(roles) == 1500 and len(roles) == 4


def test_regression_parts_add_up(straight):
    _, frames, model = straight
    x = model.columns.matrix(frames.test)
    parts = model.linear.contributions(x, len(model.columns.names))
    np.testing.assert_allclose(
        model.linear.intercept + parts.sum(axis=1), model.linear.margins(x), atol=1e-12
    )
    assert np.abs(parts[:, FEATURES.index("x")]).mean() > np.abs(parts[:, 2]).mean()
    # The penalty that was taken is no worse than its neighbours would be: the law is straight,
    # so odds rise with x.
    order = np.argsort(x[:, 0])
    thirds = np.array_split(model.predict(frames.test)[order[: int(np.isfinite(x[:, 0]).sum())]], 3)
    assert all(a.mean() < b.mean() for a, b in pairwise(thirds))
