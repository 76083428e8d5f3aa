"""Documents of every format: their texts, titles and chunks."""

from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader, PdfWriter

from harvester.errors import BadInput
from harvester.seeds import Place, files_digest, places

PAGE = """<!DOCTYPE html><html><head><title> On
 hay </title><style>p {color: red}</style><script>var x = "<p>no</p>";</script>
<body><nav><a href="/">Home</a></nav>
<header>The site</header>
<main><h1>Hay</h1><p>
  Grass &amp;
  clover,<br>
  cut in <b>J</b>une.</p>
<ul>
 <li> dry
 <li>bale
</ul><table><tr><td>a<td>1</tr><tr><td>b<td>2</tr></table>
<pre>  kept
    as it is</pre><p>علف</main><aside>Advertisement</aside><footer>2024</footer></body></html>"""


def one(seeds: list[Any]) -> Any:
    (seed,) = seeds
    return seed.data


def test_a_text_is_a_seed_of_four_fields(read: Any, root: Path) -> None:
    (root / "a.txt").write_bytes("\ufeffOne.\r\n\r\n  Two سطر.\r\n".encode())
    assert one(read("a.txt")) == {"text": "One.\n\n  Two سطر.", "source": "a.txt", "chunk": 1, "title": None}


@pytest.mark.parametrize(
    ("text", "title", "kept"),
    [
        ("# Hay #\n\nGrass.\n", "Hay", "# Hay #\n\nGrass."),
        ("```sh\n# no title\n```\n\n# Hay\n", "Hay", "```sh\n# no title\n```\n\n# Hay"),
        ('---\ntitle: "On hay"\ntags: [a]\n---\n# Hay\n', "On hay", "# Hay"),
        ("---\ntags: [a]\n---\nGrass.\n", None, "Grass."),
        ("Grass.\n\n---\n\nClover.\n", None, "Grass.\n\n---\n\nClover."),
    ],
)
def test_markdown(read: Any, root: Path, text: str, title: str | None, kept: str) -> None:
    (root / "a.md").write_text(text, encoding="utf-8")
    seed = one(read("a.md"))
    assert (seed["text"], seed["title"]) == (kept, title)


def test_of_html_the_text_that_a_reader_reads(read: Any, root: Path) -> None:
    (root / "a.html").write_text(PAGE, encoding="utf-8")
    seed = one(read("a.html"))
    assert seed["title"] == "On hay"
    assert seed["text"] == (
        "Hay\n\nGrass & clover,\ncut in June.\n\n- dry\n- bale\n\na\t1\nb\t2\n\n  kept\n    as it is\n\nعلف"
    )


def test_html_without_a_main_part_and_without_a_title(read: Any, root: Path) -> None:
    (root / "a.htm").write_text("<nav>no</nav><h1>Hay</h1>Grass<script>no", encoding="utf-8")
    assert one(read("a.htm")) == {"text": "Hay\n\nGrass", "source": "a.htm", "chunk": 1, "title": "Hay"}


@pytest.mark.parametrize(
    ("encoding", "meta"),
    [
        ("utf-8", ""),
        ("utf-8", '<meta charset="utf-8">'),
        ("cp1252", '<meta charset="ISO-8859-1">'),
        ("cp1256", "<meta http-equiv='Content-Type' content='text/html; charset=windows-1256'>"),
        ("utf-16", ""),
        ("utf-8-sig", '<meta charset="latin1">'),
    ],
)
def test_html_in_the_encoding_that_it_states(read: Any, root: Path, encoding: str, meta: str) -> None:
    text = "قمح" if encoding == "cp1256" else "“café”"
    (root / "a.html").write_bytes(f"<html>{meta}<p>{text}</p>".encode(encoding))
    assert one(read("a.html"))["text"] == text


def test_of_a_pdf_the_text_of_its_pages(read: Any, root: Path, write_pdf: Any) -> None:
    write_pdf(root / "a.pdf", ["Grass.", "", "Clover."], "On hay")
    assert one(read("a.pdf")) == {"text": "Grass.\n\nClover.", "source": "a.pdf", "chunk": 1, "title": "On hay"}


