"""PDF documents: the text in them, page by page."""

from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError

from harvester.errors import BadInput


def read(path: Path) -> tuple[str, str | None]:
    """(text, title). Pages are paragraphs apart.

    Raises:
        BadInput: not a PDF, one with a password, or one without text.
    """
    try:
        with path.open("rb") as file:
            pages, title = _texts(PdfReader(file))
    except FileNotDecryptedError:
        raise BadInput(f"{path}: needs a password; save it without one") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # noqa: BLE001 - a broken file makes the library raise anything
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise BadInput(f"{path}: cannot be read as a PDF: {said[:200]}; print it into a new one") from None
    if not any(pages):
        raise BadInput(f"{path}: holds no text, only pictures of {len(pages)} pages; run OCR over it or take it out")
    return "\n\n".join(page for page in pages if page), title or None


def _texts(pdf: PdfReader) -> tuple[list[str], str]:
    if pdf.is_encrypted:
        pdf.decrypt("")  # many are so that only their printing is forbidden
    pages = [_clean(page.extract_text()).strip() for page in pdf.pages]
    return pages, _clean((pdf.metadata and pdf.metadata.title) or "").strip()


def _clean(text: str) -> str:
    """Without NULs; fonts may also spell characters in halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
