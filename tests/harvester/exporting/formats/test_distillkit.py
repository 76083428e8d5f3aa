"""Rows for DistillKit: which places count and what they are about, rows of one length, and the files beside them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from byte_student import make_student, row, told
from tokenizers import Tokenizer

from harvester.collecting import Options, collect
from harvester.errors import BadInput
from harvester.exporting import export
from harvester.exporting.formats.catalogue import named
from harvester.exporting.formats.distillkit import ENDING, DistillKit
from harvester.exporting.formats.prepacked import FLOOR, IGNORED
from harvester.exporting.formats.records import LeftOutError
from harvester.exporting.formats.soft_labels import SoftLabels, filled
from harvester.recipe import Recipe

COLUMNS = {"input_ids", "attention_mask", "labels", "token_ids", "top_values"}


@pytest.fixture
def student(tmp_path: Path) -> Path:
    return make_student(tmp_path / "student")


def made(student: Path, *rows: dict[str, Any], max_length: int = 99) -> list[dict[str, Any]]:
    """The records of one split as they are read back from its file."""
    kit = DistillKit(SoftLabels.read(student), max_length)
    path = Path(f"{student.parent}/train{ENDING}")
    writer = kit.writer(path)
    for one in rows:
        writer.add(kit.record(one))
    writer.close()
    with pa.ipc.open_stream(path) as stream:
        return stream.read_all().to_pylist()


def counted(student: Path, record: dict[str, Any]) -> list[tuple[str, list[tuple[str, float]]]]:
    """Of each place that counts its own token, and the tokens that have more than nothing there."""
    name = Tokenizer.from_file(str(student / "tokenizer.json")).id_to_token
    return [
        (name(label), [(name(token), value) for token, value in zip(ids, values, strict=True) if value > FLOOR])
        for label, ids, values in zip(record["labels"], record["token_ids"], record["top_values"], strict=True)
        if label != IGNORED
    ]


def test_a_place_counts_where_the_next_token_is_the_answers_or_its_end(student: Path) -> None:
    said = [told(b"ab", (b"a", -1.0)), told(b"c", (b"x", -2.0)), told(b"<|end|>", (b"d", -3.0))]
    (record,) = made(student, row("abc", said))
    tokenizer = Tokenizer.from_file(str(student / "tokenizer.json"))
    assert record["input_ids"] == tokenizer.encode("<|user|>q<|end|>\n<|assistant|>abc<|end|>").ids
    assert counted(student, record) == [
        ("<|assistant|>", [("ab", -0.5), ("a", -1.0)]),
        ("ab", [("c", -0.5), ("x", -2.0)]),
        ("c", [("<|end|>", -0.5), ("d", -3.0)]),
    ]


def test_an_end_that_the_api_lists_nothing_for_is_certain(student: Path) -> None:
    (record,) = made(student, row("c", [told(b"c")]))
    assert counted(student, record)[-1] == ("c", [("<|end|>", 0.0)])


def test_rows_are_as_long_as_the_longest_and_list_as_many_tokens_everywhere(student: Path) -> None:
    long = row("dcd", [told(b"d"), told(b"c", (b"a", -1.5), (b"x", -3.0)), told(b"d")])
    records = made(student, row("c", [told(b"c", (b"d", -2.0))]), long)
    short, longest = records
    assert {len(record[name]) for record in records for name in COLUMNS} == {len(longest["input_ids"])}
    assert [record["attention_mask"].count(0) for record in records] == [2, 0]
    assert short["labels"][-2:] == [IGNORED, IGNORED]
    for record in records:
        assert {len(ids) for ids in record["token_ids"]} == {len(values) for values in record["top_values"]} == {3}
        assert all(len(set(ids)) == 3 for ids in record["token_ids"])
        assert all(np.isfinite(values).all() for values in record["top_values"])


def test_many_rows_are_written_in_several_batches(student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harvester.exporting.formats.prepacked.BATCH_VALUES", 20)
    records = made(student, *(row(answer, [told(answer.encode())]) for answer in "cdexyz"))
    assert [counted(student, record)[1][0] for record in records] == list("cdexyz")


def test_rows_that_are_too_long_are_left_out_whole(student: Path) -> None:
    kit = DistillKit(SoftLabels.read(student), max_length=7)
    assert len(kit.record(row("c", [told(b"c")]))["ids"]) == 7
    with pytest.raises(LeftOutError, match="too_long"):
        kit.record(row("cc", [told(b"c"), told(b"c")]))


def test_a_row_whose_prompt_has_no_token_is_left_out(student: Path) -> None:
    (student / "chat_template.jinja").write_text(
        "{% if not add_generation_prompt %}{{ messages[-1].content }}\n{% endif %}"
    )
    with pytest.raises(LeftOutError, match="other_text"):
        DistillKit(SoftLabels.read(student), 99).record(row("c", [told(b"c")]))


def divergence(logits: Any, pairs: list[tuple[int, float]], *, uniform: bool, temperature: float) -> float:
    """KL(teacher ‖ student) over listed tokens, made to sum to 1; `uniform`: over them and all others together."""
    ids, logp = (np.array(column) for column in zip(*pairs, strict=True))
    q = np.exp(logits / temperature)
    p, q = np.exp(logp / temperature), (q / q.sum())[ids]
    if uniform:
        p, q = np.append(p, (1 - np.exp(logp).sum()) ** (1 / temperature)), np.append(q, 1 - q.sum())
    p = p / p.sum()
    return float((p * np.log(p / q)).sum())


@pytest.mark.parametrize("uniform", [False, True], ids=["zero", "symmetric_uniform"])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_fillers_change_no_loss(uniform: bool, temperature: float, seed: int) -> None:
    """Among all others together they are missed, but not more than rare tokens are: k of V others at most."""
    random, vocabulary, most = np.random.default_rng(seed), 20_000, 20
    logits = np.sort(random.normal(0, 3, vocabulary))[::-1]  # the later a token was merged, the rarer it is
    listed = {3: -0.7, 8: -1.6, 19_995: -4.0}  # one of the fillers among them
    whole = filled(listed, 3, most, others=range(vocabulary - 1, 0, -1), floor=FLOOR)
    assert len({token for token, _ in whole}) == most
    expected = divergence(logits, list(listed.items()), uniform=uniform, temperature=temperature)
    found = divergence(logits, whole, uniform=uniform, temperature=temperature)
    assert found == pytest.approx(expected, rel=1e-6, abs=most / vocabulary if uniform else 0)
    assert expected > 0.1


def test_fillers_are_the_tokens_that_were_merged_last(student: Path) -> None:
    rare = SoftLabels.read(student).student.rare
    assert [Tokenizer.from_file(str(student / "tokenizer.json")).id_to_token(token) for token in rare[:2]] == [
        "Ø§",
        "ab",
    ]


@pytest.fixture
def recipe(folder: Any, provider: Any) -> Recipe:
    """Answers of one letter, or of six, with what the API listed; the third has no logprobs."""
    folder.seeds("train.jsonl", ["c", "d", "lost", "eeeeee"])
    folder.seeds("dev.jsonl", ["x"])
    folder.data |= {"dev": {"path": "dev.jsonl"}}
    folder.data["teacher"]["sampling"] = {"logprobs": 2}
    folder.data["student"] = {"prompt": "student.j2"}
    folder.write("student.j2", "{% user %}q{% enduser %}")
    folder.save()

    def script(body: dict[str, Any], _before: int) -> Any:
        text = str(body["messages"][-1]["content"]).strip().splitlines()[-1]
        top = [{"token": letter, "bytes": [ord(letter)], "logprob": -0.7} for letter in "cz"]
        content = [{"token": one, "bytes": [ord(one)], "logprob": -0.7, "top_logprobs": top} for one in text]
        choice = {"finish_reason": "stop", "message": {"content": text}}
        said = choice if text == "lost" else choice | {"logprobs": {"content": content}}
        return 200, {}, json.dumps({"choices": [said]}).encode()

    provider.script = script
    loaded = Recipe.load(folder.path)
    asyncio.run(collect(loaded, None, Options()))
    return loaded


def test_datasets_reads_an_export_from_the_disk_and_by_its_card(recipe: Recipe, student: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    exported = export(recipe, out, format="distillkit", tokenizer=student)
    loaded = datasets.load_from_disk(str(out))
    assert {split: len(rows) for split, rows in loaded.items()} == dict(exported.rows) == {"train": 3, "dev": 1}
    assert set(loaded["train"].column_names) == COLUMNS
    assert len(loaded["train"].shuffle(seed=42).select(range(2))) == 2  # as DistillKit does
    by_card = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert by_card["train"].to_list() == loaded["train"].to_list()
    assert exported.dropped["distillkit:no_logprobs"] == 1


def test_row_ids_stand_beside_the_rows_in_their_order(recipe: Recipe, student: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    export(recipe, tmp_path / "own")
    export(recipe, tmp_path / "out", format="distillkit", tokenizer=student)
    own = [one for file in (tmp_path / "own" / "data").glob("train-*") for one in pq.read_table(file).to_pylist()]
    listed = (tmp_path / "out" / "train" / "row_ids.txt").read_text(encoding="utf-8").splitlines()
    assert listed == [one["row_id"] for one in own if one["logprobs"]]


def test_the_configuration_fits_the_files(recipe: Recipe, student: Path, tmp_path: Path) -> None:
    export(recipe, tmp_path / "out", format="distillkit", tokenizer=student)
    written = yaml.safe_load((tmp_path / "out" / "distillkit.yaml").read_text(encoding="utf-8"))
    assert written["model"] == "student"
    assert written["sequence_length"] == 6 + 6
    assert written["dataset"] == {
        "train_dataset": {"disk_path": ".", "split": "train"},
        "prepacked": True,
    }  # dev is one
    compressor = written["teacher"]["logprob_compressor"]
    assert (compressor["k"], compressor["exact_k"], compressor["residual_bins"]) == (2, 2, [])
    assert compressor["d"] == Tokenizer.from_file(str(student / "tokenizer.json")).get_vocab_size()
    assert written["training_args"] == {"remove_unused_columns": False}


def test_an_export_is_the_same_again_and_replaces_another(
    recipe: Recipe, student: Path, harvester: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--format", "distillkit", "--tokenizer", student, "--json")
    assert harvester("export", recipe.path, out)[0] == 0
    assert harvester("export", recipe.path, out, *options)[0] == 0
    first = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert not (out / "data").exists()
    code, said, _ = harvester("export", recipe.path, out, *options)
    assert (code, {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}) == (0, first)
    code, said, _ = harvester("export", recipe.path, out, *options, "--max-length", 11)
    assert json.loads(said)["dropped"] == {"distillkit:no_logprobs": 1, "distillkit:too_long": 1}
    assert harvester("export", recipe.path, out, "--json")[0] == 0
    assert not (out / "train").exists()


def test_options_that_are_of_no_use_are_refused(student: Path) -> None:
    with pytest.raises(BadInput, match="--format distillkit: needs the student's tokens; add --tokenizer"):
        named("distillkit", None)
    for name in ("messages", "axolotl-kd"):
        with pytest.raises(BadInput, match=f"--max-length: the format {name} has rows of any length; leave it out"):
            named(name, student if name == "axolotl-kd" else None, 5)
