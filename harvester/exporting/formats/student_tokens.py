"""A student's tokens by their bytes, and its chat template: enough to say which token stands where."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harvester.byte_letters import byte_letters
from harvester.errors import BadInput
from harvester.records import Message
from harvester.seeds.tokens import open_tokenizer

MEND = "name the folder of a model that has tokenizer.json and a chat template"


class GenerationBlocks(Extension):
    """`{% generation %}…{% endgeneration %}` marks what is trained on; here it means its inside."""

    tags = {"generation"}  # noqa: RUF012 - the base class declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The block's statements without the block."""
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


@dataclass(frozen=True, slots=True)
class StudentTokens:
    """A byte-level tokenizer and a chat template."""

    path: Path
    by_bytes: Mapping[bytes, int]
    bytes_of: Mapping[int, bytes]
    rare: Sequence[int]  # tokens of text, the rarest first: the later two pieces were merged, the rarer they were
    size: int  # one more than the highest number of a token
    tokenizer: Any
    template: Any
    special: Mapping[str, str]  # bos_token and the like, as templates name them

    @classmethod
    def read(cls, path: Path) -> "StudentTokens":
        """Read a model's folder, or the tokenizer.json in it.

        Raises:
            BadInput: something is missing or not readable, or the tokenizer is none of bytes.
        """
        folder = path if path.is_dir() else path.parent
        tokenizer = open_tokenizer(folder / "tokenizer.json", where="--tokenizer", mend=MEND)
        known = json.loads(tokenizer.to_str())
        if "ByteLevel" not in json.dumps([known.get("pre_tokenizer"), known.get("decoder")]):
            raise BadInput(
                f"{folder}: its tokens are not made of bytes (byte-level BPE), so a teacher's are not found among them;"
                " export another format, or take another student"
            )
        settings = _settings(folder)
        by_bytes = _by_bytes(known)
        return cls(
            path=folder,
            by_bytes=by_bytes,
            bytes_of={number: token for token, number in by_bytes.items()},
            rare=sorted(_plain(known).values(), reverse=True),
            size=1 + max(tokenizer.get_vocab(with_added_tokens=True).values()),
            tokenizer=tokenizer,
            template=_template(folder, settings),
            special={name: text for name, value in settings.items() if (text := _text_of(name, value)) is not None},
        )

    def render(self, messages: Sequence[Message], *, begin_answer: bool = False) -> str:
        """The text that a conversation is for the student.

        Raises:
            BadInput: the template fails.
        """
        try:
            text = self.template.render(messages=messages, add_generation_prompt=begin_answer, **self.special)
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise BadInput(f"{self.path}: its chat template fails: {error}; export another format") from None
        return str(text)

    def ids(self, text: str) -> list[int]:
        """A text's tokens."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


def _by_bytes(known: Mapping[str, Any]) -> dict[bytes, int]:
    """Bytes → token; of two with the same bytes, the special one."""
    letters = byte_letters()
    plain = {bytes(letters[letter] for letter in token): number for token, number in _plain(known).items()}
    return plain | {content.encode(): number for content, number in _added(known).items()}


def _plain(known: Mapping[str, Any]) -> dict[str, int]:
    """Tokens that spell bytes, as the tokenizer writes them."""
    letters, added = byte_letters(), _added(known)
    return {
        token: number
        for token, number in known["model"]["vocab"].items()
        if token not in added and all(letter in letters for letter in token)
    }


def _added(known: Mapping[str, Any]) -> dict[str, int]:
    return {entry["content"]: entry["id"] for entry in known.get("added_tokens") or []}


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read: {error}; {MEND}") from None
    return settings if isinstance(settings, dict) else {}


def _text_of(name: str, value: Any) -> str | None:
    """A special token's text, written plainly or with its settings."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if name.endswith("_token") and isinstance(text, str) else None


def _template(folder: Path, settings: Mapping[str, Any]) -> Any:
    path = folder / "chat_template.jinja"
    text = path.read_text(encoding="utf-8") if path.is_file() else settings.get("chat_template")
    if isinstance(text, list):  # several, by name
        text = next((one.get("template") for one in text if one.get("name") == "default"), None)
    if not isinstance(text, str):
        raise BadInput(f"{folder}: no chat template; {MEND}")
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, GenerationBlocks]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    # Templates may state the date; the answer, and what follows it, does not depend on it.
    environment.globals |= {"raise_exception": _refuse, "strftime_now": datetime(2000, 1, 1, tzinfo=UTC).strftime}
    try:
        return environment.from_string(text)
    except TemplateError as error:
        raise BadInput(f"{folder}: its chat template is wrong: {error}; {MEND}") from None


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
