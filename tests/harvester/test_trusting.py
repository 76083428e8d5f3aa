"""Keys: to their own provider unasked, to no other at all, and to a stranger only when a person has agreed once."""

import io
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from harvester import cli, trusting
from harvester.errors import BadInput
from harvester.profiles import hosts_of_key, profiles
from harvester.recipe import KEY_VARIABLE, Teacher


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: Any) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "harvester" / "trusted.json"


def teacher(url: str, variable: str | None) -> Teacher:
    local = url.startswith("http:")
    return Teacher(base_url=url, model="m", local=local, api_key_env=variable)


def require(url: str, variable: str | None, **answers: Any) -> None:
    trusting.require(teacher(url, variable), where="recipe.yaml: teacher", **answers)


def agree(_question: str) -> bool:
    return True


def never(question: str) -> bool:
    raise AssertionError(question)


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("https://API.OpenAI.com./v1", "OPENAI_API_KEY"),
        ("https://mine.openai.azure.com/openai/v1", "AZURE_OPENAI_API_KEY"),
        ("https://router.huggingface.co/v1", "HF_TOKEN"),
        ("http://localhost:8000/v1", "MY_API_KEY"),
        ("http://127.1.2.3:8000/v1", "MY_API_KEY"),
        ("http://[::1]:8000/v1", "MY_API_KEY"),
        ("http://[::ffff:127.0.0.1]:8000/v1", "MY_API_KEY"),
        ("https://strange.example.com/v1", None),
    ],
)
def test_what_needs_no_question_gets_none(url: str, variable: str | None, config: Path) -> None:
    require(url, variable, ask=never)
    assert not config.exists()


def test_the_embedded_teacher_needs_no_trust() -> None:
    embedded = Teacher(base_url="embedded", model="smollm2-135m-instruct", api_key_env="OPENAI_API_KEY")
    trusting.require(embedded, where="r", ask=never)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/v1",
        "https://api.openai.com.evil.example.com/v1",
        "https://notapi.openai.com.example.com/v1",
        "https://xapi.openai.com.example/v1",
        "https://api.deepseek.com/v1",
        "http://localhost:8000/v1",
    ],
)
def test_a_providers_variable_goes_nowhere_else_whatever_anybody_says(url: str, config: Path) -> None:
    host = teacher(url, None).host
    with pytest.raises(
        BadInput, match=r"recipe\.yaml: teacher\.api_key_env: OPENAI_API_KEY is sent to api\.openai\.com"
    ):
        require(url, "OPENAI_API_KEY", trusted_now=[str(host)], ask=agree)
    assert not config.exists()


