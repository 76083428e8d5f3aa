"""A YAML file → plain values that JSON could hold, or one line that says what is wrong with it."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from harvester.errors import BadInput
from harvester.records import canonical, half_pair

MOST_VALUES, DEEPEST, MOST_BITS = 100_000, 100, 1024
MOST_SHOWN = 100
"""Characters of a value that a message repeats."""


def read_text(path: Path) -> tuple[Path, str]:
    """The recipe's file, where a folder may be named for it, and its text."""
    try:
        path = path / "recipe.yaml" if path.is_dir() else path
        return path, path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such recipe; `harvester init NAME` makes one to edit") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}; name a recipe's folder or file") from None
    except ValueError as error:
        raise BadInput(f"{str(path)!r}: not a usable path: {error}; name a recipe's folder or file") from None


def packaged(name: str) -> Any:
    """A YAML file of the package's own. By libyaml where it is there: ten times as fast, and each start reads some."""
    text = resources.files("harvester").joinpath(name).read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value[:MOST_SHOWN]!r} is given twice; remove one", key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)


def parse_yaml(path: Path, text: str) -> Any:
    """The YAML's plain values.

    Raises:
        BadInput: one line naming the file, the place and the mend.
    """
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
        _refuse_what_json_cannot_hold(data)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadInput(f"{path}: not YAML: {line}{one_line(error.problem or error.context)}") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: not YAML: {one_line(error)}") from None
    except RecursionError:
        raise BadInput(f"{path}: nested too deeply; make it flatter") from None
    except _Refused as refused:
        raise BadInput(f"{path}: {refused}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # PyYAML's, from a !!tag or a 99th of May
        raise BadInput(f"{path}: not YAML: a value does not fit its type: {one_line(error)}; quote it") from None
    return data


class _Refused(Exception):
    """A value of the YAML that no recipe can use; the message names its field and the mend."""


def _refuse_what_json_cannot_hold(data: Any) -> None:
    """Refuse keys that are no text, halves of surrogate pairs and what is beyond any sense of size."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), data)]
    count = 0
    while waiting:
        count += 1
        where, value = waiting.pop()
        field = ".".join(where) or "recipe"
        if len(where) > DEEPEST:
            raise _Refused(f"{'.'.join(where[:3])}: nested too deeply; make it flatter")
        if count > MOST_VALUES:  # a few aliases of aliases (&a, *a) make billions
            raise _Refused(f"{field}: more than {MOST_VALUES} values; move data into files")
        if isinstance(value, dict):
            if odd := [key for key in value if not isinstance(key, str)]:
                raise _Refused(f"{field}: the key {odd[0]!r} is not text; quote it")
            if any(map(half_pair, value)):
                raise _Refused(f"{field}: a key holds half of a surrogate pair; remove it")
            waiting += [((*where, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*where, str(number)), inner) for number, inner in enumerate(value)]
        elif isinstance(value, str) and half_pair(value):
            raise _Refused(f"{field}: holds half of a surrogate pair (\\ud800 alone); remove it")
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise _Refused(f"{field}: the number is too large; lower it")


def require_json(rules: Mapping[str, Any], where: str) -> None:
    """Rules are stored and hashed as JSON; YAML dates, .nan and halves of surrogate pairs are no JSON."""
    for name, settings in rules.items():
        try:
            canonical(settings)
        except RecursionError:
            raise BadInput(f"{where}.{name}: nested too deeply; make it flatter") from None
        except (TypeError, ValueError) as error:
            raise BadInput(
                f"{where}.{name}: not JSON: {one_line(error)}; quote dates, take .nan and .inf away"
            ) from None


def one_line(error: object) -> str:
    """A message without its line breaks."""
    return " ".join(str(error).split())
