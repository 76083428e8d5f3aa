"""Solutions of the tasks in prompts/code, one a task: each has to pass its tests."""

import re
from bisect import bisect_left
from calendar import isleap, monthrange
from collections import Counter
from itertools import combinations, groupby
from statistics import median as middle
from typing import Any


def is_palindrome(text: str) -> bool:
    kept = [letter for letter in text.lower() if letter.isalnum()]
    return kept == kept[::-1]


def word_counts(text: str) -> dict[str, int]:
    return dict(Counter(text.lower().split()))


def caesar(text: str, shift: int) -> str:
    def moved(letter: str, first: str) -> str:
        return chr((ord(letter) - ord(first) + shift) % 26 + ord(first))

    return "".join(
        moved(one, "a") if "a" <= one <= "z" else moved(one, "A") if "A" <= one <= "Z" else one for one in text
    )


def initials(name: str) -> str:
    return "".join(f"{word[0].upper()}." for word in name.split())


def compress(text: str) -> str:
    return "".join(f"{letter}{len(list(run))}" for letter, run in groupby(text))


def slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def top_word(text: str) -> str:
    counts = word_counts(text)
    return min(counts, key=lambda word: (-counts[word], word), default="")


def second_largest(values: list[int]) -> int | None:
    found = sorted(set(values))
    return found[-2] if len(found) > 1 else None


def flatten(values: list[Any]) -> list[Any]:
    return [inner for one in values for inner in (flatten(one) if isinstance(one, list) else [one])]


def chunks(values: list[Any], size: int) -> list[list[Any]]:
    return [values[place : place + size] for place in range(0, len(values), size)]


def rotate(values: list[Any], n: int) -> list[Any]:
    places = n % len(values) if values else 0
    return values[len(values) - places :] + values[: len(values) - places]


def unique(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def merge_sorted(one: list[int], other: list[int]) -> list[int]:
    return sorted(one + other)


def transpose(rows: list[list[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def find(values: Any, value: int) -> int:
    place = bisect_left(values, value)
    return place if place < len(values) and values[place] == value else -1


def is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def gcd(one: int, other: int) -> int:
    while other:
        one, other = other, one % other
    return one


def to_roman(number: int) -> str:
    signs = zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        ("M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"),
        strict=True,
    )
    found = ""
    for value, sign in signs:
        times, number = divmod(number, value)
        found += sign * times
    return found


def digits_sum(number: int) -> int:
    return sum(map(int, str(abs(number))))


def fibonacci(n: int) -> list[int]:
    found = [0, 1]
    while len(found) < n:
        found.append(found[-1] + found[-2])
    return found[:n]


def median(values: list[float]) -> float:
    return middle(values)


def invert(given: dict[Any, Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for key in sorted(given):
        found.setdefault(given[key], []).append(key)
    return found


def merge_sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in one | other}


def group_by_first(words: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in filter(None, words):
        found.setdefault(word[0].lower(), []).append(word)
    return found


def parse_pairs(text: str) -> dict[str, str]:
    parts = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip(): value.strip() for name, _, value in parts}


def days_in_month(year: int, month: int) -> int:
    return monthrange(year, month)[1]


def clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def balanced(text: str) -> bool:
    opening: list[str] = []
    closes = {")": "(", "]": "[", "}": "{"}
    for one in text:
        if one in closes.values():
            opening.append(one)
        elif one in closes and (not opening or opening.pop() != closes[one]):
            return False
    return not opening


def is_sorted(values: list[int]) -> bool:
    return sorted(values) == values


def majority(values: list[Any]) -> Any:
    return next((value for value in values if values.count(value) * 2 > len(values)), None)


def water(heights: list[int]) -> int:
    return sum(min(max(heights[: place + 1]), max(heights[place:])) - height for place, height in enumerate(heights))


def is_ipv4(text: str) -> bool:
    part = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    return bool(re.fullmatch(rf"{part}(?:\.{part}){{3}}", text))


def count_vowels(text: str) -> int:
    return sum(letter in "aeiou" for letter in text.lower())


def common_prefix(texts: list[str]) -> str:
    if not texts:
        return ""
    least, most = min(texts), max(texts)
    return next((least[:place] for place in range(len(least)) if least[place] != most[place]), least)


def edit_distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        before, row[0] = row[0], number
        for place, its in enumerate(other, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != its))
    return row[-1]


def pair_count(numbers: list[int], target: int) -> int:
    return sum(sum(pair) == target for pair in combinations(numbers, 2))


def spiral(rows: list[list[Any]]) -> list[Any]:
    found = []
    while rows:
        found += rows[0]
        rows = transpose(rows[1:])[::-1]
    return found


def to_binary(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 2)
        digits = f"{digit}{digits}"
    return digits or "0"


def deep_get(given: Any, path: str, default: Any) -> Any:
    for name in path.split("."):
        if not isinstance(given, dict) or name not in given:
            return default
        given = given[name]
    return given


def is_leap(year: int) -> bool:
    return isleap(year)
