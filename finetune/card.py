"""The model card: what a student is, how to use it, what binds whoever hands it on, and what it is worth."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from finetune.config import RunConfig
from finetune.describing import learnt_from
from finetune.licences import CLAIMED, PASSING, BaseFacts, licence
from finetune.markdown import bullets, code, plain, table
from finetune.notes import HarvestNotes, TermsNotes
from finetune.reporting.data import learnt_from as learnt_from_text
from finetune.reporting.headline import warnings
from finetune.reporting.heldout import Heldout
from finetune.reporting.nearness import nearness_warnings
from finetune.reporting.report import LearntFrom, Report
from finetune.reporting.words import NOT_RECORDED, ascii_spaces
from finetune.runs import Facts
from finetune.scores import eval_results, nearness, scores

NOT_EVALUATED = "Not evaluated: `finetune evaluate` had not been run when this card was written."


@dataclass(frozen=True, slots=True)
class Student:
    """What the card is about."""

    name: str
    config: RunConfig
    facts: Facts
    notes: HarvestNotes
    base: BaseFacts
    dtype: str  # of the saved weights
    report: Report | None  # None where no answer was scored
    versions: dict[str, str]
    heldout: Heldout | None = None  # what was measured where no answer could be scored

    @property
    def terms(self) -> tuple[TermsNotes, ...]:
        """The teachers' and, where its licence passes on obligations, the base model's."""
        return (*(self.notes.terms or ()), *([self.base.terms] if self.base.terms else []))


def card(student: Student) -> str:
    """README.md of the student's folder."""
    metadata = yaml.safe_dump(_metadata(student), sort_keys=False, allow_unicode=True)
    sections = {
        "How to use it": _usage(student),
        "Base model": _base(student),
        "Data": _data(student),
        "Terms": _terms(student),
        "Scores": _scores(student),
        "Limitations": _limitations(student),
        "Training": _training(student),
        "How to reproduce it": _reproduce(student),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"---\n{metadata}---\n\n{_head(student)}\n\n{body}\n"


def _metadata(student: Student) -> dict[str, Any]:
    results = eval_results(student.report, student.notes.recipe)
    index = [{"name": student.name, "results": results}] if results else None
    made_of = {"base_model": student.base.hub_id, "base_model_relation": "finetune"} if student.base.hub_id else {}
    return {
        **_licence(student),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        **made_of,
        "datasets": [student.notes.recipe],
        "tags": ["harvester", "distillation", student.config.method],
        **({"model-index": index} if index else {}),
    }


def _licence(student: Student) -> dict[str, str]:
    found = licence(student.notes.terms, student.base)
    if student.facts.scored_by and found["license"] != "other":
        return {"license": "other", "license_name": "not-stated"}  # the scoring teacher's terms are not known
    return found


def _head(student: Student) -> str:
    models = ", ".join(dict.fromkeys(code(model) for model in _teachers(student))) or "a teacher model"
    lines = [f"# {student.name}"]
    lines += [f"**{plain(text)}**" for text in dict.fromkeys(text for one in student.terms for text in one.show)]
    lines.append(
        f"A student of {models}: {code(student.base.name)}, trained on {_learnt(student)} to the prompts of the recipe"
        f" {code(student.notes.recipe)} with Harvester."
    )
    return "\n\n".join([*lines, *(f"> **Mind:** {text}" for text in _warnings(student))])


def _learnt(student: Student) -> str:
    scorer = student.facts.scored_by.get("model")
    return f"its own answers, as {code(scorer)} scored them," if scorer else "its answers"


def _teachers(student: Student) -> list[str]:
    if scorer := student.facts.scored_by.get("model"):
        return [scorer]
    return [student.notes.teacher.model] if student.notes.teacher else []


def _warnings(student: Student) -> Iterator[str]:
    if student.notes.terms is None:
        yield (
            "the dataset does not say what its teachers' terms are, so what binds this model is not known. Export the"
            " dataset again with the present Harvester, and then this model."
        )
    for one in student.notes.terms or ():
        if one.verdict not in PASSING:
            yield (
                f"the terms of {plain(one.teacher)} ({plain(one.id)}) say of training on its answers:"
                f" **{plain(one.verdict)}**. Whoever collected them states a right to it: “{plain(one.basis)}”"
                f" (accepted by {plain(one.accepted_by or 'nobody named')}). This is {CLAIMED}."
            )
    if scorer := student.facts.scored_by.get("model"):
        yield (
            f"it learnt from the probabilities of {code(scorer)}, whose terms are not those below: the dataset's do"
            " not cover it, and Harvester did not look at them. Read them before you use this model or hand it on."
        )
    if student.notes.unfiltered:
        yield "trained on an unfiltered dataset, wrong answers included: a control, not a model to use."
    if student.report is not None:
        yield from (plain(ascii_spaces(text)) for text in warnings(student.report))
    if student.heldout is not None:
        yield from map(plain, nearness_warnings(student.heldout))


def _usage(student: Student) -> str:
    return f"""```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "{student.name}"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)

messages = [{{"role": "user", "content": "Your text here."}}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
output = model.generate(**prompt, max_new_tokens=256)
print(tokenizer.decode(output[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))
```

Or `vllm serve {student.name}`, and ask with temperature 0: it was made for the likeliest answer. Ask as it was taught:
with prompts of the very shape of the dataset's column `messages`. The adapters are merged in, so peft is not needed."""


def _base(student: Student) -> str:
    known = student.base.license
    lines = [
        f"{code(student.base.name)}" + ("" if student.base.hub_id else ", a local folder"),
        f"Licence: {known}" if known else "Licence: not known to Harvester's registry; read it on the model's own page",
        f"Weights are saved as {student.dtype}; the adapters were merged in float32 and rounded to it once"
        if student.config.method != "full"
        else f"Every weight was trained; weights are saved as {student.dtype}",
    ]
    if student.config.method == "qlora":
        lines.append("Training held the base in 4 bits; the merge is into its published weights, so answers may differ")
    return bullets(lines)


def _data(student: Student) -> str:
    notes, facts = student.notes, student.facts
    lines = [f"Recipe {code(notes.recipe)}; dataset sha256 {code(facts.dataset_sha256)}"]
    lines += [f"Rows in the dataset: {_counts(notes.rows)}"] if notes.rows else []
    lines.append(f"Learnt from: {learnt_from_text(LearntFrom(**learnt_from(facts)))}")
    lines += [f"Looked at while training: {facts.rows['dev']} rows of dev"] if facts.rows.get("dev") else []
    lines += [f"Left out in training: {_counts(facts.dropped)}"] if facts.dropped else []
    teachers = notes.teachers or tuple(filter(None, [notes.teacher]))
    for one in teachers:
        named = f", the recipe's {code(one.name)}" if len(teachers) > 1 else ""
        lines.append(f"Teacher: {code(one.model)} at {code(one.base_url)}{named}")
    if scored := facts.scored_by:
        lines.append(
            f"Learnt from were the student's own answers to the dataset's prompts, scored by {code(scored['model'])} at"
            f" {code(scored['url'])} (on-policy)"
        )
    if notes.asked is not None and notes.accepted is not None:
        lines.append(f"Accepted: {notes.accepted} of {notes.asked} answers")
    lines.append(f"Filters: {', '.join(code(name) for name in notes.verify) or 'none'}")
    left_out = NOT_RECORDED if notes.dropped is None else _counts(notes.dropped) or "nothing"
    lines.append(f"Left out of the dataset: {left_out}")
    lines += [
        f"Seeds for {plain(seeds.split)}: {code(seeds.path)}, licence: {plain(seeds.license or 'unstated')}"
        for seeds in notes.seeds
    ]
    lines.append(f"Spent on the harvest: {notes.usd:.4f} USD")
    return bullets(lines)


def _counts(counts: Any) -> str:
    return ", ".join(f"{count} {plain(name)}" for name, count in counts.items())


def _terms(student: Student) -> str:
    lines = list(_overall(student.notes))
    for one in student.terms:
        about = "the model beneath" if one is student.base.terms else f"the teacher {plain(one.teacher)}"
        verdict = "" if one is student.base.terms else f": **{plain(one.verdict)}**"
        where = f"{plain(one.id)}; source: {plain(one.source or '-')}; as of: {plain(one.as_of or '-')}"
        lines.append(f"- Of {about}{verdict} ({where})")
        lines += [f"  - obligation: {plain(text)}" for text in one.obligations]
        lines += [f"  - its name begins with: {plain(one.name_prefix)}"] if one.name_prefix else []
        lines += [f"  - pass along (not in this folder): {plain(text)}" for text in one.pass_on]
        if one.basis:
            who = plain(one.accepted_by or "nobody named")
            lines.append(f"  - basis: {plain(one.basis)} (accepted by {who}; {CLAIMED})")
    if scorer := student.facts.scored_by.get("model"):
        lines.append(f"- Of {code(scorer)}, which scored what the student sampled: not looked at; read them yourself")
    stated = "\n".join(lines) or "The dataset states none."
    return f"{stated}\n\nThese are facts with dates from Harvester's registry, not legal advice."


def _overall(notes: HarvestNotes) -> Iterator[str]:
    if notes.overall and notes.overall.verdict:
        yield f"- Of the whole dataset: **{plain(notes.overall.verdict)}**, the strictest; every obligation below binds"
    if notes.only_terms:
        yield f"- Rows of terms stricter than {plain(notes.only_terms)} were left out of the dataset"


def _scores(student: Student) -> str:
    parts = [] if student.report is None else [scores(student.report)]
    if student.heldout is not None:
        parts.append(nearness(student.heldout))
    return "\n\n".join(parts) or NOT_EVALUATED


def _limitations(student: Student) -> str:
    return bullets(
        [
            "It learnt from a teacher, the teacher's mistakes among them; what no filter saw, it repeats.",
            f"It was trained and measured on one task only, {code(student.notes.recipe)}; nothing is known of others.",
            "Whatever the base model gets wrong or should not say, it may still get wrong and say.",
        ]
    )


def _training(student: Student) -> str:
    unused = {"model", "lora"} if student.config.method == "full" else {"model"}
    settings = student.config.model_dump(mode="json", exclude=unused)
    settings["optimiser"]["learning_rate"] = student.config.learning_rate  # not stated: the method's own
    rows = [
        (code(f"{noun}.{name}" if name else noun), code(value))
        for noun, found in settings.items()
        for name, value in (found.items() if isinstance(found, dict) else [("", found)])
        if value is not None
    ]
    facts = student.facts
    loss = ", ".join(
        f"{what} {value:.4f}"
        for what, value in (("train", facts.train_loss), ("dev", facts.dev_loss))
        if value is not None
    )
    of = "pair" if student.config.loss.kind == "dpo" else "token"
    done = f"{facts.steps} steps in {facts.train_minutes:.1f} minutes; last loss in nats per {of}: {loss or 'none'}."
    return f"{done}\n\n{table(('setting', 'value'), rows)}"


def _reproduce(student: Student) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in student.versions.items())
    on_policy = f" --loss {student.config.loss.kind} --teacher URL" if student.facts.scored_by else ""
    return f"""```bash
harvester collect RECIPE
harvester export RECIPE dataset
finetune train dataset --out run{on_policy}
finetune export run {student.name}
```

With the settings above (configuration sha256 {code(student.facts.config_sha256)}), and {plain(versions)}."""
