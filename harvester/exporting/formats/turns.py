"""Rows as records for formats that know a system prompt and turns of a human and a model, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from harvester.exporting.formats.records import Record, Row
from harvester.records import Message

PARAGRAPH = "\n\n"


@dataclass(frozen=True, slots=True)
class Talk:
    """A prompt in turns. Neighbours of one role are one text, and a side that said nothing has an empty one."""

    system: str
    turns: tuple[tuple[str, str], ...]  # (human, model), before the question
    question: str


def talk(prompt: Sequence[Message]) -> Talk:
    """A prompt's messages in turns, whatever their order."""
    system = [message["content"] for message in prompt if message["role"] == "system"]
    turns: list[tuple[list[str], list[str]]] = [([], [])]
    for message in prompt:
        if message["role"] == "assistant":
            turns[-1][1].append(message["content"])
        elif message["role"] != "system":
            if turns[-1][1]:
                turns.append(([], []))
            turns[-1][0].append(message["content"])
    if turns[-1][1]:
        turns.append(([], []))
    texts = [(PARAGRAPH.join(human), PARAGRAPH.join(model)) for human, model in turns]
    return Talk(PARAGRAPH.join(system), tuple(texts[:-1]), texts[-1][0])


def alpaca(row: Row) -> Record:
    """An instruction and its output, with what was said before as history."""
    *prompt, answer = row["messages"]
    said = talk(prompt)
    return {
        "instruction": said.question,
        "input": "",
        "output": answer["content"],
        "system": said.system,
        "history": [list(turn) for turn in said.turns],
        "row_id": row["row_id"],
    }


def sharegpt(row: Row) -> Record:
    """A conversation of a human and a model, who take turns."""
    *prompt, answer = row["messages"]
    return {"conversations": [*_conversation(prompt), _by("gpt", answer["content"])], "row_id": row["row_id"]}


def ranking(pair: Row) -> Record:
    """A conversation up to the question, and two answers to it."""
    return {
        "conversations": _conversation(pair["prompt"]),
        "chosen": _by("gpt", pair["chosen"][0]["content"]),
        "rejected": _by("gpt", pair["rejected"][0]["content"]),
        "row_id_chosen": pair["row_id_chosen"],
        "row_id_rejected": pair["row_id_rejected"],
    }


def _conversation(prompt: Sequence[Message]) -> list[dict[str, str]]:
    said = talk(prompt)
    before = [one for human, model in said.turns for one in (_by("human", human), _by("gpt", model))]
    return [*([_by("system", said.system)] if said.system else []), *before, _by("human", said.question)]


def _by(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}
