"""Solutions of the tasks in prompts/code that are nearly right: the tests have to tell each of them."""

import calendar
import re
from collections import Counter
from itertools import pairwise
from typing import Any


def is_palindrome(text: str) -> bool:  # keeps punctuation
    kept = text.lower().replace(" ", "")
    return kept == kept[::-1]


def word_counts(text: str) -> dict[str, int]:  # of one kind of white space
    return dict(Counter(text.lower().split(" ")))


def caesar(text: str, shift: int) -> str:  # runs past z
    return "".join(chr(ord(letter) + shift) if letter.isalpha() else letter for letter in text)


def initials(name: str) -> str:  # leaves the letters small
    return "".join(f"{word[0]}." for word in name.split())


def compress(text: str) -> str:  # counts over the whole text
    return "".join(f"{letter}{count}" for letter, count in Counter(text).items())


def slug(title: str) -> str:  # leaves hyphens at the ends
    return re.sub(r"[^a-z0-9]+", "-", title.lower())


def top_word(text: str) -> str:  # of several, the first in the text; fails where there is none
    return Counter(text.lower().split()).most_common(1)[0][0]


def second_largest(values: list[int]) -> int | None:  # equal values count twice
    return sorted(values)[-2] if len(values) > 1 else None


def flatten(values: list[Any]) -> list[Any]:  # one level
    return [inner for one in values for inner in (one if isinstance(one, list) else [one])]


def chunks(values: list[Any], size: int) -> list[list[Any]]:  # loses the rest
    return [values[place * size : (place + 1) * size] for place in range(len(values) // size)]


def rotate(values: list[Any], n: int) -> list[Any]:  # no further than the list is long
    return values[-n:] + values[:-n]


def unique(values: list[Any]) -> list[Any]:  # in another order
    return sorted(set(values))


def merge_sorted(one: list[int], other: list[int]) -> list[int]:  # changes what it was given
    one += other
    one.sort()
    return one


def transpose(rows: list[list[Any]]) -> list[Any]:  # of tuples
    return list(zip(*rows, strict=True))


def find(values: Any, value: int) -> int:  # misses the last one
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        if values[middle] == value:
            return middle
        low, high = (middle + 1, high) if values[middle] < value else (low, middle)
    return -1


def is_prime(number: int) -> bool:  # squares of primes pass
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5)))


def gcd(one: int, other: int) -> int:  # one step of it only
    return abs(one - other) or one


def to_roman(number: int) -> str:  # knows no subtraction
    found = ""
    for value, sign in ((1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I")):
        found += sign * (number // value)
        number %= value
    return found


def digits_sum(number: int) -> int:  # forgets the sign
    return sum(map(int, str(number)))


def fibonacci(n: int) -> list[int]:  # two at least
    found = [0, 1]
    while len(found) < n:
        found.append(found[-1] + found[-2])
    return found


def median(values: list[float]) -> float:  # of an even count the upper one
    return sorted(values)[len(values) // 2]


def invert(given: dict[Any, Any]) -> dict[Any, list[Any]]:  # the keys as they come
    found: dict[Any, list[Any]] = {}
    for key, value in given.items():
        found.setdefault(value, []).append(key)
    return found


def merge_sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:  # changes what it was given
    for key, value in other.items():
        one[key] = one.get(key, 0) + value
    return one


def group_by_first(words: list[str]) -> dict[str, list[str]]:  # fails on an empty word
    found: dict[str, list[str]] = {}
    for word in words:
        found.setdefault(word[0].lower(), []).append(word)
    return found


def parse_pairs(text: str) -> dict[str, str]:  # fails on a second equals sign
    return {name.strip(): value.strip() for name, value in (part.split("=") for part in text.split(";") if "=" in part)}


def days_in_month(year: int, month: int) -> int:  # every fourth year is a leap year
    return 29 if month == 2 and year % 4 == 0 else calendar.mdays[month]


def clock(seconds: int) -> str:  # minutes beyond an hour
    return f"{seconds // 3600}:{seconds // 60:02}:{seconds % 60:02}"


def balanced(text: str) -> bool:  # counts only
    return all(text.count(one) == text.count(other) for one, other in ("()", "[]", "{}"))


def is_sorted(values: list[int]) -> bool:  # equal neighbours are not fine
    return all(left < right for left, right in pairwise(values))


def majority(values: list[Any]) -> Any:  # half is enough
    return next((value for value in values if values.count(value) * 2 >= len(values)), None)


def water(heights: list[int]) -> int:  # below the highest wall everywhere
    return sum(max(heights) - height for height in heights[1:-1])


def is_ipv4(text: str) -> bool:  # leading zeros and spaces pass
    parts = text.split(".")
    return len(parts) == 4 and all(part.strip().isdigit() and int(part) < 256 for part in parts)


def count_vowels(text: str) -> int:  # small ones only
    return sum(letter in "aeiou" for letter in text)


def common_prefix(texts: list[str]) -> str:  # fails without texts
    return next(
        texts[0][:size] for size in range(len(texts[0]), -1, -1) if all(t.startswith(texts[0][:size]) for t in texts)
    )


def edit_distance(one: str, other: str) -> int:  # place by place
    return abs(len(one) - len(other)) + sum(a != b for a, b in zip(one, other, strict=False))


def pair_count(numbers: list[int], target: int) -> int:  # pairs of different values
    return len({tuple(sorted((a, target - a))) for a in numbers if target - a in numbers and a != target - a})


def spiral(rows: list[list[Any]]) -> list[Any]:  # every second row backwards
    return [value for number, row in enumerate(rows) for value in (row[::-1] if number % 2 else row)]


def to_binary(number: int) -> str:  # nothing for zero
    digits = ""
    while number:
        digits = str(number % 2) + digits
        number //= 2
    return digits


def deep_get(given: Any, path: str, default: Any) -> Any:  # fails below what is no dict
    for name in path.split("."):
        given = given.get(name, {})
    return given or default


def is_leap(year: int) -> bool:  # every fourth year
    return year % 4 == 0
