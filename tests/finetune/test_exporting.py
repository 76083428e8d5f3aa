"""What may leave, where to, and under which name."""

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toys import Command

from finetune import runs, train
from finetune.config import make_config
from finetune.errors import BadInput, RefusedByTerms
from finetune.exporting import export

LLAMA = {
    "teacher": "teacher",
    "id": "llama-3.1-4",
    "verdict": "conditions",
    "as_of": "2026-11-01",
    "source": "Llama 3.1 to 4 licence texts",
    "obligations": ["the student's name starts with Llama"],
    "name_prefix": "Llama",
    "show": ["Built with Llama"],
    "pass_on": ["the licence: https://example.org/licence"],
}
FREE = {"teacher": "teacher", "id": "mit", "verdict": "allowed"}


@pytest.fixture
def make_run(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> Any:
    """Terms → a trained run on a dataset that states them."""

    def make(*terms: dict[str, Any], **more: Any) -> Path:
        path = toy_dataset / "harvester.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"terms": list(terms)} | more), encoding="utf-8")
        run = tmp_path / "student-run"
        config = {"model": str(tiny_folder), "lora": {"rank": 2}, "training": {"max_steps": 1}}
        train(toy_dataset, run, make_config(config))
        return run

    return make


def test_the_command_says_what_it_wrote(make_run: Any, tmp_path: Path, finetune: Command) -> None:
    run = make_run(FREE)
    code, out, err = finetune("export", run, tmp_path / "orders-tiny", "--json")
    assert code == 0, err
    done = json.loads(out)
    assert (done["name"], done["dtype"]) == ("orders-tiny", "float32")
    assert done["bytes"] == sum(path.stat().st_size for path in (tmp_path / "orders-tiny").iterdir())
    assert {"README.md", "config.json", "finetune.json", "generation_config.json", "model.safetensors"} <= {
        path.name for path in (tmp_path / "orders-tiny").iterdir()
    }


def test_an_export_replaces_an_export_and_nothing_else(make_run: Any, tmp_path: Path) -> None:
    run, out = make_run(FREE), tmp_path / "out"
    (out).mkdir()  # empty: nothing to lose
    export(run, out)
    export(run, out, name="renamed")
    assert json.loads((out / "finetune.json").read_text())["name"] == "renamed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "student-run", "toy"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"holds notes\.txt, which an export would delete"):
        export(run, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BadInput, match="is not a model that was exported before"):
        export(run, tmp_path / "mine")
    with pytest.raises(BadInput, match="is not a model that was exported before"):
        export(run, tmp_path / "mine" / "thesis.txt")
    (out / "finetune.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be used"):
        export(run, out)
    assert (out / "notes.txt").exists()


@pytest.mark.parametrize("place", [".", "model", "adapter"])
def test_a_run_is_not_written_into(place: str, make_run: Any) -> None:
    run = make_run(FREE)
    before = sorted(run.rglob("*"))
    with pytest.raises(BadInput, match="is the run's own folder or in it"):
        export(run, run / place)
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize("name", ["me/orders", "a\nb", "", "-x", "..", "a--b", "x" * 97, "naïve", "two words"])
def test_a_name_is_one_that_the_hub_takes(name: str, make_run: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--name: .* is no name for a model") as caught:
        export(make_run(FREE), tmp_path / "out", name=name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_naming_rules_hold_and_refusing_is_code_4(make_run: Any, tmp_path: Path, finetune: Command) -> None:
    run = make_run(LLAMA)
    code, out, err = finetune("export", run, tmp_path / "orders")
    assert (code, out) == (4, "")
    assert err.splitlines()[-1].startswith("finetune: OUT: 'orders' does not begin with 'Llama'")
    assert "llama-3.1-4; Llama 3.1 to 4 licence texts" in err
    assert "--name Llama-orders" in err
    assert not (tmp_path / "orders").exists()
    code, _, err = finetune("export", run, tmp_path / "orders", "--name", "llama-orders")
    assert code == 4
    assert finetune("export", run, tmp_path / "orders", "--name", "Llama-orders")[0] == 0
    assert finetune("export", run, tmp_path / "Llama-more")[0] == 0


def test_the_base_model_s_licence_rules_the_name_too(
    make_run: Any, tiny_folder: Path, toy_dataset: Path, tmp_path: Path
) -> None:
    make_run(FREE)
    shutil.copytree(tiny_folder, tmp_path / "Llama-3.2-1B-Instruct")
    config = {"model": str(tmp_path / "Llama-3.2-1B-Instruct"), "lora": {"rank": 2}, "training": {"max_steps": 1}}
    train(toy_dataset, tmp_path / "on-llama", make_config(config))
    with pytest.raises(RefusedByTerms, match="as the terms of the base model demand"):
        export(tmp_path / "on-llama", tmp_path / "orders")
    export(tmp_path / "on-llama", tmp_path / "Llama-orders")
    text = (tmp_path / "Llama-orders" / "README.md").read_text(encoding="utf-8")
    assert "**Built with Llama**" in text
    assert "Of the model beneath (llama-3.1-4" in text


@pytest.mark.parametrize("verdict", ["forbidden", "unknown", "forbidden-competing"])
def test_a_verdict_that_does_not_pass_needs_a_basis(verdict: str, make_run: Any, tmp_path: Path) -> None:
    run = make_run(LLAMA | {"verdict": verdict})
    with pytest.raises(RefusedByTerms, match=f"training on its answers is {verdict}"):
        export(run, tmp_path / "Llama-x")


def test_a_run_that_is_not_finished_or_damaged_does_not_leave(make_run: Any, tmp_path: Path) -> None:
    run = make_run(FREE)
    facts = (run / runs.FACTS).read_text()
    (run / runs.FACTS).write_text(facts.replace('"trained"', '"unfinished"'))
    with pytest.raises(BadInput, match="training is not finished"):
        export(run, tmp_path / "out")
    (run / runs.FACTS).write_text(facts)
    weights = run / runs.ADAPTER / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    with pytest.raises(BadInput, match="adapter cannot be loaded"):
        export(run, tmp_path / "out")
    shutil.rmtree(run / runs.ADAPTER)
    with pytest.raises(BadInput, match="no trained adapter"):
        export(run, tmp_path / "out")
    with pytest.raises(BadInput, match=r"nowhere/run\.json"):
        export(tmp_path / "nowhere", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student-run", "toy"]


def test_the_terms_come_from_the_dataset_that_was_trained_on(make_run: Any, toy_dataset: Path, tmp_path: Path) -> None:
    run = make_run(FREE)
    notes = run / "harvester.json"
    notes.unlink(missing_ok=True)  # where a run keeps its own copy, the dataset is not needed
    moved = toy_dataset.rename(tmp_path / "moved")
    with pytest.raises(BadInput, match="the run's dataset is not there; give --dataset"):
        export(run, tmp_path / "out")
    export(run, tmp_path / "out", dataset=moved)
    shard = next((moved / "data").glob("dev-*"))
    shard.unlink()
    with pytest.raises(BadInput, match="is not the dataset that the run was trained on"):
        export(run, tmp_path / "out", dataset=moved)


def test_a_report_that_is_no_json_is_said_so(make_run: Any, tmp_path: Path) -> None:
    run = make_run(FREE)
    (run / runs.REPORT).write_text("{")
    with pytest.raises(BadInput, match=r"report\.json: not JSON"):
        export(run, tmp_path / "out")


def test_a_place_that_cannot_be_written_is_one_line(make_run: Any, tmp_path: Path) -> None:
    run = make_run(FREE)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="out: cannot be written"):
        export(run, tmp_path / "file" / "out")


def test_a_full_disk_is_one_line_and_leaves_nothing(make_run: Any, tmp_path: Path) -> None:
    run = make_run(FREE)
    code = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, {resource.RLIM_INFINITY}))\n"
        f"sys.argv = ['finetune', 'export', {str(run)!r}, {str(tmp_path / 'out')!r}]\n"
        "from finetune.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "out: cannot be written (" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student-run", "toy"]
