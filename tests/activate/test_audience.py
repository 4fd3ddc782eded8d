"""An audience with its holdout: who is in it, what is written, and what is said of it."""

import csv
import json
import os
import stat
from datetime import datetime

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats
from small_shop import people, write_shop

from cdp_lib.activate import audience
from cdp_lib.activate.audience import AlreadySent, export
from cdp_lib.activate.ledger import ledger_of
from cdp_lib.activate.ledger_check import problems
from cdp_lib.activate.outgoing import NotSent, send_all
from cdp_lib.checks import MissingTable, Refusal, TooLittleData
from cdp_lib.lift import design
from cdp_lib.lift.assignment import arms_of, drawn, global_salt, global_shares
from cdp_lib.tables import open_shop

WAVE = "carts.2026-W48"


@pytest.fixture
def shop(tmp_path):
    return open_shop(write_shop(tmp_path / "shop", people()))


def everyone(shop):
    return shop.customers.select("customer_id")


def files_of(shop) -> dict[str, bytes]:
    folder = shop.path.parent / "audiences"
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.*"))}


def test_the_treated_are_in_the_files_and_the_held_out_in_the_ledger_alone(shop):
    sent = export(shop, everyone(shop), "carts", "email", 0.2, ("city",))
    ids = [f"c{number:04d}" for number in range(300)]
    arms = dict(zip(ids, arms_of(f"corner:{WAVE}", ids, {"treated": 0.8, "holdout": 0.2}),
                    strict=True))  # fmt: skip
    treated = [unit for unit in ids if arms[unit] == "treated"]
    with sent.paths[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(sent.paths[1]).to_pandas()
    assert [row["customer_id"] for row in rows] == table.customer_id.tolist() == treated
    assert list(rows[0]) == list(table.columns) == ["customer_id", "email_sha256", "city"]
    assert {row["city"] for row in rows} == {"Ulm", "'=1+1", "Köln"}
    assert set(table.city) == {"Ulm", "=1+1", "Köln"}
    assert [path.name for path in sent.paths] == ["carts.csv", "carts.parquet"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in sent.paths)
    assert sent.paths[0].parent == shop.path.parent / "audiences" / "2026-W48"
    ledger = ledger_of(shop)
    assigned = ledger.assignments()
    assert dict(zip(assigned.unit_id, assigned.arm, strict=True)) == arms
    assert ledger.deliveries().unit_id.tolist() == treated
    assert (sent.n_treated, sent.n_holdout) == (len(treated), 300 - len(treated))
    assert (sent.status, sent.wave, sent.assigned_at, sent.closes_at) == (
        "sent", "2026-W48", datetime(2026, 11, 23), datetime(2026, 11, 30),
    )  # fmt: skip
    assert problems(ledger).empty


def test_an_export_repeated_is_the_same_export(shop):
    first = export(shop, everyone(shop), "carts", "email")
    before, seals = files_of(shop), ledger_of(shop).experiments().seal.tolist()
    again = open_shop(shop.path)
    shuffled = everyone(again).execute().sample(frac=1, random_state=3)
    second = export(again, pd.concat([shuffled, shuffled.head(9)]), "carts", "email")
    assert files_of(shop) == before and ledger_of(shop).experiments().seal.tolist() == seals
    assert (first.status, second.status) == ("sent", "sent before")
    for name in ("n_customers", "n_treated", "n_holdout", "assigned_at", "paths", "n_no_consent"):
        assert getattr(second, name) == getattr(first, name)


def test_files_that_are_gone_come_back_as_they_were(shop):
    sent = export(shop, everyone(shop), "carts", "email", columns=("city",))
    before = files_of(shop)
    sent.paths[0].unlink()
    kept = export(shop, everyone(shop), "carts", "email", columns=("city",), if_sent="keep")
    assert kept.status == "sent before" and not sent.paths[0].exists(), "it may be on its way"
    export(shop, everyone(shop), "carts", "email", columns=("city",))
    assert files_of(shop) == before
    # The shop has forgotten where they live, so the file cannot be made again.
    sent.paths[1].unlink()
    changed = open_shop(write_shop(shop.path.parent, people().assign(city="Bonn")))
    with pytest.raises(Refusal, match="no longer give the same"):
        export(changed, everyone(changed), "carts", "email", columns=("city",))
    assert not sent.paths[1].exists() and len(files_of(shop)) == 1


def test_another_audience_in_the_same_week_is_refused_or_kept(shop):
    first = export(shop, everyone(shop), "carts", "email")
    fewer = everyone(shop).execute().head(50)
    for other in (
        lambda: export(shop, fewer, "carts", "email"),
        lambda: export(shop, everyone(shop), "carts", "email", 0.2),
        lambda: export(shop, everyone(shop), "carts", "email", columns=("city",)),
        lambda: export(shop, everyone(shop), "carts", "email", window_days=14),
    ):
        with pytest.raises(AlreadySent, match=r"left in 2026-W48 already.*if_sent='keep'"):
            other()
    kept = export(shop, fewer, "carts", "email", if_sent="keep")
    assert (kept.status, kept.n_customers, kept.n_treated) == ("sent before", 300, first.n_treated)
    assert len(ledger_of(shop).experiments()) == 1


def test_each_customer_is_left_out_for_the_first_reason_that_holds(tmp_path):
    table = people(10)
    table.loc[0, "email_opt_in"] = False
    table["email_opt_in"] = table.email_opt_in.astype("boolean")
    table.loc[1, "email_opt_in"] = None
    shop = open_shop(write_shop(tmp_path / "shop", table))
    asked = pd.DataFrame({"customer_id": [*table.customer_id, "stranger", None, "c0002"]})
    export(shop, asked.iloc[4:6], "first", "email", 0.5, layer="mail")
    plan = export(
        shop, asked, "carts", "email", 0.5, layer="mail", suppressed=["c0000", "c0002", "c0004"],
        send=False,
    )  # fmt: skip
    # c0000, c0001 and the stranger gave no consent; c0002 and c0004 are suppressed; c0005 is in
    # the first audience; the row without an id is nobody's.
    assert plan.n_customers == 11
    assert (plan.n_no_consent, plan.n_suppressed, plan.n_global, plan.n_elsewhere) == (3, 2, 0, 1)
    assert plan.n_treated + plan.n_holdout == 5


def test_the_global_holdout_is_in_no_audience_and_stands_in_the_ledger(tmp_path):
    shop = open_shop(write_shop(tmp_path / "shop", people(), "global_holdout = 0.3"))
    ids = everyone(shop).execute().customer_id.tolist()
    inside = {u for u, arm in zip(ids, arms_of(global_salt("corner"), ids, global_shares(0.3)),
                                  strict=True) if arm == "global_holdout"}  # fmt: skip
    for name in ("carts", "browses"):
        sent = export(shop, everyone(shop), name, "email")
        assert sent.n_global == len(inside) > 60
    ledger = ledger_of(shop)
    assert not inside & set(ledger.assignments().unit_id)
    rows = ledger.experiments()
    assert rows.experiment_id.tolist() == ["global_holdout", "carts.2026-W48", "browses.2026-W48"]
    # Whoever reads the ledger can tell the members again, on any engine.
    found = drawn(everyone(shop), "customer_id", rows.salt[0], json.loads(rows.arms[0]))
    members = found.filter(found.arm == rows.control[0]).customer_id.execute()
    assert set(members) == inside
    assert problems(ledger).empty
    smaller = open_shop(write_shop(tmp_path / "shop", people(), "global_holdout = 0.1"))
    with pytest.raises(Refusal, match=r"holds out 0\.3 of the shop 'corner'"):
        export(smaller, everyone(smaller), "more", "email")


def test_a_wave_leaves_out_whom_an_open_one_still_measures(tmp_path):
    folder = tmp_path / "shop"
    first = open_shop(write_shop(folder, people()))
    export(first, everyone(first).limit(100), "churn", "email", window_days=14)
    a_week_on = open_shop(write_shop(folder, people(), as_of="2026-11-30"))
    second = export(a_week_on, everyone(a_week_on), "churn", "email", window_days=14)
    assert (second.n_elsewhere, second.wave) == (100, "2026-W49")
    other = export(a_week_on, everyone(a_week_on), "carts", "email")
    assert other.n_elsewhere == 0, "another layer"
    two_weeks_on = open_shop(write_shop(folder, people(), as_of="2026-12-07"))
    third = export(two_weeks_on, everyone(two_weeks_on), "churn", "email", window_days=14)
    # The first wave is over; the second is not, and had the other 200.
    assert third.n_elsewhere == 200
    with pytest.raises(Refusal, match="has left since, in 2026-W50"):
        export(open_shop(folder / "shop.toml", "2026-11-16"), people(), "churn", "push")
    assert problems(ledger_of(first)).empty


def test_each_wave_has_a_draw_of_its_own(tmp_path):
    arms = []
    for as_of in ("2026-11-23", "2026-11-30"):
        shop = open_shop(write_shop(tmp_path / "shop", people(), as_of=as_of))
        sent = export(shop, everyone(shop), "carts", "email", 0.5)
        rows = ledger_of(shop).assignments(sent.experiment_id)
        arms.append((rows.arm == "holdout").to_numpy())
    # Held out in both by chance alone: 75 of 300, with a standard error of 7.5.
    assert abs((arms[0] & arms[1]).sum() - 75) < 30


def test_layers_give_each_audience_its_own_range(shop):
    shares = {"carts": 0.5, "browses": 0.5}
    plans = [
        export(shop, everyone(shop), name, "email", layer="mail", layer_shares=shares)
        for name in shares
    ]
    rows = ledger_of(shop).assignments()
    assert len(rows) == 300 and rows.unit_id.is_unique
    assert plans[0].n_elsewhere + plans[1].n_elsewhere == 300
    with pytest.raises(Refusal, match=r"layers\.mail"):
        export(shop, everyone(shop), "others", "email", layer="mail", layer_shares=shares)


def test_every_stratum_has_its_share_held_out(shop):
    sent = export(shop, everyone(shop), "carts", "email", 0.1, stratify_by="city")
    rows = ledger_of(shop).assignments().merge(people(), left_on="unit_id", right_on="customer_id")
    held = rows[rows.arm == "holdout"].groupby("city").size()
    assert held.to_dict() == {"Ulm": 10, "=1+1": 10, "Köln": 10}
    assert (rows.stratum == rows.city).all() and sent.n_holdout == 30
    assert "city" not in pq.read_schema(sent.paths[1]).names
    assert problems(ledger_of(shop)).empty


def test_without_a_holdout_the_reason_must_be_spoken(shop):
    with pytest.raises(Refusal, match="nobody will know what it earned"):
        export(shop, everyone(shop), "recall", "email", holdout=0)
    sent = export(shop, everyone(shop), "recall", "email", 0, why_no_holdout="a product recall")
    assert (sent.n_treated, sent.n_holdout, sent.why_no_holdout) == (300, 0, "a product recall")
    row = ledger_of(shop).experiments().iloc[0]
    assert row.control is None and row.why_no_holdout == "a product recall"
    assert json.loads(row.arms) == {"treated": 1.0} and problems(ledger_of(shop)).empty


def test_a_plan_writes_nothing_and_is_what_will_be_sent(shop):
    before = sorted(os.listdir(shop.path.parent))
    plan = export(shop, everyone(shop), "carts", "email", send=False)
    assert sorted(os.listdir(shop.path.parent)) == before
    sent = export(shop, everyone(shop), "carts", "email")
    assert (plan.status, plan.paths, plan.n_treated) == ("planned", (), sent.n_treated)
    assert export(shop, everyone(shop), "carts", "email", send=False).status == "sent before"


def test_nobody_to_write_to_is_no_wave(shop):
    empty = export(shop, people().head(0), "carts", "email")
    assert (empty.status, empty.n_customers, empty.paths) == ("planned", 0, ())
    unknown = export(shop, pd.DataFrame({"customer_id": ["x", "y"]}), "carts", "email")
    assert (unknown.n_no_consent, unknown.n_treated) == (2, 0)
    assert ledger_of(shop).experiments().empty and files_of(shop) == {}


@pytest.mark.parametrize("channel", ["in_app", "on_site", "direct_mail"])
def test_some_channels_need_no_consent(tmp_path, channel):
    shop = open_shop(write_shop(tmp_path / "shop", people(20).assign(email_opt_in=False)))
    assert export(shop, everyone(shop), "carts", channel).n_no_consent == 0
    assert export(shop, everyone(shop), "carts2", "email").n_no_consent == 20


def test_what_is_no_hash_does_not_leave(tmp_path):
    table = people(4)
    table["email_sha256"] = ["A" * 64, "jane@example.org", None, "f" * 63]
    shop = open_shop(write_shop(tmp_path / "shop", table))
    sent = export(shop, everyone(shop), "all", "email", 0, why_no_holdout="a test")
    read = pq.read_table(sent.paths[1]).to_pandas()
    assert read.email_sha256.tolist()[0] == "a" * 64 and read.email_sha256.isna().sum() == 3
    assert sent.n_without_contact == 3 and b"jane" not in sent.paths[0].read_bytes()


def test_suppressions_from_files(shop, tmp_path):
    (tmp_path / "stop.csv").write_text("name,customer_id\nx,c0001\ny,c0002\n")
    (tmp_path / "stop.txt").write_text("c0003\n\n c0004 \n")
    for name, n in (("stop.csv", 2), ("stop.txt", 2)):
        plan = export(shop, everyone(shop), "a", "email", suppressed=tmp_path / name, send=False)
        assert plan.n_suppressed == n
    (tmp_path / "bad.csv").write_text("id\nc1\n")
    for name, problem in (("bad.csv", "no column customer_id"), ("gone.txt", "no such file")):
        with pytest.raises(Refusal, match=problem):
            export(shop, everyone(shop), "a", "email", suppressed=tmp_path / name)


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".x", "it's", 'q"', "a b", "ü", "global_holdout"]
)
def test_a_name_that_could_leave_its_folder_is_refused(shop, name):
    with pytest.raises(Refusal):
        export(shop, everyone(shop), name, "email")
    assert not (shop.path.parent / "audiences").exists()


