"""personal_data: what is somebody's is found, what only looks like it is left alone, and nothing is repeated."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.curating.base import Drop, Example
from harvester.curating.personal_data import PersonalData, kinds

ROW = Example(1, "row", "train", "seed", {"text": "A question?"}, "A question?", "An answer.", "A thought.")
PARTS = ("prompt", "answer", "reasoning", "seed", "reference")
FOUND = {
    "e-mail address": [
        "Write to anna.k@corp-site.de.",
        "müller@städte-bau.de",
        "a+b@mail.co.uk",
        "<kofi@firm.io>",
        "mailto:jo@uni-mainz.de",
        "邮箱：wang@qq.com",
        "john_smith99@gmail.com, or by post",
    ],
    "phone number": [
        "+49 30 1234576",
        "+1 (212) 456-7890",
        "+33 6 12 34 56 78",
        "+90 532 123 45 67",
        "+91 98765 43210",
        "+34 612 345 678",
        "WhatsApp +5511912345678",
        "call 0049 30 901820",
        "(212) 456-7890",
        "212-456-7890",
        "212.456.7890",
        "06 12 34 56 78",
        "030/1234567",
        "0171-1234567",
        "0171 1234567",
        "0532 123 45 67",
        "(02) 9123 4567",
        "020 7123 0958",
        "07911 123457",
        "03-1234-5678",
        "010-1234-5678",
        "138 1234 5678",
        "(11) 91234-5678",
        "8 (912) 345-67-89",
        "Tel. 4567890",
        "my phone number is 2124567890",
        "тел. 84951234567",
        "电话：13812345678",
        "मोबाइल: 9876543210",
        "الهاتف: ٠٩٣٣١٢٣٤٥٦",
    ],
    "IBAN": [
        "DE89 3704 0044 0532 0130 00",
        "IBAN: GB29NWBK60161331926819.",
        "FR1420041010050500013M02606",
        "MT84MALT011000012345MTLCAST001S",
    ],
    "card number": [
        "4539 1488 0343 6467",
        "4539148803436467",
        "5425-2334-3010-9903",
        "3741 111111 11111",
        "374111111111111",
    ],
    "IP address": [
        "81.2.69.142",
        "from 93.184.216.34:443",
        "(2a00:1450:4001:81b::200e)",
        "2a00:1450:4001:81b:0:0:0:200e",
    ],
    "social security number": ["536-90-4399"],
}
INNOCENT = [
    "user@example.com", "a@b.example", "x@test", "someone@mail.example.org", "you@company.com", "noreply@shop.com",
    "git@github.com:a/b.git", "logo@2x.png", "@decorator", "a @ b.com", "user@1.2.3",
    "order 8412345678", "order number 2024-0012-3456", "112-3456789-1234567", "tracking 1Z999AA10123456784", "UPC 012345678905",
    "2024-03-05 14:30:00", "05.03.2024", "12/31/2024", "01-02-2020", "07.12.2024 14.30", "Mobile: 2024-03-05", "phone 1999-2001", "GMT+02:00", "+0200",
    "1,234,567.89", "$1 234 567", "€12.345.678,90", "418.63 dollars on Aug 4, 2022", "1 000 000 000", "phone 1 500 000 units", "+10000000",
    "ISBN 978-3-16-148410-0", "ISBN 0-306-40615-2", "978-0-13-468599-1", "page 101-102-1034", "1990-1991, 2001-2002-2003",
    "3.14159265358979", "0.123 456 789", "0123456789", "4294967296", "2 147 483 647", "2^31 - 1 = 2147483647",
    "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", "0 1 1 2 3 5 8 13 21 34 55 89 144", "15 13 5 88 24 10 30", "1/2 + 3/4 = 5/4, 0.75 0.25 0.125",
    "5+12345678", "x +12345678.50", "12 345 678 + 87 654 321", "+ 1 234 567 890 sheep",
    "id 123-45-6789", "078-05-1120", "000-12-3456", "1-800-FLOWERS", "555-0123", "(212) 555-0123", "+1 212 555 0199", "020 7946 0958", "030 23125 000",
    "192.168.1.10", "10.0.0.1", "127.0.0.1", "192.0.2.17", "8.8.8.8", "255.255.255.0", "version 12.34.56.78", "v2.10.33.41", "1.2.3.4", "1.2.3.4.5.60", "300.1.2.3",
    "2001:db8::1", "::1", "std::vector<int>::iterator", "12:30:45", "fe80::1",
    "4111 1111 1111 1111", "4242424242424242", "1234567890123456", "4539 1488 0343 6468", "0.4539148803436467",
    "DE00 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130", "AB12 CDEF GHIJ KLMN", "ZZ89370400440532013000",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "Bitcoin 1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "d41d8cd98f00b204e9800998ecf8427e",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_somebodys_data_is_found(kind: str, text: str) -> None:
    assert kind in kinds(text)
    assert kind in kinds(f"Please note: {text} (as of today)")
    assert kind in kinds(f"- {text}\n- more")


# Chinese, Japanese and Thai write no spaces, Korean none before a particle.
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("号码是", "没有人问起这件事情也没有人知道他们为什么不来问一问"),
        ("番号は", "です"),
        ("그 번호 ", "입니다"),
        ("โทร", "ได้"),
    ],
)
def test_letters_right_beside_it_hide_nothing_and_make_nothing_of_what_is_nobody_s(before: str, after: str) -> None:
    missed = {text: kind for kind, some in FOUND.items() for text in some if kind not in kinds(before + text + after)}
    assert missed == {}
    assert [text for text in INNOCENT if list(kinds(before + text + after))] == []


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert list(kinds(text)) == []
    assert list(kinds(f"It was {text}, they said.")) == []


def test_all_of_them_together_are_still_nobodys() -> None:
    assert list(kinds("\n".join(INNOCENT))) == []


@pytest.mark.parametrize("part", PARTS)
def test_a_drop_names_kind_and_part_alone(part: str) -> None:
    text = "Write to anna.k@corp-site.de."
    changed: dict[str, Any] = {part: {"note": text} if part in ("seed", "reference") else text}
    drop = PersonalData().look(replace(ROW, **changed))
    assert drop == Drop("personal_data", {"kind": "e-mail address", "part": part})
    assert "anna" not in json.dumps(dict(drop.detail))


def test_a_row_without_any_stays() -> None:
    assert PersonalData().look(ROW) is None


PIECES = [
    "+",
    "0",
    "00",
    "1",
    "49 ",
    "(",
    ")",
    "-",
    ".",
    "@",
    "a",
    ":",
    "::",
    "2a00",
    "DE89",
    "4539",
    "tel",
    "٣",
    "1" * 500,
    "a" * 500,
    "\ud800",
]


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
@settings(deadline=None)
def test_any_text_is_looked_at_and_always_in_the_same_way(text: str) -> None:
    row = replace(ROW, answer=text)
    assert PersonalData().look(row) == PersonalData().look(row)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["1", "1 ", "+1", "a", "a.", "a@", "A1", "1.", ":", "2a:", "(", "0 1-", "DE89 3704 "])
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    list(kinds("x@y 0.0 :: 1234567 +" + piece * (100_000 // len(piece))))


@given(
    kind=st.sampled_from(sorted(FOUND)),
    which=st.integers(0, 100),
    before=st.text(st.characters(categories=["L", "Zs", "P"], exclude_characters="+@-./:_,()")),
    after=st.text(st.characters(categories=["L", "Zs"])),
)
@settings(deadline=None)
def test_it_is_found_whatever_words_stand_around_it(kind: str, which: int, before: str, after: str) -> None:
    text = FOUND[kind][which % len(FOUND[kind])]
    assert kind in kinds(f"{before}\n{text} {after}")


@pytest.mark.parametrize("text", ["call +49 30 901820 please", "Call me at +1 (415) 555-2671 tomorrow"])
def test_a_number_in_groups_of_unlike_length_is_found_by_every_python(text: str) -> None:
    # Before 3.11.5 Python's possessive quantifiers gave nothing back, and here lost the whole number.
    assert list(kinds(text)) == ["phone number"]
