r"""Numbers as people write them → as math-verify reads them: other digits and signs, groups, mixed numbers, millions.

    ٤٢ → 42                 1{,}000, 1\,000 → 1,000, 1000     1.250,50 → 1250.50
    1½, 1 1/4 → 3/2, 5/4    3e5 → 3 \times 10^{5}              22,1 million → 22100000
    0.1\overline{6}, 0.1(6) → \frac{15}{90}

A word of magnitude makes its number another one: 22.1 million is not 22.1.
"""

import re
import unicodedata
from fractions import Fraction

_THOUSANDS = "thousand thousands mil mille mila tausend duizend тысяча тысячи тысяч ألف ألفا آلاف الف हज़ार हजार"
_MILLIONS = (
    "million millions millionen mio millón millones milhão milhões milione milioni miljoen"
    " миллион миллиона миллионов млн مليون ملايين"
)
_BILLIONS = (
    "billion billions bn milliard milliards milliarde milliarden mrd miliardo miliardi miljard"
    " миллиард миллиарда миллиардов млрд مليار مليارات"
)
_TRILLIONS = "trillion trillions billón billones billionen триллион триллиона триллионов تريليون"
_IN_WORDS = {
    "dozen dozens": 12,
    "hundred hundreds hundert cien cento honderd сто مئة مائة सौ": 100,
    _THOUSANDS: 10**3,
    "lakh lakhs लाख": 10**5,
    _MILLIONS: 10**6,
    "crore crores करोड़": 10**7,
    _BILLIONS: 10**9,
    _TRILLIONS: 10**12,
}
MAGNITUDES = {word: value for words, value in _IN_WORDS.items() for word in words.split()}
# No space stands before these, and no end of a word after them.
_ATTACHED = {"万": 10**4, "萬": 10**4, "만": 10**4, "亿": 10**8, "億": 10**8, "억": 10**8}
_AFTER_MONEY = {"k": 10**3, "m": 10**6, "b": 10**9, "bn": 10**9}
_IN_A_SENTENCE = {"k": 10**3, "K": 10**3, "M": 10**6}  # in a formula 5k is a product

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys("\u066a\uff05", "%"),
        **dict.fromkeys("\u200b\u200e\u200f\u061c\u2066\u2067\u2068\u2069\ufeff", None),
        **dict.fromkeys("\u2044\u2215", "/"),
        "\u066b": ".",
        "\u066c": ",",
    }
)
_CLOSE = "\u00a0\u2009\u202f"  # spaces that do not break: between digits they group
_NUMBER = r"(?<![\w.,])[0-9]{1,40}(?:[.,][0-9]{1,40}){0,10}(?![0-9])"
_SPACE = r"(?:[\s~$*(]|\\[,;:!\s)\]]){0,8}"
_WRAPPER = r"(?:\\(?:text|textrm|textbf|mathrm|mbox)\s{0,3}\{\s{0,8})?"
_WORD = "|".join(sorted(MAGNITUDES, key=len, reverse=True))
_MAGNITUDE = re.compile(
    rf"(?P<number>{_NUMBER})(?:-?(?P<between>{_SPACE}{_WRAPPER})(?P<word>{_WORD})(?![\w])|(?P<attached>[{''.join(_ATTACHED)}]))",
    re.IGNORECASE,
)
_MONEY = re.compile(rf"(?P<sign>[$€£]\s?)(?P<number>{_NUMBER})\s?(?P<word>k|m|bn?)\b(?!\$)", re.IGNORECASE)
_LETTER = re.compile(rf"(?<!\$)(?P<number>{_NUMBER})(?P<word>[kKM])(?![\w$^])")
_DASH = re.compile(r"(?<![\w)}\]\u2013])\u2013(?=[0-9.\\$€£])")  # an en dash that joins nothing is a minus
_CLOSE_GROUPS = re.compile(rf"(?<![\w.,])[0-9]{{1,3}}(?:(?:\\,|[{_CLOSE}])[0-9]{{3}})+(?![0-9])")
_OPEN_GROUPS = re.compile(r"(?<![\w.,])[0-9]{1,3}(?: [0-9]{3})+(?![0-9])")
_POINT_GROUPS = re.compile(r"(?<![\w.,])[0-9]{1,3}(?:(?:\.[0-9]{3})+,[0-9]+|(?:\.[0-9]{3}){2,})(?![.,]?[0-9])")
_SCIENTIFIC = re.compile(r"(?<![\w.,])([0-9]{1,40}(?:\.[0-9]{1,40})?)[eE]([+-]?[0-9]{1,3})(?![\w.])")
_MIXED = re.compile(r"(?<![\w.,/^])([0-9]{1,3}) {1,3}([0-9]{1,3})/([0-9]{1,3})(?![\w/^])")
_REPEATING = re.compile(
    r"(?<![\w.,])([0-9]{1,20})[.,]([0-9]{0,20})"
    r"(?:\\(?:overline|bar|dot)\s?(?:\{([0-9]{1,20})\}|([0-9]))|\(([0-9]{1,20})\)(?![0-9]))"
)
MOST_IN_A_ROW = 3  # hundred thousand million