def test_a_saved_pair_does_not_free_a_providers_variable(config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text('{"trusted": [{"host": "evil.example.com", "variable": "OPENAI_API_KEY"}]}')
    with pytest.raises(BadInput, match="OPENAI_API_KEY is sent to"):
        require("https://evil.example.com/v1", "OPENAI_API_KEY")


def test_a_key_to_no_teacher_at_all_is_sent_to_nobody() -> None:
    with pytest.raises(BadInput, match="VAULT_TOKEN is the key to something that is no teacher"):
        require("https://api.openai.com/v1", "VAULT_TOKEN", trusted_now=["api.openai.com"])


URL, HOST = "https://api.example.com/v1", "api.example.com"


def test_off_a_terminal_a_new_pair_is_refused_with_the_mend(config: Path) -> None:
    with pytest.raises(BadInput, match=r"teacher\.api_key_env: the key in MY_API_KEY .*--trust api\.example\.com"):
        require(URL, "MY_API_KEY")
    with pytest.raises(BadInput, match="--trust"):
        require(URL, "MY_API_KEY", trusted_now=["example.com", "other.example.com"])
    assert not config.exists()


def test_an_agreement_names_both_and_is_kept_for_that_pair_alone(config: Path) -> None:
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return True

    require(URL, "MY_API_KEY", ask=ask)
    require(URL, "MY_API_KEY", ask=never)
    assert len(asked) == 1
    assert HOST in asked[0]
    assert "MY_API_KEY" in asked[0]
    for url, variable in ((URL, "OTHER_API_KEY"), ("https://b.example.com/v1", "MY_API_KEY")):
        with pytest.raises(BadInput, match="--trust"):
            require(url, variable)
    assert json.loads(config.read_text()) == {"trusted": [{"host": HOST, "variable": "MY_API_KEY"}]}


def test_a_no_is_no_and_is_not_kept(config: Path) -> None:
    with pytest.raises(BadInput, match=r"is not sent to api\.example\.com, as you said"):
        require(URL, "MY_API_KEY", ask=lambda _: False)
    assert not config.exists()


def test_trust_on_the_command_line_answers_and_is_kept_with_what_was_there(config: Path) -> None:
    require("https://b.example.com/v1", "B_TOKEN", ask=agree)
    require(URL, "MY_API_KEY", trusted_now=["API.example.com."], ask=never)
    require(URL, "MY_API_KEY")
    require("https://b.example.com/v1", "B_TOKEN")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    assert list(config.parent.iterdir()) == [config]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"trusted": 5}', b'{"trusted": ["a"]}', b'{"trusted": [{"host": 1, "variable": 2}]}'
     , b"\xff\xfe", b"[" * 100_000],
)  # fmt: skip
def test_a_broken_list_is_one_line(config: Path, content: bytes) -> None:
    config.parent.mkdir(parents=True)
    config.write_bytes(content)
    with pytest.raises(BadInput, match=r"trusted\.json: is not the list of trusted hosts .*delete it") as caught:
        require(URL, "MY_API_KEY", ask=agree)
    assert "\n" not in str(caught.value)
    assert config.read_bytes() == content


def test_a_list_that_cannot_be_written_is_one_line(config: Path) -> None:
    config.parent.parent.write_text("a file where a folder should be")
    with pytest.raises(BadInput, match=r"trusted\.json: cannot be .*"):
        require(URL, "MY_API_KEY", ask=agree)


def test_the_list_lies_in_the_home_folder_by_default(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert trusting.trust_list() == tmp_path / ".config" / "harvester" / "trusted.json"


def test_the_registry_ties_each_variable_once_and_by_names_that_a_recipe_may_use() -> None:
    own = [key for profile in profiles().values() for key in profile.keys]
    assert len(own) == len(set(own))
    for name in [*own, "HF_TOKEN", "GITHUB_TOKEN", "GEMINI_API_KEY", "XAI_API_KEY"]:
        assert KEY_VARIABLE.match(name)
        assert hosts_of_key(name)
    assert hosts_of_key("MY_API_KEY") is None


@pytest.fixture
def collect(folder: Any, capsys: Any, monkeypatch: Any) -> Any:
    """Runs `harvester collect` on a recipe for a stranger; its variable is not set, so that nothing is ever sent."""
    folder.data["teacher"] |= {
        "base_url": URL,
        "local": False,
        "api_key_env": "MY_API_KEY",
        "price": {"input": 1, "output": 2},
    }
    folder.save()
    monkeypatch.delenv("MY_API_KEY", raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["harvester", "collect", str(folder.path), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


NOT_SET = "MY_API_KEY is not set"


def test_collect_off_a_terminal_asks_for_trust_and_yes_is_no_answer(collect: Any, config: Path) -> None:
    for arguments in ((), ("--yes",), ("--trust", "other.example.com")):
        code, errors = collect(*arguments)
        assert (code, errors.count("\n")) == (2, 1)
        assert "run again with --trust api.example.com" in errors
    code, errors = collect("--trust", "other.example.com", "--trust", HOST)
    assert (code, NOT_SET in errors) == (2, True), errors
    assert NOT_SET in collect()[1]


@pytest.mark.parametrize(("answer", "says"), [("y", NOT_SET), ("n", "as you said"), ("", "as you said")])
def test_collect_on_a_terminal_asks_once(collect: Any, config: Path, monkeypatch: Any, answer: str, says: str) -> None:
    monkeypatch.setattr("harvester.cli.collecting._on_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer + "\n"))
    code, errors = collect("--budget", "1")
    assert code == 2
    assert "The key in MY_API_KEY was never sent to api.example.com before." in errors
    assert says in errors
    assert config.exists() == (answer == "y")
