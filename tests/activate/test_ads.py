"""What leaves for an advertising platform: hashes in its own columns, and nothing else."""

import csv
import stat

import pandas as pd
import pytest
from small_shop import people, write_shop

from cdp_lib.activate import ads
from cdp_lib.checks import MissingTable, Refusal, TooLittleData
from cdp_lib.tables import open_shop


def shop_of(tmp_path, **columns):
    frame = people(300).assign(phone_sha256=[f"{n + 10**6:064x}" for n in range(300)], **columns)
    frame.loc[:9, "email_sha256"] = "ada@example.com"  # an address where a hash should be
    frame.loc[:4, "phone_sha256"] = None
    return open_shop(write_shop(tmp_path, frame)), frame


def test_only_hashes_of_those_who_agreed_leave(tmp_path):
    shop, frame = shop_of(tmp_path, ads_opt_in=[n % 2 == 0 for n in range(300)])
    seed = frame[["customer_id"]].assign(margin=range(300))
    google = ads.matched(shop, seed, "google")
    assert list(google.columns) == ["Email", "Phone"]
    # Even numbers agreed; of 0, 2 and 4 no hash is known, 6 and 8 have that of a phone alone.
    assert len(google) == 147 and google.Email.isna().sum() == 2
    meta = ads.matched(shop, seed, "meta", value="margin")
    assert list(meta.columns) == ["email", "value"], "a phone's hash fits one platform alone"
    assert len(meta) == 145 and meta.value.max() == 298
    assert meta.email.is_monotonic_increasing
    text = google.to_csv() + meta.to_csv()
    assert "@" not in text and not any(one in text for one in frame.customer_id)


def test_a_file_is_written_for_its_owner_alone(tmp_path):
    shop, frame = shop_of(tmp_path, ads_opt_in=True)
    table = ads.matched(shop, frame[["customer_id"]], "google")
    path = ads.write(table, tmp_path / "lists", "seed", "google")
    assert path.name == "seed.google.csv" and stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 295 and set(rows[0]) == {"Email", "Phone"}
    assert [p.name for p in (tmp_path / "lists").iterdir()] == ["seed.google.csv"]
    assert ads.write(table, "", "seed", "google") is None


def test_nothing_but_hashes_can_be_written(tmp_path):
    table = pd.DataFrame({"email": ["0" * 64] * 100, "customer_id": "c1"})
    with pytest.raises(Refusal, match="no column that meta takes"):
        ads.write(table, tmp_path, "seed", "meta")
    with pytest.raises(Refusal, match="cannot be a file's name"):
        ads.write(table[["email"]], tmp_path, "../seed", "meta")
    with pytest.raises(TooLittleData, match="fewer than 100"):
        ads.write(table[["email"]].head(99), tmp_path, "seed", "meta")


def test_without_a_permission_nothing_leaves(tmp_path):
    shop, frame = shop_of(tmp_path)
    with pytest.raises(TooLittleData, match="ads_opt_in"):
        ads.matched(shop, frame, "google")
    assert ads.usable_consent(shop) == "email"
    bare = open_shop(write_shop(tmp_path / "b", frame.drop(columns="email_opt_in")))
    with pytest.raises(TooLittleData, match="none of these permissions"):
        ads.usable_consent(bare)


def test_an_empty_seed_and_an_odd_platform_are_refused(tmp_path):
    shop, frame = shop_of(tmp_path, ads_opt_in=True)
    with pytest.raises(Refusal, match="the seed is empty"):
        ads.matched(shop, frame.head(0), "google")
    with pytest.raises(Refusal, match="google, meta"):
        ads.matched(shop, frame, "tiktok")
    with pytest.raises(Refusal, match="takes no value"):
        ads.matched(shop, frame.assign(v=1.0), "google", value="v")
    no_hash = open_shop(write_shop(tmp_path / "n", frame[["customer_id", "ads_opt_in"]]))
    with pytest.raises(TooLittleData, match="no hash"):
        ads.matched(no_hash, frame, "google")
    assert issubclass(MissingTable, Refusal)
