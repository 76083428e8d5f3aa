"""What `harvester check` prints for people."""

from collections.abc import Sequence
from typing import Any

from harvester.cli.texts import WARNING, low_high
from harvester.records import size_of


def check(result: dict[str, Any]) -> str:
    """Prompts first, the sums last, where the eye is."""
    steps = result["steps"]
    lines = [line for step in steps for line in _prompts(step, several=len(steps) > 1)]
    lines += ["---", f"{result['recipe']}: {result['seeds']} seeds, {result['requests']} requests"]
    if len(steps) > 1:
        lines[-1] += " at most"
        lines += dag(steps)
    lines += [
        f"input tokens: {low_high(result['input_tokens'])}; output tokens: {low_high(result['output_tokens'])}",
        f"USD: {low_high(result['usd'])}",
    ]
    lines += [_mode(one) for one in result["modes"] if one["why"] or one["mode"] != "online"]
    lines += [_logprobs_size(step["logprobs"], several=len(steps) > 1) for step in steps if step["logprobs"]]
    for name, binding in result["terms"].items():
        of = f" of {name}" if len(result["terms"]) > 1 else ""
        lines.append(f"terms{of}: {binding['verdict']} ({binding['id']}; {binding['source']})")
        lines += [f"  obligation: {text}" for text in binding["obligations"]]
    lines += [f"secret: {one['file']}: {one['unit']} {one['line']}: {one['kind']}" for one in result["secrets"]]
    lines += [f"{WARNING}: {warning}" for warning in result["warnings"]]
    return "\n".join(lines)


def _mode(its: dict[str, Any]) -> str:
    """How a teacher is asked, where that is not simply one by one."""
    how = "in batches" if its["mode"] == "batch" else "online"
    auto = f" (auto: {its['why']})" if its["why"] else ""
    share = f"; {its['price_share']:g} of the usual price, USD {low_high(its['usd'])}" if its["mode"] == "batch" else ""
    return f"{its['teacher']} is asked {how}{auto}{share}"


def _logprobs_size(size: dict[str, Any], *, several: bool) -> str:
    """What they take in the store."""
    of = f" of {size['step']}" if several else ""
    per = f"about {_size(size['mb_per_1000'])} in the store per 1,000 answers of {size['tokens']:,} tokens"
    in_all = "; for this recipe {} to {}".format(*map(_size, size["mb"])) if size["mb"] else ""
    return f"logprobs: {size['listed']}{of}: {per}{in_all}"


def _size(megabytes: float) -> str:
    return size_of(megabytes * 1e6)


def _prompts(step: dict[str, Any], *, several: bool) -> list[str]:
    lines = []
    of = f" of {step['name']}" if several else ""
    for number, prompt in enumerate(step["prompts"], start=1):
        lines.append(f"--- prompt {number}{of}")
        lines += [f"[{message['role']}] {message['content']}" for message in prompt]
    return lines


def dag(steps: Sequence[dict[str, Any]]) -> list[str]:
    """The steps as a tree under what they read, with what each asks."""
    lines = ["seeds"]

    def draw(of: str, indent: str) -> None:
        readers = [step for step in steps if step["of"] == of]
        for step in readers:
            last = step is readers[-1]
            asked = f"{low_high(step['requests'])} requests to {step['teacher']}, USD {low_high(step['usd'])}"
            lines.append(f"{indent}{'└─' if last else '├─'} {step['name']} ({step['kind']}): {asked}")
            draw(step["name"], f"{indent}{'   ' if last else '│  '}")

    draw("seeds", "")
    return lines
