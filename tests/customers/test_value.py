"""BG/NBD: the published parameters, independent integrals, planted parameters recovered."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from cdp_lib.checks import Refusal
from cdp_lib.customers.value import BgNbd, _kept, fit_better, fit_bgnbd, frequency_table, terms_of

CDNOW = BgNbd(0.243, 4.414, 0.793, 2.426, 0.0, True, 2357)


def simulate(model: BgNbd, n: int, seed: int, horizon: float = 0.0) -> pd.DataFrame:
    """Customers by the model's own story, order by order; ages even in 20 to 60.

    Columns: frequency, recency, age, later (orders in (age, age + horizon]), alive (at age).
    """
    rng = np.random.default_rng(seed)
    rate, leave = rng.gamma(model.r, 1 / model.alpha, n), rng.beta(model.a, model.b, n)
    age, rows = rng.uniform(20, 60, n), []
    for i in range(n):
        now, x, last, later, alive = 0.0, 0, 0.0, 0, True
        while True:
            now += rng.exponential(1 / rate[i]) if rate[i] > 1e-9 else np.inf
            if now > age[i] + horizon:
                break
            if now <= age[i]:
                x, last = x + 1, now
            else:
                later += 1
            if rng.random() < leave[i]:
                alive = now > age[i]
                break
        rows.append((x, last, age[i], later, alive))
    return pd.DataFrame(rows, columns=["frequency", "recency", "age", "later", "alive"])


def test_published_parameters_of_cdnow(shared_data):
    """Fader, Hardie and Lee (2005), table 2: r .243, alpha 4.414, a .793, b 2.426, LL -9582.4."""
    d = pd.read_parquet(shared_data / "cdnow" / "cdnow_customers_summary.parquet")
    got = fit_bgnbd(d.frequency, d.recency, d["T"])
    assert [round(v, 3) for v in (got.r, got.alpha, got.a, got.b)] == [0.243, 4.414, 0.793, 2.426]
    assert round(got.log_likelihood, 1) == -9582.4
    assert got.converged and got.n == 2357
    assert got.log_likelihood_of(d.frequency, d.recency, d["T"]) == pytest.approx(
        got.log_likelihood, abs=1e-6
    )


def test_the_summary_of_cdnow_comes_from_its_orders(shared_data, con, make_table):
    """All 2,357 rows; the published times are rounded to a hundredth of a week."""
    orders = pd.read_parquet(shared_data / "cdnow" / "cdnow_sample.parquet")
    table = make_table(con, orders.rename(columns={"date": "ordered_at"}))
    got = frequency_table(table, "1997-10-01", "weeks").execute()
    told = pd.read_parquet(shared_data / "cdnow" / "cdnow_customers_summary.parquet")
    numbers = orders.drop_duplicates("customer_id").set_index("customer_id").sample_id.astype(int)
    both = told.merge(got.assign(ID=got.customer_id.map(numbers)), on="ID", validate="1:1")
    assert len(both) == len(got) == 2357
    assert (both.frequency_x == both.frequency_y).all()
    assert (both.recency_x - both.recency_y).abs().max() <= 0.00501
    assert (both["T"] - both.age).abs().max() <= 0.00501


def test_expected_orders_rank_and_p_alive_does_not(shared_data):
    """Online Retail, 60 days from 10 October 2011: whoever bought once is alive for sure, so
    p_alive orders worse than chance, while expected orders beat recency."""
    import ibis

    from cdp_lib.predict.ranking import auc_of

    sales = pd.read_parquet(shared_data / "online_retail" / "online_retail.parquet")
    sales = sales[(sales.Quantity > 0) & (sales.UnitPrice > 0) & sales.CustomerID.notna()]
    orders = sales.drop_duplicates(["CustomerID", "InvoiceNo"])[["CustomerID", "InvoiceDate"]]
    orders.columns = ["customer_id", "ordered_at"]
    orders = orders.assign(customer_id=orders.customer_id.astype(int).astype(str))
    cutoff = pd.Timestamp("2011-10-10")
    seen = frequency_table(ibis.memtable(orders), cutoff).execute()
    later = orders.customer_id[orders.ordered_at >= cutoff]
    y = seen.customer_id.isin(later).astype(int)
    history = (seen.frequency, seen.recency, seen.age)
    model = fit_bgnbd(*history)
    assert auc_of(y, model.expected_orders(60, *history)) == pytest.approx(0.725, abs=0.01)
    assert auc_of(y, seen.recency - seen.age) == pytest.approx(0.665, abs=0.01)
    assert auc_of(y, model.p_alive(*history)) < 0.45


def test_expected_orders_of_the_published_customer():
    """Customer 1 of CDNOW's sheet (x 2, t_x 30.43, T 38.86): 1.226 in 39 weeks.

    The worked example of Fader and Hardie's spreadsheet for the paper.
    """
    got = CDNOW.expected_orders(39, 2, 30.43, 38.86)
    assert got[0] == pytest.approx(1.226, abs=1e-3)


@pytest.mark.parametrize("at_first", [False, True])
def test_the_slopes_are_those_of_the_likelihood(at_first):
    from scipy import optimize

    seen = simulate(CDNOW, 200, 5)
    x, recency, age = (seen[name].to_numpy(float) for name in ("frequency", "recency", "age"))
    at = np.array([0.6, 3.0, 0.9, 1.7])
    plain = optimize.approx_fprime(
        at, lambda v: terms_of(v, x, recency, age, at_first)[0].sum(), 1e-7
    )
    assert terms_of(at, x, recency, age, at_first)[1].sum(axis=1) == pytest.approx(plain, rel=1e-4)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.floats(0.1, 5), st.floats(0.5, 50), st.floats(0.2, 4), st.floats(0.3, 10),
    st.integers(0, 400), st.floats(0, 1), st.floats(1, 500), st.floats(0.1, 500),
)  # fmt: skip
# Whole parameters, at which SciPy's hyp2f1 overflows.
@example(r=1.0, alpha=1.0, a=2.0, b=1.0, x=99, part=1.0, age=1.0, horizon=19.0)
# Parameters at the edge of a fit, at which it overflows too.
@example(r=0.4, alpha=30.0, a=932.0, b=2980.5, x=0, part=0.0, age=90.0, horizon=365.0)
@example(r=0.4, alpha=30.0, a=932.0, b=2980.5, x=7, part=0.5, age=90.0, horizon=365.0)
@example(r=2.4, alpha=3.0, a=2981.0, b=2981.0, x=300, part=0.9, age=300.0, horizon=3000.0)
def test_expected_orders_equal_an_integral(r, alpha, a, b, x, part, age, horizon):
    """Given alive, p ~ Beta(a, b + x), lambda ~ Gamma(r + x, alpha + age), and the expected
    orders in the horizon are (1 - exp(-lambda p t)) / p; lambda goes out in closed form."""
    model = BgNbd(r, alpha, a, b, 0.0, True, 1)
    recency = part * age if x else 0.0
    chance = stats.beta(a, b + x)

    def at(u: float) -> float:
        p = chance.ppf(u)
        grown = np.log1p(p * horizon / (alpha + age))
        return -np.expm1(-(r + x) * grown) / p if p > 1e-12 else (r + x) * horizon / (alpha + age)

    alive = integrate.quad(at, 0, 1, limit=400, epsabs=1e-10, epsrel=1e-8)[0]
    want = alive * model.p_alive(x, recency, age)[0]
    assert model.expected_orders(horizon, x, recency, age)[0] == pytest.approx(
        want, rel=1e-4, abs=1e-9
    )


@pytest.mark.parametrize("a", [0.3, 0.7, 2.5])
def test_the_series_equals_the_function_that_it_stands_for(a, monkeypatch):
    rng = np.random.default_rng(3)
    orders, z = 0.4 + rng.integers(0, 50, 300), rng.uniform(0.01, 0.99, 300)
    third = a + orders - 0.4 - 0.8  # b is 0.2: below 0 for who ordered once, where a is below 0.8
    assert (third < 0).any() == (a < 0.8)
    want = _kept(a, third, orders, z)
    monkeypatch.setattr("scipy.special.hyp2f1", lambda *parts: np.full(len(z), np.inf))
    assert _kept(a, third, orders, z) == pytest.approx(want, rel=1e-10)


@pytest.mark.parametrize("at_first", [False, True])
def test_p_alive_equals_the_posterior_over_both_rates(at_first):
    """Bayes on a fine grid of lambda and p, with no formula of the papers in it."""
    rate = np.linspace(1e-4, 4, 1500)[:, None]
    leave = np.linspace(1e-4, 1 - 1e-4, 1500)[None, :]
    model = BgNbd(1.4, 5.0, 1.3, 3.0, 0.0, True, 1, at_first)
    prior = stats.gamma(model.r, scale=1 / model.alpha).pdf(rate)
    prior = prior * stats.beta(model.a, model.b).pdf(leave)
    for x, recency, age in [(0, 0.0, 9.0), (1, 2.0, 9.0), (4, 7.0, 9.0), (6, 5.0, 40.0)]:
        chances = x + at_first  # after how many orders they might have left
        stays = (1 - leave) ** chances * np.exp(-rate * age)
        leaves = leave * (1 - leave) ** (chances - 1.0) * np.exp(-rate * recency)
        weight = prior * rate**x
        alive, gone = (weight * stays).sum(), (weight * leaves).sum() if chances else 0.0
        assert model.p_alive(x, recency, age)[0] == pytest.approx(alive / (alive + gone), rel=2e-3)
        # The likelihood of one history is the sum of the same weights, but for its scale.
        if chances:
            step = (rate[1, 0] - rate[0, 0]) * (leave[0, 1] - leave[0, 0])
            told = model.log_likelihood_of([x], [recency], [age])
            assert told == pytest.approx(np.log((alive + gone) * step), abs=0.01)
    one_order = model.p_alive(0, 0, 500)[0]
    assert one_order < 0.1 if at_first else one_order == 1


def test_the_modified_model_is_told_from_the_plain_one():
    """Planted: a chance of 0.3 to leave after the first order, or after later ones alone."""
    import ibis
    from planted_buyers import ORDERS, planted

    for at_first in (True, False):
        law = replace(ORDERS, at_first=at_first)
        orders = planted(2500, 3, orders=law, arrive=(0, 60))
        seen = frequency_table(ibis.memtable(orders), "2026-09-28").execute()
        history = (seen.frequency, seen.recency, seen.age)
        found = fit_better(*history)
        assert found.at_first == at_first and found.converged
        # chi2(4)/2 is 11.8 at 99.99 %; days as whole numbers cost a little more.
        assert found.log_likelihood - law.log_likelihood_of(*history) < 15


def test_weights_are_repeated_rows():
    seen = simulate(CDNOW, 1500, 9).round(0)
    seen = seen.assign(recency=seen.recency.where(seen.frequency > 0, 0).clip(upper=seen.age))
    grouped = seen.groupby(["frequency", "recency", "age"]).size().rename("w").reset_index()
    one = fit_bgnbd(seen.frequency, seen.recency, seen.age)
    other = fit_bgnbd(grouped.frequency, grouped.recency, grouped.age, grouped.w)
    assert other.n == one.n == 1500
    assert other.parameters == pytest.approx(one.parameters, rel=1e-6)
    assert other.log_likelihood == pytest.approx(one.log_likelihood)


def test_planted_parameters_are_recovered():
    """12,000 customers. What a fit tells well are the mean rate r/alpha and the mean of p.

    Four standard errors from the curvature at the truth: the log-likelihood there lies within
    chi2(4)/2 of the maximum, whose 99.99 % point is 11.8.
    """
    planted = BgNbd(0.8, 6.0, 1.2, 3.0, 0.0, True, 0)
    seen = simulate(planted, 12_000, 1)
    x, recency, age = seen.frequency, seen.recency, seen.age
    got = fit_bgnbd(x, recency, age)
    gap = got.log_likelihood - planted.log_likelihood_of(x, recency, age)
    assert got.converged and 0 <= gap < 11.8
    assert got.r / got.alpha == pytest.approx(0.8 / 6, rel=0.1)


def test_expected_orders_are_what_comes_and_alive_is_alive():
    """By group of frequency the mean of later orders is the mean expected, within 5 se."""
    planted = BgNbd(0.8, 6.0, 1.2, 3.0, 0.0, True, 0)
    seen = simulate(planted, 20_000, 2, horizon=20.0)
    history = (seen.frequency, seen.recency, seen.age)
    seen["expected"] = planted.expected_orders(20, *history)
    seen["p"] = planted.p_alive(*history)
    for _, part in seen.groupby(seen.frequency.clip(upper=6)):
        gap, told = part.later - part.expected, part.alive - part.p
        assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(len(part))
        assert abs(told.mean()) <= 5 * max(told.std(), 1e-9) / np.sqrt(len(part))


def test_the_unit_of_time_changes_nothing_but_alpha():
    seen = simulate(BgNbd(0.8, 6.0, 1.2, 3.0, 0.0, True, 0), 3000, 3)
    weeks = fit_bgnbd(seen.frequency, seen.recency, seen.age)
    days = fit_bgnbd(seen.frequency, seen.recency * 7, seen.age * 7)
    assert days.alpha / 7 == pytest.approx(weeks.alpha, rel=1e-3)
    one, other = (
        weeks.expected_orders(4, seen.frequency, seen.recency, seen.age),
        days.expected_orders(28, seen.frequency, seen.recency * 7, seen.age * 7),
    )
    assert np.allclose(one, other, rtol=1e-3)


def test_the_formula_is_smooth_where_it_is_undefined():
    for a, b in ((1.0, 2.0), (0.4, 0.6)):
        near = [
            BgNbd(0.5, 4.0, a + step, b, 0.0, True, 1).expected_orders(30, [0, 3], [0, 9], 12)
            for step in (-1e-3, 0.0, 1e-3)
        ]
        assert np.allclose(near[1], (near[0] + near[2]) / 2, rtol=1e-4)


def test_large_histories_stay_finite():
    x, recency, age = [0, 5000, 200_000], [0, 3.0e4, 7e5], [1e5, 3.1e4, 7.0e5]
    got = CDNOW.expected_orders(365, x, recency, age)
    assert np.isfinite(got).all() and (got >= 0).all()
    # 200,000 orders in 700,000 units, the last just now: the rate goes on, less the leaving.
    assert got[2] == pytest.approx(365 * 200_000 / 7e5, rel=0.01)
    assert np.isfinite(CDNOW.log_likelihood_of(x, recency, age))


def test_nobody_leaves_is_said_not_hidden():
    """Orders without leaving: a runs to 0, which is no optimum inside."""
    rng = np.random.default_rng(0)
    age = np.full(2000, 50.0)
    x = rng.poisson(0.5 * age)
    recency = np.where(x > 0, age * rng.beta(np.maximum(x, 1), 1), 0)
    assert not fit_bgnbd(x, recency, age).converged


def test_frequency_by_hand(con, make_table):
    orders = pd.DataFrame(
        [
            ("one", "2026-01-01 23:59"),
            ("two", "2026-01-01 08:00"), ("two", "2026-01-01 20:00"), ("two", "2026-01-04 01:00"),
            ("late", "2026-01-11 00:00"),
            ("edge", "2026-01-10 23:00"),
            (None, "2026-01-02 00:00"),
        ],
        columns=["customer_id", "ordered_at"],
    )  # fmt: skip
    orders["ordered_at"] = pd.to_datetime(orders.ordered_at)
    table = make_table(con, orders)
    got = frequency_table(table, "2026-01-11").execute().set_index("customer_id").sort_index()
    assert got.loc["one"].tolist() == [0, 0, 9]
    assert got.loc["two"].tolist() == [1, 3, 9]
    assert got.loc["edge"].tolist() == [0, 0, 0]
    assert len(got) == 3
    late = frequency_table(table, "2026-01-11", since="2026-01-05").execute()
    assert late.customer_id.tolist() == ["edge"]


def test_bad_input_is_refused():
    with pytest.raises(Refusal, match="fewer than 50 customers"):
        fit_bgnbd([1], [1.0], [2.0])
    with pytest.raises(Refusal, match="nobody ordered twice"):
        fit_bgnbd([0] * 60, [0.0] * 60, [2.0] * 60)
    with pytest.raises(Refusal, match="not a possible history"):
        fit_bgnbd([1] * 60, [3.0] * 60, [2.0] * 60)
    with pytest.raises(Refusal, match="not a possible history"):
        CDNOW.expected_orders(-1, 0, 0, 5)
    with pytest.raises(Refusal, match="unit"):
        frequency_table(None, "2026-01-01", "months")
