"""personal_data: e-mail addresses, phone and account numbers, public addresses; a drop never repeats them.

Light patterns: what has a checksum is checked by it, the rest must be written as people write it. A bare run of digits
is an order number and no phone number, unless a word such as Tel. stands before it. What is set apart for examples
(example.com, 555-0100, 192.0.2.1, the cards of payment providers' tests) is nobody's. Names and postal addresses are
not looked for.
"""

import re
from collections.abc import Callable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from harvester.curating.accounts import is_card, is_iban
from harvester.curating.attached import OF_WORDS, UNSPACED
from harvester.curating.base import Drop, Example
from harvester.curating.parts import parts
from harvester.curating.phones import phones

LEAST_DIGITS = 7
"""One after the other, whatever separates them: every number has so many."""

_SHAPE = bytes(ord("0") if byte in b"0123456789" else byte for byte in range(256))
_SEPARATORS = b" -./()+"
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
_COLONS = 7  # of an IPv6 address without ::
_EMAIL = re.compile(
    rf"(?<!{OF_WORDS})(?<![.%+'-])(?:{OF_WORDS}|[.%+'-]){{1,64}}@"
    rf"((?:(?:{OF_WORDS}|-){{1,63}}\.){{1,8}}[^\W\d_{UNSPACED}]{{2,24}})(?!{OF_WORDS}|@)"
)
_NOBODYS_DOMAIN = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|org|net|edu)|[\w-]*\.?(?:example|test|invalid|localhost|local|internal)|"
    r"(?:your)?(?:domain|company|email|mail|host|server|site|website)\.(?:com|org|net|tld))",
    re.IGNORECASE,
)
_NOBODYS_NAME = re.compile(
    r"(?:git|no-?reply|do-?not-?reply|user(?:name)?|you|your[._-]?(?:e?mail|name))@", re.IGNORECASE
)
_FILE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")  # logo@2x.png
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\w.,+-])\d{4}(?:([ -]?)\d{4}\1\d{4}\1\d{4}|([ -]?)\d{6}\2\d{5})(?![\w-]|[.,]\d)", re.ASCII)
_SSN = re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])", re.ASCII)
_NOBODYS_SSN = frozenset({"078-05-1120", "219-09-9999", "123-45-6789"})
_IPV4 = re.compile(r"(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9a-f]{3}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE | re.ASCII)
_VERSION = re.compile(r"(?:\bv|version|release|section|chapter|build|firmware|§)[ .:=]*$", re.IGNORECASE)
_RESOLVERS = frozenset({"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "208.67.222.222", "208.67.220.220"})


class PersonalData:
    """Drops rows that hold personal data."""

    name = "personal_data"

    def look(self, example: Example) -> Drop | None:
        """The first part with some."""
        for part, text in parts(example):
            kind = next(kinds(text), None)
            if kind:
                return Drop("personal_data", {"kind": kind, "part": part})
        return None


def kinds(text: str) -> Iterator[str]:
    """Kinds of the personal data in a text, one after the other."""
    if "@" in text and any(map(_is_persons, _EMAIL.finditer(text))):
        yield "e-mail address"
    if ("::" in text or text.count(":") >= _COLONS) and any(map(_is_public_ipv6, _IPV6.finditer(text))):
        yield "IP address"
    if not text.isascii() and _OTHER_DIGIT.search(text):
        text = _OTHER_DIGIT.sub(lambda found: str(int(found[0])), text)
    raw = text.encode("utf-8", "replace")
    if b"0.0" in raw.translate(_SHAPE) and any(map(_is_public_ipv4, _IPV4.finditer(text))):
        yield "IP address"
    if b"0" * LEAST_DIGITS in raw.translate(_SHAPE, _SEPARATORS):
        yield from (kind for kind, found in _NUMBERS.items() if found(text))


def _is_persons(email: re.Match[str]) -> bool:
    return not (
        email[0].lower().endswith(_FILE_ENDINGS) or _NOBODYS_NAME.match(email[0]) or _NOBODYS_DOMAIN.fullmatch(email[1])
    )


def _is_public_ipv4(found: re.Match[str]) -> bool:
    try:
        address = IPv4Address(found[0])
    except AddressValueError:
        return False
    if not address.is_global or address.is_multicast or found[0] in _RESOLVERS:
        return False
    small = all(part < 10 for part in address.packed)  # noqa: PLR2004 - 1.2.3.4 numbers a section or a version
    return not small and not _VERSION.search(found.string[max(0, found.start() - 12) : found.start()])


def _is_public_ipv6(found: re.Match[str]) -> bool:
    try:
        return IPv6Address(found[0]).is_global
    except AddressValueError:
        return False


_NUMBERS: dict[str, Callable[[str], bool]] = {
    "phone number": lambda text: any(True for _ in phones(text)),
    "IBAN": lambda text: any(is_iban(found[0]) for found in _IBAN.finditer(text)),
    "card number": lambda text: any(is_card(found[0]) for found in _CARD.finditer(text)),
    "social security number": lambda text: any(found[0] not in _NOBODYS_SSN for found in _SSN.finditer(text)),
}