def test_a_pdf_that_only_its_owner_may_print_is_read_and_one_with_a_password_is_not(
    read: Any, root: Path, write_pdf: Any
) -> None:
    write_pdf(root / "a.pdf", ["Grass."])
    for name, user in (("open.pdf", ""), ("closed.pdf", "sesame")):
        writer = PdfWriter(clone_from=PdfReader(root / "a.pdf"))
        writer.encrypt(user, "owner", algorithm="RC4-128")
        writer.write(root / name)
    assert one(read("open.pdf"))["text"] == "Grass."
    with pytest.raises(BadInput, match=r"closed\.pdf: needs a password; save it without one"):
        read("closed.pdf")


def test_documents_are_cut_into_chunks_that_say_where_they_are_from(read: Any, stated: Any, root: Path) -> None:
    text = "\n\n".join(f"This is paragraph {number}. It has two sentences." for number in range(40))
    (root / "docs").mkdir()
    for name in ("a.txt", "b.md"):
        (root / "docs" / name).write_text(text, encoding="utf-8")
    seeds = read("docs", chunk={"tokens": 50, "overlap": 10})
    told = [(seed.data["source"], seed.data["chunk"]) for seed in seeds]
    count = len(told) // 2
    assert count > 5
    assert told == [(name, number + 1) for name in ("docs/a.txt", "docs/b.md") for number in range(count)]
    assert len({seed.seed_id for seed in seeds}) == len(seeds)
    recipe = stated("docs", chunk={"tokens": 50, "overlap": 10})
    assert places(recipe, "train", [count + 3]) == {count + 3: Place(str(root / "docs" / "b.md"), "chunk", 3)}


def test_documents_and_tables_can_be_named_together(read: Any, root: Path) -> None:
    (root / "a.txt").write_text("Grass.", encoding="utf-8")
    (root / "b.jsonl").write_text('{"text": "Clover."}\n', encoding="utf-8")
    seeds = read(["a.txt", "b.jsonl"], chunk={"tokens": 50})
    assert [seed.data["text"] for seed in seeds] == ["Grass.", "Clover."]


def test_the_digest_changes_with_a_documents_name_and_the_chunks(stated: Any, root: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (root / name).write_text("Grass.", encoding="utf-8")
    digests = [files_digest(stated("a.txt")), files_digest(stated("b.txt"))]
    digests.append(files_digest(stated("a.txt", chunk={"tokens": 100})))
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("a.txt", b"", "a.txt: has no text; take it out"),
        ("a.md", b"---\ntitle: x\n---\n\n", "a.md: has no text"),
        ("a.html", b"<nav>Home</nav>", "a.html: has no text"),
        ("a.txt", b"one\ntwo\n\xff", "a.txt: not UTF-8 text: line 3"),
        ("a.txt", b"one\ntwo\0\n", "a.txt: line 2: holds a NUL character"),
        ("a.html", b"<p>\n\xff", "a.html: not utf-8 text: line 2"),
        ("a.html", b'<meta charset="klingon"><p>x', "a.html: 'klingon' is no encoding of text"),
        ("a.html", b'<meta charset="base64"><p>x', "a.html: 'base64' is no encoding of text"),
        ("a.pdf", b"", "a.pdf: cannot be read as a PDF: "),
        ("a.pdf", b"%PDF-1.4\n1 0 obj\n<<", "a.pdf: cannot be read as a PDF: "),
    ],
)
def test_what_is_refused(read: Any, root: Path, name: str, raw: bytes, says: str) -> None:
    (root / name).write_bytes(raw)
    with pytest.raises(BadInput) as error:
        read(name)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_scanned_pdf_is_said_to_be_one(read: Any, root: Path, write_pdf: Any) -> None:
    write_pdf(root / "scan.pdf", ["", ""])
    with pytest.raises(BadInput, match=r"scan\.pdf: holds no text, only pictures of 2 pages; run OCR"):
        read("scan.pdf")
