"""Addresses and phone numbers as the SHA-256 that advertising platforms match on.

The rules are the platforms' own. Google (Ads API, "Customer Match", formatting of user data): trim,
lower case, and for gmail.com and googlemail.com no full stop before the @; phones in E.164 with
"+". Meta (Conversions API, "Customer information parameters"): trim, lower case; phones with
country code, digits alone, no leading zeros. So one person's hashes can differ by platform.
"""

import hashlib
import re

from cdp_lib.checks import Refusal, one_of

PLATFORMS = ("google", "meta")
_GMAIL = ("gmail.com", "googlemail.com")
_HASH = re.compile(r"[0-9a-f]{64}")
_COUNTRY = re.compile(r"[1-9]\d{0,2}")


def email_sha256(address: str | None, platform: str = "google") -> str | None:
    """The hash of an e-mail address as a platform matches it; None for what is no address.

    >>> email_sha256(" John_Smith@gmail.com ", "meta")[:16]
    '62a14e44f765419d'
    """
    one_of("platform", platform, PLATFORMS)
    if not isinstance(address, str):
        return None
    cleaned = address.strip().lower()
    name, at, domain = cleaned.rpartition("@")
    if not (name and at and "." in domain) or re.search(r"\s", cleaned):
        return None
    if platform == "google" and domain in _GMAIL:
        name = name.replace(".", "")
    return _sha256(f"{name}@{domain}")


def phone_sha256(
    number: str | None, country_code: str = "", platform: str = "google"
) -> str | None:
    """The hash of a phone number as a platform matches it; None for what is no number.

    A number that begins with "+" or "00" names its country. Any other is national: it needs
    `country_code` (digits, such as "49"), which takes the place of a leading zero; without a code
    it is None, since a guess would match somebody else. Raises Refusal for a code that is none.

    >>> phone_sha256("(650)555-1212", "1", "meta")[:16]
    'e323ec626319ca94'
    """
    one_of("platform", platform, PLATFORMS)
    if country_code and not _COUNTRY.fullmatch(country_code):
        raise Refusal("country_code", country_code, "not a country code", "write digits, as 49")
    if not isinstance(number, str):
        return None
    # "+49 (0)30 …": the zero in brackets is dialled at home alone.
    written = number.strip().replace("(0)", "") if number.strip().startswith("+") else number
    digits = re.sub(r"\D", "", written)
    if written.strip().startswith("+"):
        whole = digits
    elif digits.startswith("00"):
        whole = digits[2:]
    elif country_code:
        whole = country_code + digits.removeprefix("0")
    else:
        return None
    # E.164: at most 15 digits, and no country code begins with a zero.
    if not 7 <= len(whole) <= 15 or whole.startswith("0"):
        return None
    return _sha256(f"+{whole}" if platform == "google" else whole)


def usable_hash(value: object) -> str | None:
    """A SHA-256 in lower case, or None: what is no hash might be an address, and must not leave."""
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if _HASH.fullmatch(text) else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
