"""The best audience of a campaign that was tried: measured, and held against the world's truth."""

import pandas as pd
import pytest

from cdp_lib.report.best_audience import best_audience
from cdp_lib.report.prospects import Prospects
from cdp_lib.tables import open_shop
from cdp_lib.world import simulate

COST = 0.05
NOBODY = Prospects(None, "none here", "", pd.DataFrame(), pd.DataFrame(), pd.DataFrame())


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("best") / "shop"
    return open_shop(simulate(folder, customers=9_000, weeks=26, seed=6))


@pytest.mark.slow
@pytest.mark.parametrize("campaign", ["2026-03-23-email", "2026-02-23-in_app"])
def test_a_campaign_that_was_tried_is_measured(shop, campaign):
    truth = pd.read_parquet(shop.path.parent / "truth" / "effects.parquet")
    truth = truth[truth.campaign_id == campaign]
    found = best_audience(shop, campaign, NOBODY, contact_cost=COST)
    assert found.best.source == "measured" and found.why.startswith("Measured on")
    assert found.best.n == round(found.share * len(truth)) and len(truth) > 2_000
    curve = found.curve.set_index("share")
    assert curve.n[1.0] == len(truth)
    assert curve.profit[1.0] == pytest.approx(found.best.all_profit)
    # What contacting all of them truly brings lies in its 95 % interval.
    gained = (truth.expected_treated - truth.expected_holdout).sum() - COST * len(truth)
    assert found.best.all_low < gained < found.best.all_high
    # Another way to the same number: the plain difference of the arms. A third of the people are
    # not judged, so it lies within half an interval and not nearer.
    paid = truth.realised_treated.where(truth.treated, truth.realised_holdout)
    plain = paid[truth.treated].mean() - paid[~truth.treated].mean() - COST
    half = (found.best.all_high - found.best.all_low) / 2
    assert abs(found.best.all_profit - plain * len(truth)) < half
    # A size that surely earns is contacted, none is where no size earns, and else it is not known.
    words = {"nobody": found.share == 0, "contact": found.best.low > 0}
    assert words.get(found.best.word, found.share > 0 and found.best.low <= 0)


def test_what_lacks_is_said(shop):
    for name in ("never_sent", "2026-01-26-sms", "newsletter-pressure"):
        found = best_audience(shop, name, NOBODY)
        assert found.best is None and found.share == 0
        assert found.why.startswith("Not measured yet") and "none here" in found.why
        assert not len(found.curve)
    assert "200 units in an arm" in best_audience(shop, "2026-01-26-sms", NOBODY).why
