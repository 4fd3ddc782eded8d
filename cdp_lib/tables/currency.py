"""How amounts of a currency are written."""

_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "TRY": "₺"}


def symbol(currency: str) -> str:
    """What stands before an amount: the sign of a common currency, else its code and a space.

    >>> symbol("EUR"), symbol("SEK"), symbol("")
    ('€', 'SEK ', '')
    """
    return _SYMBOLS.get(currency, f"{currency} " if currency else "")
