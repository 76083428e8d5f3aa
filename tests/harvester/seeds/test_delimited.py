"""CSV and TSV: what is read, and what is refused with its line."""

from typing import Any

import pytest

from harvester.errors import BadInput


def data(seeds: list[Any]) -> list[Any]:
    return [dict(seed.data) for seed in seeds]


def test_every_value_is_a_text_and_the_reference_is_kept_back(read: Any, root: Any) -> None:
    (root / "a.csv").write_text('text,n,reference\nx,01,"{""a"": 1}"\n,2.50,\n', encoding="utf-8")
    seeds = read("a.csv")
    assert data(seeds) == [{"text": "x", "n": "01"}, {"text": "", "n": "2.50"}]
    assert [seed.reference for seed in seeds] == ['{"a": 1}', ""]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found_in_the_header(read: Any, root: Any, delimiter: str) -> None:
    text = delimiter.join(["text", '"note, ; \t of mine"']) + "\n" + delimiter.join(["a", '"b, ; \t c"']) + "\n"
    (root / "a.csv").write_text(text, encoding="utf-8")
    assert data(read("a.csv")) == [{"text": "a", "note, ; \t of mine": "b, ; \t c"}]


def test_tsv_has_tabs_whatever_else_its_header_holds(read: Any, root: Any) -> None:
    (root / "a.tsv").write_text("a,b,c\td\n1,2,3\t4\n", encoding="utf-8")
    assert data(read("a.tsv")) == [{"a,b,c": "1,2,3", "d": "4"}]


def test_a_byte_order_mark_line_ends_of_windows_and_line_breaks_in_quotes(read: Any, root: Any) -> None:
    (root / "a.csv").write_bytes('\ufefftext,b\r\n"one\r\ntwo\n\nthree",ب\r\n\r\nlast,"say ""hi"""'.encode())
    assert data(read("a.csv")) == [{"text": "one\r\ntwo\n\nthree", "b": "ب"}, {"text": "last", "b": 'say "hi"'}]


def test_a_text_longer_than_the_library_takes_by_default(read: Any, root: Any) -> None:
    long = "word " * 100_000
    (root / "a.csv").write_text(f"text\n{long}\n", encoding="utf-8")
    assert data(read("a.csv")) == [{"text": long}]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "a.csv: has no header; write the names of the columns on its first line"),
        (b"text,b\n", "a.csv: has no seeds; add rows or take it out"),
        (b"text,\na,b\n", "line 1: column 2 has no name"),
        (b"text,b,text\n1,2,3\n", "line 1: the column 'text' is named twice; rename one"),
        (
            b'text,b\n"1\n\n2",3\n4\n',
            "line 5: has 1 values, the first line names 2 columns; put values that hold a comma",
        ),
        (b"text;b\n1;2;3\n", "line 2: has 3 values, the first line names 2 columns; put values that hold a semicolon"),
        (b'text,b\n1,2\n"open,3\n4,5\n', 'line 3: unexpected end of data; is a quote (") left open'),
        (b'text,b\n"1"2,3\n', "line 2: ',' expected after '\"'"),
        (b"text,b\n1,2\n3,\0\n", "line 3: holds a NUL character; save it as UTF-8"),
        (b"text,b\n1,2\n3,\xe9\n", "not UTF-8 text: line 3: "),
        ("text,b\n1,2\n".encode("utf-16"), "not UTF-8 text: line 1: "),
        (b'text\n"' + b"a" * 10_000_001 + b'"\n', "line 2: field larger than field limit"),
    ],
)
def test_what_is_refused(read: Any, root: Any, raw: bytes, says: str) -> None:
    (root / "a.csv").write_bytes(raw)
    with pytest.raises(BadInput) as error:
        read("a.csv")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
