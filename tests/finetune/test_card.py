"""The model card: parsed by the hub's own library, run by a reader, and safe from what others wrote."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from finetune.card import Student, card
from finetune.config import make_config
from finetune.exporting import export
from finetune.licences import base_model, licence
from finetune.notes import HarvestNotes, TermsNotes
from finetune.reporting.heldout import make_heldout
from finetune.reporting.report import make_report
from finetune.runs import REPORT, Facts
from finetune.training import train

HOSTILE = "x`*_<script>alert(1)</script>\n---\nlicense: mit\n# Big [link](http://e) | cell ![i](u) \x1b[2J"
FREE = TermsNotes(teacher="teacher", id="mit", verdict="allowed")
GEMMA = TermsNotes(
    id="gemma-1-3",
    verdict="conditions",
    source="Gemma terms",
    as_of="2025-03-24",
    obligations=("the student is a Model Derivative",),
    show=("Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms",),
    pass_on=("the Gemma Terms of Use: https://ai.google.dev/gemma/terms",),
)
REPORT_OF_18 = {
    "arms": {
        "base": {"n": 18, "score": 0.0, "interval": [0.0, 0.18], "unfinished": 0},
        "student": {"n": 18, "score": 0.75, "interval": [0.5, 0.9], "unfinished": 1},
    },
    "gap_recovered": {"value": 0.8, "interval": [0.6, 1.0]},
    "differences": [{"arm": "student", "than": "base", "value": 0.75, "interval": [0.5, 0.9]}],
}


def student(report: dict[str, Any] | None = None, model: str = "embedded", **notes: Any) -> Student:
    given = {"terms": [FREE], "usd": 0.5, "collect_minutes": 1.0, "recipe": "orders", "format": 1, **notes}
    return Student(
        name="orders-135m",
        config=make_config({"model": model}),
        facts=Facts(
            status="trained",
            config_sha256="c" * 64,
            dataset="/home/somebody/d",
            dataset_sha256="d" * 64,
            recipe="orders",
            rows={"train": 8},
        ),
        notes=HarvestNotes.model_validate(given),
        base=base_model(model),
        dtype="bfloat16",
        report=None if report is None else make_report(report),
        versions={"torch": "2.13"},
    )


def parsed(one: Student) -> tuple[dict[str, Any], str]:
    found = ModelCard(card(one))
    return found.data.to_dict(), found.text


def test_the_hub_reads_what_it_is_made_of() -> None:
    data, text = parsed(student(REPORT_OF_18))
    assert data["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (data["license"], data["library_name"], data["datasets"]) == ("apache-2.0", "transformers", ["orders"])
    assert {"harvester", "distillation", "lora"} <= set(data["tags"])
    (result,) = data["model-index"][0]["results"]
    assert (result["metrics"][0]["value"], result["dataset"]["name"]) == (0.75, "orders")
    assert "| student | 18 | 75.0 % | 50.0 % to 90.0 % |" in text
    assert "| student - base | +75.0 | +50.0 to +90.0 | better |" in text
    assert "(teacher - base): 80.0 % (95 % interval 60.0 % to 100.0 %)." in text
    assert "Learnt from: how many of the 8 rows of train was not recorded" in text
    assert "Left out of the dataset: not recorded" in text
    assert "| `optimiser.learning_rate` | `0.001` |" in text
    assert "/home/somebody" not in text


def test_what_was_not_measured_is_said_so() -> None:
    data, text = parsed(student())
    assert "model-index" not in data
    assert "Not evaluated" in text
    refused = REPORT_OF_18 | {"gap_recovered": {"value": None, "refusal": "teacher and base are too near"}}
    assert "not given: teacher and base are too near" in parsed(student(refused))[1]
    data, text = parsed(student({"arms": {}}))
    assert "model-index" not in data
    assert "No student was evaluated." in text


def test_a_student_of_prose_shows_how_near_it_is_to_its_teacher() -> None:
    likely = {"nats_per_byte": {"n": 8, "mean": 2.5, "interval": [2.25, 2.75]}, "divergence": None}
    found = {
        "rows": {"measured": 9, "left_out": {"empty answer": 1}, "with_lists": 0, "with_teacher": 9},
        "models": {"student": likely},
        "differences": [
            {"measure": "nats_per_byte", "arm": "student", "than": "base", "n": 8, "value": 0.5, "interval": [0.1, 0.9]}
        ],
        "gap_closed": {"value": None, "refusal": "5 | `few`"},
        "overlap": {"prompts": 0, "of": 8},
    }
    data, text = parsed(dataclasses.replace(student(), heldout=make_heldout(found)))
    assert "model-index" not in data
    assert "Not evaluated" not in text
    assert "| nats per byte | student | 8 | 2.5000 | 2.2500 to 2.7500 |" in text
    assert "| nats per byte | student - base | 8 | +0.5000 | +0.1000 to +0.9000 worse |" in text
    assert r"- gap closed: not given: 5 \| \`few\`" in text
    assert "> **Mind:** the student finds the teacher's answers less likely than its base does" in text


def test_a_student_that_does_not_help_says_so_at_the_top() -> None:
    def head(**changed: Any) -> str:
        return parsed(student({**REPORT_OF_18, **changed}))[1].split("## ")[0]

    tie = {"arm": "student", "than": "base", "value": 0.02, "interval": [-0.1, 0.14]}
    assert "Mind" not in head()
    assert "> **Mind:** The student is not shown to be better than its base model" in head(differences=[tie])
    assert "Training made it worse on the dev split" in head(run={"dev_loss_before": 1.0, "dev_loss": 2.0})


def test_obligations_are_printed_in_their_words_and_make_the_licence_other() -> None:
    data, text = parsed(student(terms=[GEMMA, FREE]))
    assert (data["license"], data["license_name"]) == ("other", "terms-of-gemma-1-3")
    assert f"**{GEMMA.show[0]}**" in text
    assert "obligation: the student is a Model Derivative" in text
    assert "pass along (not in this folder): the Gemma Terms of Use: https://ai.google.dev/gemma/terms" in text


@pytest.mark.parametrize(
    ("model", "terms", "expected"),
    [
        ("embedded", [FREE], "apache-2.0"),
        ("microsoft/Phi-4-mini-instruct", [FREE], "mit"),
        ("Qwen/Qwen3-0.6B", [FREE], "apache-2.0"),
        ("meta-llama/Llama-3.2-1B", [FREE], "terms-of-llama-3.1-4"),
        ("somebody/unheard-of", [FREE], "not-stated"),
        ("embedded", None, "not-stated"),
        ("embedded", [GEMMA, GEMMA], "terms-of-gemma-1-3"),
        ("google/gemma-3-270m", [GEMMA], "terms-of-gemma-1-3"),
        ("embedded", [FREE.model_copy(update={"verdict": "unknown", "basis": "b"})], "terms-of-mit"),
    ],
)
def test_the_licence_is_the_base_s_unless_an_obligation_comes_on_top(
    model: str, terms: list[TermsNotes] | None, expected: str
) -> None:
    found = licence(terms, base_model(model))
    assert found.get("license_name", found["license"]) == expected


def test_several_teachers_and_what_binds_the_whole_are_told() -> None:
    teachers = [
        {"name": name, "model": f"{name}-1", "base_url": "http://localhost/v1"} for name in ("teacher", "judge")
    ]
    judge = GEMMA.model_copy(update={"teacher": "judge"})
    _, text = parsed(
        student(
            terms=[FREE, judge],
            teacher=teachers[0],
            teachers=teachers,
            overall={"verdict": "conditions", "obligations": []},
            only_terms="conditions",
        )
    )
    assert "A student of `teacher-1`:" in text
    assert "- Teacher: `judge-1` at `http://localhost/v1`, the recipe's `judge`" in text
    terms = text.split("## Terms")[1].split("## ")[0]
    assert terms.split("- ")[1].startswith("Of the whole dataset: **conditions**, the strictest")
    assert "- Rows of terms stricter than conditions were left out of the dataset" in terms
    assert "- Of the teacher teacher: **allowed** (mit" in terms
    assert "- Of the teacher judge: **conditions** (gemma-1-3" in terms


def test_a_dataset_of_before_says_nothing_of_the_whole() -> None:
    _, text = parsed(student(teacher={"model": "toy-1", "base_url": "embedded"}))
    assert "Of the whole dataset" not in text
    assert "- Teacher: `toy-1` at `embedded`\n" in text


def test_a_claimed_right_stands_at_the_top() -> None:
    claimed = FREE.model_copy(update={"verdict": "forbidden", "basis": "a contract", "accepted_by": "A. Person"})
    head = parsed(student(terms=[claimed]))[1].split("## ")[0]
    assert "**forbidden**" in head
    assert "“a contract” (accepted by A. Person). This is claimed by the user, not checked." in head
    assert "what binds this model is not known" in parsed(student(terms=None))[1].split("## ")[0]
    assert "unfiltered dataset" in parsed(student(unfiltered=True))[1].split("## ")[0]


def test_a_teacher_that_scored_what_the_student_sampled_is_named_and_its_terms_left_to_the_reader() -> None:
    plain = student(terms=[FREE])
    facts = plain.facts.model_copy(update={"scored_by": {"model": "big", "url": "http://gpu:8000/v1"}})
    metadata, text = parsed(dataclasses.replace(plain, facts=facts))
    assert "A student of `big`" in text
    assert "trained on its own answers, as `big` scored them," in text
    assert "> **Mind:** it learnt from the probabilities of `big`, whose terms are not those below" in text
    assert "scored by `big` at `http://gpu:8000/v1` (on-policy)" in text
    assert "Of `big`, which scored what the student sampled: not looked at; read them yourself" in text
    assert "finetune train dataset --out run --loss" in text
    assert metadata["license"] == "other"
    assert parsed(plain)[0]["license"] != "other"


def test_what_others_wrote_stays_text() -> None:
    terms = TermsNotes(
        teacher=HOSTILE,
        id=HOSTILE,
        verdict=HOSTILE,
        source=HOSTILE,
        as_of=HOSTILE,
        obligations=(HOSTILE,),
        show=(HOSTILE,),
        pass_on=(HOSTILE,),
        basis=HOSTILE,
        accepted_by=HOSTILE,
    )
    one = student(
        {
            "arms": {"student": {"n": 1, "score": 1.0}},
            "gap_recovered": {"refusal": HOSTILE},
            "differences": [{"arm": HOSTILE, "than": HOSTILE, "value": 0.0, "refusal": HOSTILE}],
        },
        terms=[terms],
        recipe=HOSTILE,
        teacher={"model": HOSTILE, "base_url": HOSTILE},
        teachers=[{"name": HOSTILE, "model": HOSTILE, "base_url": HOSTILE}],
        overall={"verdict": HOSTILE},
        only_terms=HOSTILE,
        seeds=[{"split": HOSTILE, "path": HOSTILE, "license": HOSTILE}],
        dropped={HOSTILE: 1},
        verify={HOSTILE: {}},
    )
    data, text = parsed(one)
    assert data["license"] == "other"
    assert "\x1b" not in text
    unescaped = re.sub(r"\\.", "", text)
    outside_code = re.sub(r"```.*?```|`[^`\n]*`", "", unescaped, flags=re.DOTALL)
    for mark in ("<", "[", "`"):
        assert mark not in outside_code
    assert not re.search(r"^# Big|^license: mit", text, re.MULTILINE)
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# orders-135m"]


def test_a_reader_can_run_the_card_s_code(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    settings = {"model": str(tiny_folder), "lora": {"rank": 2}, "training": {"max_steps": 1}}
    train(toy_dataset, tmp_path / "run", make_config(settings))
    (tmp_path / "run" / REPORT).write_text(json.dumps(REPORT_OF_18))
    export(tmp_path / "run", tmp_path / "tiny-student")
    found = ModelCard.load(tmp_path / "tiny-student" / "README.md")
    assert "base_model" not in found.data.to_dict()  # a folder of one's own is no id of the hub's
    assert str(tiny_folder) not in found.content
    assert found.data.eval_results[0].metric_value == 0.75
    block = re.search(r"```python\n(.*?)```", found.text, re.DOTALL)
    assert block
    done = subprocess.run(
        [sys.executable, "-c", block[1]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
