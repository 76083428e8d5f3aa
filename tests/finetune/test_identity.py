"""What a model's name stands for. The hub is asked in processes of their own, as it is found by the environment."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import transformers

from finetune import identity
from finetune.errors import BadInput
from finetune.identity import digest
from harvester.teachers.weights import SHA256

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def model(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def change_weight(path: Path, by: float = 1.0) -> None:
    tensors = safetensors.torch.load_file(path)
    name = max(tensors, key=lambda one: tensors[one].numel())
    tensors[name] = tensors[name] + by
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def test_the_embedded_model_is_its_pinned_weights() -> None:
    assert digest("embedded") == SHA256


def test_a_copy_is_the_same_model_and_other_weights_are_another(model: Path, tiny_folder: Path) -> None:
    assert digest(str(model)) == digest(str(tiny_folder))
    change_weight(model / "model.safetensors")
    assert digest(str(model)) != digest(str(tiny_folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_what_shapes_or_reads_the_weights_counts_too(name: str, model: Path, tiny_folder: Path) -> None:
    with (model / name).open("a") as file:
        file.write(" ")
    assert digest(str(model)) != digest(str(tiny_folder))


def test_notes_beside_a_model_do_not_count(model: Path, tiny_folder: Path) -> None:
    (model / "README.md").write_text("mine")
    assert digest(str(model)) == digest(str(tiny_folder))


def test_weights_in_several_files_are_found_by_their_index(tiny_folder: Path, tmp_path: Path) -> None:
    made = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder)
    made.save_pretrained(tmp_path, max_shard_size="60KB")
    files = identity.weight_files(tmp_path)
    assert len(files) > 1
    before = digest(str(tmp_path))
    (tmp_path / "stray.safetensors").write_bytes(b"not of the model")
    assert digest(str(tmp_path)) == before
    change_weight(files[-1])
    assert digest(str(tmp_path)) != before
    files[0].unlink()
    with pytest.raises(BadInput, match=rf"{files[0].name}: No such file"):
        digest(str(tmp_path))


def test_big_files_are_sampled_from_their_first_byte_to_their_last(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "BLOCKS", 3)
    monkeypatch.setattr(identity, "BLOCK_BYTES", 100)
    path = model / "model.safetensors"
    data, found = path.read_bytes(), {digest(str(model))}
    assert len(data) > 1000
    for place in (0, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        found.add(digest(str(model)))
    path.write_bytes(data + b"\0")
    found.add(digest(str(model)))
    assert len(found) == 5


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, r"holds no model\.safetensors; name the folder of a transformers model"),
        ({"model.safetensors.index.json": "{}"}, r"index\.json: not an index of weights"),
        ({"run.json": "{}", "config.json": "{}"}, r"is a run, not a model; run `finetune export .* OUT` first"),
        ({"adapter_config.json": "{}"}, "holds an adapter, not a whole model; run `finetune export RUN OUT`"),
    ],
)
def test_a_folder_that_is_no_model_is_one_clear_line(files: dict[str, str], problem: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=problem) as caught:
        digest(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_file_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.gguf").write_bytes(b"")
    with pytest.raises(BadInput, match=r"--model model\.gguf: is a file; name the folder"):
        digest("model.gguf")


def test_a_path_that_is_not_there_asks_no_hub(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone: neither a local folder nor a loadable hub id \(no such folder\)"):
        digest(str(tmp_path / "gone"))


ASK = """
import sys
from finetune.errors import BadInput
from finetune.identity import digest, locate
try:
    print({call})
except BadInput as error:
    print(error)
"""


def ask(call: str, home: Path, endpoint: str, **more: str) -> tuple[str, str, float]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, **more}
    command, started = [sys.executable, "-c", ASK.format(call=call)], time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=50)
    return done.stdout, done.stderr, time.monotonic() - started


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def cache_model(home: Path, model: Path) -> Path:
    """A hub model as `huggingface_hub` lays it into its cache."""
    folder = home / "hub" / "models--org--tiny"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    return Path(shutil.copytree(model, folder / "snapshots" / COMMIT))


@pytest.mark.parametrize("call", ["digest('org/tiny')", "locate('org/tiny')"])
def test_a_hub_that_is_not_there_is_one_line_and_not_asked_again(call: str, closed: str, tmp_path: Path) -> None:
    out, err, took_s = ask(call, tmp_path, closed)
    assert out.startswith("--model org/tiny: neither a local folder nor a loadable hub id (http://127.0.0.1:")
    assert "Connection refused" in out
    assert (out.count("\n"), err) == (1, "")
    assert took_s < 40  # it was 46 s of waiting between tries alone


def test_a_hub_that_does_not_answer_is_left_after_its_time(silent: str, tmp_path: Path) -> None:
    out, err, took_s = ask("digest('org/tiny')", tmp_path, silent, HF_HUB_ETAG_TIMEOUT="1")
    assert "does not answer within 1 s; HF_HUB_ETAG_TIMEOUT=60 waits longer" in out
    assert (out.count("\n"), err) == (1, "")
    assert took_s < 40


def test_a_hub_id_is_the_commit_in_the_cache_without_asking(silent: str, tiny_folder: Path, tmp_path: Path) -> None:
    cache_model(tmp_path, tiny_folder)
    out, err, _ = ask("digest('org/tiny')", tmp_path, silent)
    assert (out, err) == (f"{COMMIT}\n", "")


def test_what_is_cached_whole_needs_no_hub_and_what_is_not_does(closed: str, tiny_folder: Path, tmp_path: Path) -> None:
    folder = cache_model(tmp_path, tiny_folder)
    call = "locate('org/tiny').options"
    assert ask(call, tmp_path, closed)[0] == f"{ {'revision': COMMIT, 'local_files_only': True} }\n"
    (folder / "model.safetensors").unlink()
    assert "cannot be asked: [Errno 111] Connection refused" in ask(call, tmp_path, closed)[0]
    assert "HF_HUB_OFFLINE is set" in ask(call, tmp_path, closed, HF_HUB_OFFLINE="1")[0]
