"""Phone numbers in a text, where they are written as such: with +, in a national form, or after a word for phone."""

import re
from collections.abc import Iterator

from harvester.curating.attached import OF_WORDS

LEAST_DIGITS, MOST_DIGITS = 8, 15  # E.164 allows 15; shorter ones are services
LEAST_LOCAL_DIGITS = 7

# Looked ahead at and then taken as a whole, or a long row of digits would be split in every way there is. (Python's own
# possessive quantifiers lose matches before 3.11.5.)
_INTERNATIONAL = re.compile(
    rf"(?<!{OF_WORDS})(?<![.)+-])(?<!\d )(?:\+[1-9]|00[1-9]\d{{0,2}}[ /-])"
    rf"(?=(?P<rest>(?:[ ./-]{{0,2}}\(?\d+\)?){{1,9}}))(?P=rest)"
    rf"(?!{OF_WORDS}|[.,]\d|[:%])",
)
# Groups as they are common where numbers are dialled with a leading 0, and some countries' own forms.
_NATIONAL = re.compile(
    rf"(?<!{OF_WORDS})(?<![.,:/+-])(?<!\d )(?:"
    r"\((?P<area>[2-9]\d\d)\) ?[2-9]\d\d[-. ]\d{4}|"  # North America
    r"(?:1[-.])?[2-9]\d\d(?P<mark>[-.])[2-9]\d\d(?P=mark)\d{4}|"
    r"0[1-9](?:[ .-]\d\d){4}|"  # France, Belgium
    r"0[1-9]\d{0,2}-\d{3,4}-\d{4}|"  # Japan, Korea, China
    r"1[3-9]\d[ -]\d{4}[ -]\d{4}|"  # China, mobile
    r"\(\d\d\) ?9?\d{4}-\d{4}|"  # Brazil
    r"8[ -]?\(?\d{3}\)?[ -]\d{3}-\d\d-\d\d|"  # Russia
    r"\(0[1-9]\d{0,3}\)[ /-]{0,3}\d{2,8}(?:[ -]\d{2,4}){0,3}|"  # anywhere
    r"0[1-9]\d{1,3}(?: ?[/-] ?| )(?:\d{5,8}|\d{2,4}(?:[ -]\d{2,4}){1,3})"
    rf")(?!{OF_WORDS}|-|[.,:/]\d)",
)
_DIGITS = re.compile(r"(?<!\d)\d(?:[ ./()-]{0,2}\d){6,14}(?!\d|[.,]\d)")
_WORD_BEFORE = 24  # characters
_WORD = re.compile(
    rf"(?:(?<!{OF_WORDS})"
    r"(?:tel(?:e(?:phone|fon|fone|foon))?|phone(?: (?:number|no))?|mobile|mobil|cell(?:phone)?|fax|whatsapp|handy|"
    r"t[ée]l(?:[ée]phone)?|tel[ée]fonos?|celular|m[óo]vil|portable|cellulare|telefonnummer|telefoon(?:nummer)?|telefonu?|komórka|"
    r"телефон|тел|моб)|"
    r"电话|電話(?:番号)?|手机|手機|携帯|전화(?:번호)?|휴대폰|هاتف|جوال|موبايل|फ़ोन|फोन|मोबाइल)"
    r"(?: (?:is|ist|est|es|è|é|number|no))?[\s.:：#=(+-]{0,4}$",  # noqa: RUF001
    re.IGNORECASE,
)
# Set apart for films and examples: North America's 555-01xx, Ofcom's ranges, Germany's and Australia's.
_NOBODYS = re.compile(
    r"1?\d{3}555(?:01\d\d|1234|1212)|(?:44|0)(?:(?:1\d\d|113)4960\d{3}|2079460\d{3}|7700900\d{3}|1632960\d{3}|8081570\d{3})|"
    r"(?:49|0)(?:3023125\d{3}|176040690\d\d|69900090\d\d)|(?:61|0)(?:[2378]5550\d{4}|491570\d{3})",
)
_NO_PHONE = re.compile(
    r"\+?\d+\.\d+|\d{4}[-./ ]\d\d?[-./ ]\d\d?|\d\d?[-./ ]\d\d?[-./ ]\d{4}|(?:19|20)\d\d ?[-/] ?(?:19|20)\d\d|"
    r"\d{3}-\d\d-\d{4}",
)  # a decimal number, a date, some years, a social security number
_ROUND = re.compile(r"\d{1,6}0{5,}|0?1?23456789\d*|\d*(\d)\1{6,}")  # an amount, or keys pressed in a row


def phones(text: str) -> Iterator[str]:
    """Phone numbers, by their digits alone."""
    if "+" in text or "00" in text:
        yield from _credible(_INTERNATIONAL.finditer(text), LEAST_DIGITS)
    yield from _credible(_NATIONAL.finditer(text), LEAST_DIGITS + 1)
    yield from _credible(filter(_is_named, _DIGITS.finditer(text)), LEAST_LOCAL_DIGITS)


def _is_named(found: re.Match[str]) -> bool:
    begin = found.start()
    return _WORD.search(found.string[max(0, begin - _WORD_BEFORE) : begin]) is not None


def _credible(matches: Iterator[re.Match[str]], least: int) -> Iterator[str]:
    for found in matches:
        digits = "".join(str(int(letter)) for letter in found[0] if letter.isdecimal()).removeprefix("00")
        if least <= len(digits) <= MOST_DIGITS and not (
            _NO_PHONE.fullmatch(found[0]) or _NOBODYS.fullmatch(digits) or _ROUND.fullmatch(digits)
        ):
            yield digits
