"""The table that people read; report.json is the same for programs."""

from typing import Any


def table(result: dict[str, Any]) -> str:
    """The report as plain text: the arms, the gap, and what it cost."""
    lines = [f"{'arm':<18}{'n':>5}{'score':>9}   95 % interval"]
    for arm, found in result["arms"].items():
        low, high = found["interval"]
        cut = f"   ({found['unfinished']} unfinished)" if found["unfinished"] else ""
        lines.append(
            f"{arm:<18}{found['n']:>5}{_percent(found['score']):>9}   {_percent(low)} to {_percent(high)}{cut}"
        )
    lines += ["", _gap(result["gap_recovered"])]
    overlap, minutes = result["overlap"], result["minutes"]
    lines.append(f"test prompts also in train: {overlap['prompts']} of {overlap['of']}")
    spent = ", ".join(f"{name} {value:.1f}" for name, value in minutes.items())
    lines.append(f"cost: {result['usd']:.4f} USD; minutes: {spent}")
    return "\n".join(lines)


def _gap(gap: dict[str, Any]) -> str:
    if gap["value"] is None:
        return f"gap recovered: not given, {gap['refusal']}"
    low, high = gap["interval"]
    return f"gap recovered: {_percent(gap['value'])} (95 % interval {_percent(low)} to {_percent(high)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
