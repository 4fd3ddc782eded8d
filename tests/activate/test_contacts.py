"""Contact hashes: the platforms' own examples, and what must not be hashed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_lib.activate.contacts import email_sha256, phone_sha256, usable_hash
from cdp_lib.checks import Refusal


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_metas_published_examples():
    # Conversions API, "Customer information parameters": em and ph.
    assert email_sha256("John_Smith@gmail.com", "meta") == (
        "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
    )
    assert phone_sha256("(650)555-1212", "1", "meta") == (
        "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"
    )


@pytest.mark.parametrize(
    ("address", "google", "meta"),
    [
        ("  Jane.Doe@Gmail.com ", "janedoe@gmail.com", "jane.doe@gmail.com"),
        ("jane.doe@googlemail.com", "janedoe@googlemail.com", "jane.doe@googlemail.com"),
        ("Jane.Doe@example.org", "jane.doe@example.org", "jane.doe@example.org"),
        ("jane+shop@gmail.com", "jane+shop@gmail.com", "jane+shop@gmail.com"),
    ],
)
def test_full_stops_count_but_for_googles_own_mail(address, google, meta):
    assert email_sha256(address) == sha256(google)
    assert email_sha256(address, "meta") == sha256(meta)


@pytest.mark.parametrize("address", [None, "", "  ", "jane", "@gmail.com", "jane@", "a b@c.de", 7])
def test_what_is_no_address_has_no_hash(address):
    assert email_sha256(address) is None


@pytest.mark.parametrize(
    ("number", "code", "digits"),
    [
        ("+49 (0)30 123456", "", "4930123456"),
        ("0049 30 123456", "", "4930123456"),
        ("030/123456", "49", "4930123456"),
        ("+1 212-565-0000", "", "12125650000"),
        ("+44 20 7031 3000", "49", "442070313000"),
    ],
)
def test_a_number_becomes_e164_for_google_and_digits_for_meta(number, code, digits):
    assert phone_sha256(number, code) == sha256(f"+{digits}")
    assert phone_sha256(number, code, "meta") == sha256(digits)


@pytest.mark.parametrize("number", [None, "", "030 123456", "call me", "+0 123 456 789", "+1 23",
                                    "+1234567890123456"])  # fmt: skip
def test_a_number_whose_country_is_unknown_has_no_hash(number):
    assert phone_sha256(number) is None


def test_unknown_platforms_and_codes_are_refused():
    with pytest.raises(Refusal, match="did you mean 'google'"):
        email_sha256("a@b.de", "gogle")
    with pytest.raises(Refusal, match="not a country code"):
        phone_sha256("030 1", "+49")


@given(st.text())
def test_only_a_hash_passes_for_a_hash(text):
    found = usable_hash(text)
    assert found is None or (len(found) == 64 and set(found) <= set("0123456789abcdef"))
    assert usable_hash(sha256(text).upper()) == sha256(text)
