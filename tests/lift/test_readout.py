"""Whole read-outs of tables of units: what is declared is read, what is wrong is refused."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.lift.declared_units import collect
from cdp_lib.lift.experiment import declared
from cdp_lib.lift.readout import readout
from cdp_lib.tables import open_shop

TOML = """name = "units"
currency = "EUR"
[tables.units]
path = "units.parquet"
"""
ONE = """[experiments.{name}]
table = "units"
control = "none"
metrics = {{ visit = "conversion", spend = "revenue" }}
covariates = ["before"]
segments = ["city"]
{more}
"""


def units(n=900, seed=6):
    rng = np.random.default_rng(seed)
    arm = rng.choice(["none", "mail", "push"], n)
    before = rng.gamma(1, 20, n)
    visit = rng.random(n) < np.where(arm == "mail", 0.5, 0.2)
    return pd.DataFrame(
        {
            "unit_id": [f"u{i}" for i in range(n)], "arm": arm, "visit": visit.astype(int),
            "spend": visit * before + rng.gamma(1, 5, n), "before": before,
            "city": rng.choice(["Ulm", "Köln", None], n),
            "drawn": pd.Timestamp("2026-01-01"), "came": pd.Timestamp("2026-01-05"),
        }
    )  # fmt: skip


def read(folder, frame, name="spring", more=""):
    frame.to_parquet(folder / "units.parquet", index=False, coerce_timestamps="us")
    (folder / "shop.toml").write_text(TOML + ONE.format(name=name, more=more))
    shop = open_shop(folder / "shop.toml")
    (one,) = declared(shop.experiments).values()
    return readout(collect(shop, one))


def test_a_declared_experiment_is_read_arm_by_arm(tmp_path):
    data = units()
    one = read(tmp_path, data)
    assert one.arms == ("mail", "push") and one.control == "none"
    assert one.effects[["metric", "arm"]].values.tolist() == [
        ["visit", "mail"], ["visit", "push"], ["spend", "mail"], ["spend", "push"]
    ]  # fmt: skip
    rates = data.groupby("arm").visit.mean()
    row = one.effects.iloc[0]
    assert row.raw_lift == pytest.approx(rates["mail"] - rates["none"])
    assert row.n == data.arm.isin(["mail", "none"]).sum()
    assert one.verdicts["mail"].word == "scale" and row.verdict == "scale"
    assert one.effects.iloc[2].cuped_saved > 0.1
    assert set(one.segments.value) == {"Ulm", "Köln", "unknown"}
    total = one.segments[(one.segments.metric == "visit") & (one.segments.arm == "mail")].n.sum()
    assert total == row.n
    money = one.money[one.money.arm == "mail"].iloc[0]
    assert money.total == pytest.approx(one.effects.iloc[2].abs_lift * (data.arm == "mail").sum())


def test_capped_values_are_those_cut_by_hand(tmp_path):
    data = units()
    data.loc[data.index[data.arm == "mail"][0], "spend"] = 1e6
    one = read(tmp_path, data)
    row = one.effects[(one.effects.metric == "spend") & (one.effects.arm == "mail")].iloc[0]
    cap = data.spend[data.spend > 0].quantile(0.99)
    assert row.capped_at == pytest.approx(cap)
    cut = data.assign(spend=data.spend.clip(upper=cap))
    other = read(tmp_path, cut).effects
    wanted = other[(other.metric == "spend") & (other.arm == "mail")].iloc[0]
    assert row.capped_lift == pytest.approx(wanted.abs_lift, rel=1e-9)
    gate = one.gate_table().set_index("gate").loc["values"]
    assert gate.status == "warning" and "spend" in gate.detail


def spoiled(what):
    data = units()
    mail = data.index[data.arm == "mail"]
    if what == "two arms":
        return pd.concat([data, data.iloc[:1].assign(arm="mail"), data.iloc[:1].assign(arm="push")])
    if what == "no control":
        return data[data.arm != "none"]
    if what == "empty arm":
        return data[data.arm != "push"]
    if what == "lost units":
        return data.drop(mail[:120])
    if what == "negative":
        data.loc[mail[0], "spend"] = -3.0
    if what == "missing":
        data.loc[mail[0], "spend"] = None
    if what == "not finite":
        data.loc[mail[0], "spend"] = np.inf
    if what == "early":
        data.loc[mail[0], "came"] = pd.Timestamp("2025-12-31")
    if what == "differed":
        data.loc[mail, "before"] += 30
    return data


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("two arms", "units in two arms"),
        ("no control", "control has no unit"),
        ("empty arm", "an arm has no unit"),
        ("lost units", "sample ratio mismatch"),
        ("negative", "negative revenue"),
        ("missing", "outcomes missing"),
        ("not finite", "values not finite"),
        ("early", "outcomes before assignment"),
        ("differed", "arms differed before"),
    ],
)
def test_what_is_wrong_refuses_the_verdict(tmp_path, what, said):
    more = 'arms = ["mail", "push"]\nassigned_at = "drawn"\noutcome_at = "came"'
    one = read(tmp_path, spoiled(what), more=more)
    assert {verdict.text for verdict in one.verdicts.values()} == {f"refused ({said})"}
    assert set(one.effects.verdict) <= {f"refused ({said})"}


@pytest.mark.parametrize("name", ['"../../etc"', "'a\"b'", '"<script>"', '"x; drop table units"'])
def test_a_name_is_only_a_name(tmp_path, name):
    one = read(tmp_path, units(300), name=name)
    assert one.experiment.experiment_id == name[1:-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop.toml", "units.parquet"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"table": "units"}, "metrics"),
        ({"table": "unit", "metrics": {"a": "conversion"}}, "did you mean 'units'"),
        ({"metrics": {"a": "conversions"}}, "did you mean 'conversion'"),
        ({"metrics": {"a": {"kind": "ratio"}}}, "per"),
        ({"shares": {"a": 1}}, "two arms"),
        ({"shares": {"a": 1, "b": -1}}, "greater than 0"),
        ({"window_days": 0}, "greater than 0"),
        ({"contact_cost": -1}, "at least 0"),
        ({"contact_cost": "1"}, "not a number"),
        ({"control": "a", "arms": ["a"]}, "is the control"),
        ({"arms": "a"}, "list of names"),
        ({"covariate": ["a"]}, "did you mean 'covariates'"),
        ("units", "not a section"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(given, word):
    with pytest.raises(Refusal, match=word):
        declared({"x": given})


def test_a_column_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refusal, match="no such column"):
        read(tmp_path, units(50).drop(columns="before"))
    with pytest.raises(Refusal, match="not a number"):
        read(tmp_path, units(50).assign(before="x"))
