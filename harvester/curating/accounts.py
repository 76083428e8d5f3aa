"""Account numbers that can be checked: IBAN (ISO 13616) and payment cards (ISO/IEC 7812)."""

import re

_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|"  # Visa
    r"(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|"  # Mastercard
    r"3[47]\d{13}|"  # American Express
    r"3(?:0[0-5]|[68]\d)\d{11}|"  # Diners Club
    r"(?:6011|65\d\d|64[4-9]\d)\d{12}|"  # Discover
    r"35(?:2[89]|[3-8]\d)\d{12}|"  # JCB
    r"62\d{14}",  # UnionPay
)
# Printed in the manuals of payment providers, and so in every program that was ever written for them.
_TEST_CARDS = frozenset({
    "4111111111111111", "4242424242424242", "4012888888881881", "4000056655665556", "4222222222222",
    "5555555555554444", "5105105105105100", "5200828282828210", "2223003122003222",
    "378282246310005", "371449635398431", "378734493671000", "30569309025904", "38520000023237",
    "6011111111111117", "6011000990139424", "3530111333300000", "3566002020360505", "6200000000000005",
})  # fmt: skip
# ISO 13616's registry: characters of a whole IBAN.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip


def is_iban(text: str) -> bool:
    """Whether a text in capitals, spaces left out, is an IBAN of its country's length with the right check digits."""
    iban = text.replace(" ", "")
    if len(iban) != _IBAN_LENGTHS.get(iban[:2]) or not iban.isalnum() or not iban.isascii():
        return False
    return int("".join(str(int(one, 36)) for one in iban[4:] + iban[:4])) % 97 == 1


def is_card(text: str) -> bool:
    """Whether digits are a card's number: an issuer's, of its length, with the check digit, and no provider's test."""
    digits = text.replace(" ", "").replace("-", "")
    return bool(_CARD.fullmatch(digits)) and digits not in _TEST_CARDS and _luhn(digits)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)  # noqa: PLR2004 - the sum of two digits
    return total % 10 == 0