def test_what_cannot_be_used_is_refused_before_anything_is_written(shop):
    everybody = everyone(shop)
    for call, problem in (
        (lambda: export(shop, everybody, "a", "email", 1), r"\[0, 1\)"),
        (lambda: export(shop, everybody, "a", "email", float("nan")), r"\[0, 1\)"),
        (lambda: export(shop, everybody, "a", "e/mail"), "cannot be a file's name"),
        (lambda: export(shop, everybody, "a", "email", columns=("town",)), "columns = 'town'"),
        (lambda: export(shop, people().assign(allowed=True), "a", "email", columns=("allowed",)),
         "the export's own"),
        (lambda: export(shop, people(), "a", "email", columns=("email_sha256",)), "own"),
        (lambda: export(shop, everybody, "a", "email", stratify_by="town"), "columns = 'town'"),
        (lambda: export(shop, everybody, "a", "email", window_days=0), "window_days"),
        (lambda: export(shop, everybody, "a", "email", metric="clicks"), "metric"),
        (lambda: export(shop, everybody, "a", "email", contact_cost=-1), "contact_cost"),
        (lambda: export(shop, everybody, "a", "email", if_sent="again"), "if_sent"),
        (lambda: export(shop, pd.DataFrame({"id": ["x"]}), "a", "email"), "no customer_id"),
        (lambda: export(shop, pd.DataFrame({"customer_id": ["c0001"] * 2, "v": [1, 2]}), "a",
                        "email", columns=("v",)), "differ in the columns"),
    ):  # fmt: skip
        with pytest.raises(Refusal, match=problem):
            call()
    left = set(os.listdir(shop.path.parent)) - {"customers.parquet", "shop.toml"}
    assert left <= {"workbench.lock"}