def plain(text: str, *, alone: bool) -> str:
    """A text with the numbers in it as math-verify reads them.

    Args:
        text: the text.
        alone: whether it is a value and nothing else: 1 000 is a thousand there, and two numbers in a sentence.
    """
    text = "".join(map(_digit, text)).translate(_SIGNS).replace("{,}", ",")
    text = _REPEATING.sub(_repeating, _DASH.sub("-", text))
    text = _CLOSE_GROUPS.sub(_digits_of, text)
    if alone:
        text = _OPEN_GROUPS.sub(_digits_of, text)
    text = _POINT_GROUPS.sub(lambda match: match[0].replace(".", "").replace(",", "."), text)
    text = _MIXED.sub(_improper, text)
    text = _MONEY.sub(_of_money, text)
    if not alone:
        text = _LETTER.sub(lambda match: _times(match["number"], _IN_A_SENTENCE[match["word"]]) or match[0], text)
    for _ in range(MOST_IN_A_ROW):
        text = _MAGNITUDE.sub(_multiplied, text)
    return _SCIENTIFIC.sub(r"\1 \\times 10^{\2}", text)


def decimal_comma(text: str) -> str | None:
    """22,1 → 22.1; None where a text is no such number, or groups its digits by the comma."""
    return text.replace(",", ".") if re.fullmatch(r"\s*-?\s*[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})\s*", text) else None


def _digit(letter: str) -> str:
    if letter.isascii():
        return letter
    if letter.isdecimal():
        return str(unicodedata.decimal(letter))
    above, slash, below = unicodedata.normalize("NFKC", letter).partition("\u2044")
    # The space parts ½ from a number before it: 1½ is a mixed number.
    return f" {above}/{below}" if slash and above.isdecimal() and below.isdecimal() else letter


def _digits_of(match: re.Match[str]) -> str:
    return re.sub(r"[^0-9]", "", match[0])


def _repeating(match: re.Match[str]) -> str:
    whole, fixed, *periods = match.groups()
    period = next(filter(None, periods))
    above = int(whole + fixed + period) - int(whole + fixed)
    return rf"\frac{{{above}}}{{{(10 ** len(period) - 1) * 10 ** len(fixed)}}}"


def _improper(match: re.Match[str]) -> str:
    whole, above, below = (int(part) for part in match.groups())
    return f"{whole * below + above}/{below}" if above < below else match[0]


def _multiplied(match: re.Match[str]) -> str:
    if match["attached"]:
        return _times(match["number"], _ATTACHED[match["attached"]]) or match[0]
    # Ignoring case, a pattern takes a few letters (U+0130, U+212A) that no word of the table has.
    value = _times(match["number"], MAGNITUDES.get(match["word"].lower()))
    return value + match["between"] if value else match[0]


def _of_money(match: re.Match[str]) -> str:
    value = _times(match["number"], _AFTER_MONEY.get(match["word"].lower()))
    return match["sign"] + value if value else match[0]


def _times(number: str, factor: int | None) -> str | None:
    """The product, exactly; None where the number is none (a date, perhaps) or no factor is known."""
    if re.fullmatch(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", number):
        number = number.replace(",", "")
    elif re.fullmatch(r"[0-9]+,[0-9]+", number):
        number = number.replace(",", ".")
    if factor is None or not re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", number):
        return None
    value = Fraction(number) * factor
    return str(value) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
