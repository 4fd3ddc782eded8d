"""The read-out on public experiments, declared by the project's own examples."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cdp_lib.lift.effect import effect
from cdp_lib.lift.metrics import Metric
from cdp_lib.lift.summaries import looks
from cdp_lib.lift.sums import of_frame
from cdp_lib.report import loop
from cdp_lib.tables import open_shop

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "examples"
# Difference to no mail (Welch's standard error), as computed once from the very file with NumPy.
HILLSTROM = {
    ("mens", "visit"): (0.07659, 0.00339),
    ("mens", "conversion"): (0.00681, 0.00092),
    ("mens", "spend"): (0.76983, 0.14525),
    ("womens", "visit"): (0.04523, 0.00323),
    ("womens", "conversion"): (0.00311, 0.00082),
    ("womens", "spend"): (0.42441, 0.13033),
}


@pytest.fixture(scope="module")
def example(shared_data, tmp_path_factory):
    """`example(name, path, file)`: the example's shop with a public file where it says `path`."""

    def shop(name, path, file, change=lambda text: text):
        folder = tmp_path_factory.mktemp(name)
        (folder / "shop.toml").write_text(change((EXAMPLES / f"{name}.toml").read_text()))
        (folder / path).symlink_to(shared_data / file)
        return open_shop(folder / "shop.toml")

    return shop


@pytest.fixture(scope="module")
def hillstrom(example):
    (one,) = loop.read(
        example("hillstrom", "hillstrom.parquet", "hillstrom/hillstrom.parquet")
    ).readouts
    return one


def test_hillstroms_effects_and_errors(hillstrom):
    rows = hillstrom.effects.set_index(["arm", "metric"])
    for key, (lift, se) in HILLSTROM.items():
        row = rows.loc[key]
        assert row.raw_lift == pytest.approx(lift, abs=6e-6)
        assert (row.raw_high - row.raw_low) / 2 / 1.96 == pytest.approx(se, abs=1.2e-5)
    assert hillstrom.srm_pvalue == pytest.approx(0.9037, abs=1e-4)
    assert set(hillstrom.effects.verdict) == {"scale"}


def test_cuped_saves_next_to_nothing_on_hillstrom(shared_data):
    data = pd.read_parquet(shared_data / "hillstrom" / "hillstrom.parquet")
    parts = {arm: of_frame(rows, ["spend", "history"]) for arm, rows in data.groupby("segment")}
    spend = Metric("spend", "revenue", "spend")
    for arm, lift in (("Mens E-Mail", 0.76744), ("Womens E-Mail", 0.42270)):
        one = effect(parts["No E-Mail"], parts[arm], spend, ["history"])
        assert one.abs_lift == pytest.approx(lift, abs=6e-6)
        assert one.cuped_saved == pytest.approx(0.0004, abs=1e-4)


def test_cuped_saves_much_on_the_complete_journey(shared_data):
    sales = pd.read_parquet(shared_data / "complete_journey" / "transactions.parquet",
                            columns=["household_id", "week", "sales_value"])  # fmt: skip
    late = sales[sales.week.between(40, 53)]
    side = np.where(late.week <= 46, "before", "spend")
    wide = late.assign(side=side).pivot_table(
        index="household_id", columns="side", values="sales_value", aggfunc="sum", fill_value=0
    )
    arm = np.random.default_rng(1).random(len(wide)) < 0.5
    parts = [of_frame(wide[arm == value], ["spend", "before"]) for value in (False, True)]
    one = effect(*parts, Metric("spend", "revenue", "spend"), ["before"])
    # The correlation is 0.833: 1 - 0.833^2 leaves 31 % of the variance.
    assert one.cuped_saved == pytest.approx(0.833**2, abs=0.02)


def test_cookie_cats_mismatch_refuses_the_verdict(example):
    shop = example(
        "cookie_cats",
        "cookie_cats.parquet",
        "cookie_cats/cookie_cats.parquet",
        lambda text: text.replace('"cookie_cats.csv"', '"cookie_cats.parquet"'),
    )
    (one,) = loop.read(shop).readouts
    assert one.srm_pvalue == pytest.approx(0.0086, abs=5e-5)
    assert one.verdicts["gate_40"].text == "refused (sample ratio mismatch)"
    row = one.effects.set_index("metric").loc["retention_7"]
    assert row.abs_lift == pytest.approx(0.182000 - 0.190201, abs=1e-6)
    values = one.gate_table().set_index("gate").loc["values"]
    assert values.status == "warning", "one player has 49,854 rounds"


def test_asos_is_read_from_summaries(example):
    file = "asos_digital_experiments.parquet"
    shop = example("asos", file, f"asos_experiments/{file}")
    found = loop.read(shop)
    assert len(found.readouts) == 99
    assert len({one.experiment.experiment_id for one in found.readouts}) == 78
    raw = shop.summaries.to_pandas()
    one = found.readouts[5]
    row = one.effects.iloc[0]
    mine = raw[(raw.experiment_id == one.experiment.experiment_id) & (raw.arm == row.arm)]
    last = mine[mine.metric == row.metric].sort_values("at_days").iloc[-1]
    assert row.abs_lift == pytest.approx(last.mean_treated - last.mean_control)
    se = np.sqrt(last.var_treated / last.n_treated + last.var_control / last.n_control)
    assert row.se == pytest.approx(se, rel=1e-9)
    shown = looks(mine[mine.metric == row.metric])
    assert (shown.always_low < shown.low).all() and (shown.always_high > shown.high).all()
    assert shown.signal.sum() <= shown.naive_signal.sum()