def test_consent_that_cannot_be_told_is_an_answer_rather_than_a_fault(shop, tmp_path):
    with pytest.raises(TooLittleData, match=r"push_opt_in.*choose one of email, in_app"):
        export(shop, everyone(shop), "a", "push")
    (tmp_path / "events.csv").write_text("occurred_at,visitor_id,event\n2026-11-01,v,login\n")
    (tmp_path / "shop.toml").write_text('[tables.events]\npath = "events.csv"\n')
    bare = open_shop(tmp_path / "shop.toml")
    with pytest.raises(MissingTable, match="customers"):
        export(bare, people(), "a", "email")
    assert export(bare, people(), "a", "on_site").n_no_consent == 0


def test_a_failure_at_the_ledger_leaves_no_file(shop, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken, pytest.raises(OSError, match="No space"):
        broken.setattr(audience.Ledger, "append", full)
        export(shop, everyone(shop), "carts", "email")
    assert files_of(shop) == {} and ledger_of(shop).experiments().empty
    assert not list((shop.path.parent / "audiences").rglob(".*"))
    assert export(shop, everyone(shop), "carts", "email").status == "sent"


def test_a_folder_of_ones_own(shop, tmp_path):
    sent = export(shop, everyone(shop), "carts", "email", folder=tmp_path / "out")
    assert {path.parent for path in sent.paths} == {tmp_path / "out"}
    again = export(shop, everyone(shop), "carts", "email", folder=tmp_path / "out")
    assert [p.resolve() for p in again.paths] == [p.resolve() for p in sent.paths]
    assert ledger_of(shop).experiments().folder.tolist() == ["../out"]


def test_what_the_wave_can_detect_comes_from_the_shops_own_past(tmp_path):
    rng = np.random.default_rng(5)
    days = pd.date_range("2026-08-01", "2026-11-22", freq="h")
    orders = pd.DataFrame({
        "order_id": [f"o{n}" for n in range(4000)],
        "customer_id": [f"c{n:04d}" for n in rng.integers(0, 300, 4000)],
        "ordered_at": rng.choice(days, 4000),
        "revenue": rng.lognormal(3, 1, 4000),
    })  # fmt: skip
    path = write_shop(tmp_path / "shop", people())
    orders.to_parquet(path.parent / "orders.parquet", index=False)
    path.write_text(path.read_text() + '[tables.orders]\npath = "orders.parquet"\n')
    shop = open_shop(path)
    sent = export(shop, everyone(shop), "carts", "email", 0.2)
    spent = {}
    for back in range(4):
        end = pd.Timestamp("2026-11-23") - pd.Timedelta(7 * back, "D")
        part = orders[(orders.ordered_at < end) & (orders.ordered_at >= end - pd.Timedelta(7, "D"))]
        spent[back] = part.groupby("customer_id").revenue.sum().reindex(people().customer_id)
    weeks = pd.DataFrame(spent).fillna(0)
    assert sent.usual == pytest.approx(weeks.to_numpy().mean())
    sd = np.sqrt(weeks.var(ddof=1).mean())
    # CUPED takes some off what the spread and the skewness of a week's revenue ask for.
    skewness = stats.moment(weeks, 3, axis=0).mean() / sd**3
    wide = design.mde(sent.n_treated, sent.n_holdout, sd, skewness=skewness)
    assert 0.95 * wide < sent.mde <= 1.005 * wide


@pytest.mark.slow
@pytest.mark.long_on_spark
def test_the_same_audience_on_both_engines(con, tmp_path):
    shop = open_shop(write_shop(tmp_path / "shop", people(), "global_holdout = 0.1"), con=con)
    sent = export(shop, everyone(shop), "carts", "email", 0.2, ("city",), stratify_by="city")
    plain = open_shop(write_shop(tmp_path / "plain", people(), "global_holdout = 0.1"))
    ids = ibis.memtable(everyone(plain).execute())
    same = export(plain, ids, "carts", "email", 0.2, ("city",), stratify_by="city")
    assert [p.read_bytes() for p in sent.paths] == [p.read_bytes() for p in same.paths]
    seals = [ledger_of(one).experiments().seal.tolist() for one in (shop, plain)]
    assert seals[0] == seals[1]


def test_a_week_sends_what_it_can_and_says_what_it_lacks(shop):
    lists = {"carts": everyone(shop).limit(100), "browses": everyone(shop).limit(200)}
    planned = send_all(shop, lists)
    assert [one.status for one in planned] == ["planned"] * 2
    assert ledger_of(shop).experiments().empty
    sent = send_all(shop, lists, send=True, contact_cost=0.5)
    assert [one.status for one in sent] == ["sent"] * 2
    assert ledger_of(shop).experiments().contact_cost.tolist() == [0.5, 0.5]
    # The week is run again with another list: nobody is drawn twice.
    again = send_all(shop, lists | {"carts": everyone(shop)}, send=True)
    assert [(one.status, one.n_customers) for one in again] == [
        ("sent before", 100), ("sent before", 200),
    ]  # fmt: skip
    lacking = send_all(shop, {"a": people(), "b": people()}, "push", send=True)
    assert [type(one) for one in lacking] == [NotSent] * 2
    assert "push_opt_in" in lacking[0].why
    with pytest.raises(Refusal, match="holdout"):
        send_all(shop, lists, holdout=2, send=True)
