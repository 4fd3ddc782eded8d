"""What is said of audiences: numbers from the export alone, small groups hidden."""

from dataclasses import replace
from datetime import datetime
from math import nan

import pandas as pd
import pytest

from cdp_lib.activate.exports import Export
from cdp_lib.activate.outgoing import NotSent
from cdp_lib.report.audience_findings import audience_headlines, audience_table

SENT = Export(
    experiment_id="abandoned_carts.2026-W48", name="abandoned_carts", wave="2026-W48",
    channel="email", status="sent", assigned_at=datetime(2026, 11, 23), window_days=7.0,
    n_customers=733, n_no_consent=323, n_suppressed=0, n_global=23, n_elsewhere=0, n_treated=345,
    n_holdout=42, n_without_contact=0, metric="revenue", mde=2.5, usual=7.25,
)  # fmt: skip


def sentence(one) -> str:
    return audience_headlines([one], "EUR")[0].sentence


def test_an_audience_says_who_gets_it_and_what_it_will_show():
    (headline,) = audience_headlines([SENT], "EUR")
    assert (headline.name, headline.value, headline.verdict) == (
        "Audience: abandoned carts", 345, "wait 7 days",
    )  # fmt: skip
    assert headline.sentence == (
        "345 customers get it by email; 42 are held out at random. 346 more were asked for and "
        "may not be written to now. On 2026-11-30 it can be read out: an effect of €2.50 in "
        "revenue a customer (such customers otherwise bring €7.25) would be found four times in "
        "five. Waves add up: four like it find half of that."
    )


def test_what_a_wave_cannot_show_is_said():
    assert "more than they usually bring" in sentence(replace(SENT, mde=9.0))
    assert "past is too thin" in sentence(replace(SENT, mde=nan, usual=nan))
    conversion = replace(SENT, metric="conversion", mde=0.02, usual=0.1)
    assert "an effect of 2.0 points in conversion a customer" in sentence(conversion)
    assert "otherwise bring 10.0 points" not in sentence(conversion)


def test_without_a_holdout_it_cannot_be_measured():
    bare = replace(SENT, n_holdout=0, n_treated=387, why_no_holdout="a product recall")
    (headline,) = audience_headlines([bare], "EUR")
    assert headline.verdict == "watch" and headline.sentence.endswith(
        "Cannot be measured: nobody is held out (a product recall)."
    )
    assert "by chance nobody" in sentence(replace(SENT, n_holdout=0))
    assert audience_table([bare]).read_out_on.isna().all()


def test_a_plan_is_no_sending_and_nobody_is_an_answer():
    planned = replace(SENT, status="planned")
    assert sentence(planned).startswith("Planned, not sent. 345 customers would get it by email")
    assert audience_headlines([planned], "EUR")[0].verdict == "watch"
    nobody = replace(SENT, n_customers=0, n_no_consent=0, n_global=0, n_treated=0, n_holdout=0)
    assert sentence(nobody) == "Nobody to write to: the list is empty."
    none_may = replace(SENT, n_no_consent=733, n_global=0, n_treated=0, n_holdout=0)
    assert "733 asked for, none of whom may be reached" in sentence(none_may)
    (lack,) = audience_headlines([NotSent("x", "shop: no table 'customers'")], "EUR")
    assert (lack.verdict, lack.sentence) == ("cannot tell", "Not sent. Shop: no table 'customers'.")


def test_small_groups_are_hidden_and_not_to_be_had_by_subtraction():
    few = replace(SENT, n_customers=733, n_no_consent=342, n_global=4)
    table = audience_table([few, SENT, NotSent("x", "shop: no table")])
    assert table.n_global.isna().tolist() == [True, False, True]
    assert table.n_holdout.isna().tolist() == [True, False, True], "the next smallest goes too"
    assert table.n_customers.tolist()[:2] == [733, 733]
    assert table.status.tolist() == ["sent", "sent", "not sent: shop: no table"]
    assert table.read_out_on[0] == pd.Timestamp("2026-11-30")
    tiny = replace(SENT, n_customers=330, n_treated=5, n_holdout=2, n_no_consent=300)
    (headline,) = audience_headlines([tiny], "EUR")
    assert headline.hidden and "fewer than 10 are held out" in tiny_sentence(tiny)


def tiny_sentence(one) -> str:
    text = sentence(one)
    assert "Fewer than 10 customers get it" in text
    return text


@pytest.mark.parametrize("sent", [[], [SENT]])
def test_the_table_has_the_same_columns_whoever_is_in_it(sent):
    assert list(audience_table(sent).columns)[:4] == ["audience", "wave", "status", "n_customers"]
