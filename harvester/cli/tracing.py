"""What `harvester trace` prints for people."""

import json
from typing import Any

from harvester.records import count_of


def text(result: dict[str, Any]) -> str:
    """A row's way, from its seed to the recipe's text of that day."""
    lines = [f"{name}: {result[name]}" for name in ("row_id", "recipe", "step", "split", "sample")]
    lines += [f"{name}: {_json(result[name])}" for name in ("seed", "reference")]
    lines += _asked(result)
    if drop := result["curation"]:
        lines.append(f"curation: {drop['filter']}: {drop['reason']} {_json(drop['detail'])}")
    if verdict := result["verdict"]:
        lines.append(f"verdict: {verdict['kind']} by {verdict['said_by']} at {verdict['said_at']}: {verdict['note']}")
    told = {result["recipe_text"]}
    for how, parts in (("made from", result["made_from"]), ("led to", result["led_to"])):
        for part in parts:
            lines += [f"--- {how} row {part['row_id']} of step {part['step']}", *_asked(part)]
            if part["recipe_text"] not in told:
                told.add(part["recipe_text"])
                lines += [f"by another text of the recipe, planned at {part['planned_at']}:", part["recipe_text"]]
    lines.append("---")
    return "\n".join([*lines, f"planned at {result['planned_at']} from:", result["recipe_text"]])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _asked(part: dict[str, Any]) -> list[str]:
    """A row's question, what came back, and what became of it."""
    lines = [f"[{message['role']}] {message['content']}" for message in part["body"]["messages"]]
    request, reply = part["request"], part["reply"]
    attempts = count_of(request["attempts"], "attempt")
    lines.append(f"request {request['key']}: {request['state']} after {attempts}")
    if reply:
        teacher = reply["teacher"]
        lines += [f"{name}: {reply[name]}" for name in ("received_at", "usd")]
        lines.append(f"price: {_json(reply['price'])}")
        lines.append(f"teacher: {teacher['name']} ({teacher['provider']}; {teacher['identity']})")
        lines += [*_binding(reply["terms"]), f"raw: {reply['raw']}"]
    elif request["reason"]:
        lines.append(f"reason: {request['reason']}")
    return lines + _became(part["outcome"])


def _became(outcome: dict[str, Any] | None) -> list[str]:
    """What the rules of a row's step made of its answer; nothing where they never saw one."""
    if outcome is None:
        return []
    score = "" if outcome["score"] is None else f"; score {outcome['score']:g}"
    if outcome["accepted"]:
        return [f"outcome: accepted{score}"]
    words = f" ({outcome['meaning']})" if outcome["meaning"] else ""
    lines = [f"outcome: dropped: {outcome['drop_reason']}{words}{score}"]
    return lines + [f"  {check['name']}: {check['reason']}" for check in outcome["failed_checks"]]


def _binding(terms: dict[str, Any]) -> list[str]:
    """A teacher's terms as they stood on the day of its reply."""
    known = "; ".join(filter(None, (terms["id"], terms.get("source"), terms.get("as_of"))))
    lines = [f"terms of that day: {terms['verdict']} ({known})"]
    lines += [f"  obligation: {text}" for text in terms.get("obligations", ())]
    if terms.get("basis"):
        lines.append(f"  basis: {terms['basis']} (accepted by {terms['accepted_by']}; claimed, not checked)")
    return lines
