"""Results for people: what a command prints where no --json asks for the whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harvester.records import count_of

if TYPE_CHECKING:
    from harvester.collecting import Progress

WARNING = "WARNING"
"""Begins a line that nobody should read over."""
HOST_ONLY = "the model's licence"


def progress(now: "Progress") -> str:
    """One line on a collecting run."""
    if not now.to_ask:
        return f"{now.recipe}: nothing to ask, every request of the recipe is answered or has failed for good"
    waiting = f", waiting: {waiting_for(now.waiting)}" if now.waiting else ""
    rate = now.answered / now.seconds if now.seconds else 0.0
    return (
        f"{now.recipe}: {now.answered} of {now.to_ask} answered, {now.accepted} rows accepted, "
        f"{now.failed} failed, {now.in_flight} in flight, {rate:.1f}/s, ${now.spent_usd:.4f}{waiting}"
    )


def ended(result: dict[str, Any], limit: int | None) -> str:
    """Why a collecting run ended that nothing stopped, and what it left."""
    why = {
        "accept": "enough rows are accepted",
        "batch": f"{count_of(result['waiting_in_batches'], 'request')} in batches; run the same again to take them in",
        "limit": f"stopped at --limit {limit}",
        "done": "all is asked",
    }
    parts = [why[result["ended"]]]
    if result["pending"]:
        parts.append(f"{count_of(result['pending'], 'request')} pending")
    if result["exhausted"]:
        parts.append(f"{count_of(result['exhausted'], 'request')} given up for now, the next run asks again")
    if result["refused"]:
        parts.append(f"{count_of(result['refused'], 'request')} refused for good, --retry-failed asks again")
    if result["dropped"]:
        parts.append("dropped so far: " + ", ".join(f"{count} {reason}" for reason, count in result["dropped"].items()))
    return "  " + "; ".join(parts)


def waiting_for(waiting: dict[str, int]) -> str:
    """What requests wait for, such as `4 for tokens, 1 for retry`."""
    return ", ".join(f"{count} for {what}" for what, count in waiting.items())


def init(result: dict[str, Any]) -> str:
    """How many files were written, and whether the recipe is one that was there."""
    kept = not any(Path(path).name == "recipe.yaml" for path in result["written"])
    written = f"{result['folder']}: {count_of(len(result['written']), 'file')} written"
    return f"{written}; recipe.yaml stays as it was" if kept else written


def low_high(bounds: tuple[float, float] | None) -> str:
    """A range of tokens or dollars."""
    if bounds is None:
        return "unknown (state teacher.price and sampling.max_tokens)"
    low, high = (f"{value:.4f}" if isinstance(value, float) else f"{value:,}" for value in bounds)
    return low if low == high else f"{low} to {high}"


def teachers(result: dict[str, Any]) -> str:
    """Two tables: who answers, and whose models."""
    providers = [("provider", "host", "rate headers", "logprobs", "may train a student", "as of")]
    for one in result["teachers"]:
        headers = "read" if one["rate_headers"] else "none known"
        logprobs = {None: "not known", 0: "none"}.get(one["logprobs"], f"up to {one['logprobs']}")
        for terms in one["terms"]:
            verdict = terms["verdict"] or HOST_ONLY
            host = terms["host"] or "your own machine"
            providers.append((one["id"], host, headers, logprobs, verdict, terms["as_of"] or "-"))
    models = [("model", "may train a student", "as of", "from")]
    models += [(", ".join(one["match"]), one["verdict"], one["as_of"], one["source"]) for one in result["models"]]
    return "\n".join([*_table(providers), "", *_table(models), "", result["note"]])


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def status(result: dict[str, Any]) -> str:
    """Requests, splits with what was dropped and why, failures."""
    requests = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in result["requests"].items())
    lines = [f"{result['recipe']} ({result['store']}): requests: {requests or 'none'}; ${result['usd']:.4f}"]
    lines += _now(result)
    for split, of_split in result["splits"].items():
        of_all = " of all steps" if result["steps"] else ""
        kept = result["dataset"] if split == "train" else None
        its = "" if kept in (None, of_split["accepted"]) else f"; the dataset has {kept} of them"
        lines.append(f"  {split}: {count_of(of_split['rows'], 'row')}{of_all}, {of_split['accepted']} accepted{its}")
        lines += [f"    {count} dropped: {reason}" for reason, count in of_split["dropped"].items()]
    for step, of_step in result["steps"].items():
        lines.append(f"  step {step}, of train: {count_of(of_step['rows'], 'row')}, {of_step['accepted']} accepted")
        lines += [f"    {count} dropped: {reason}" for reason, count in of_step["dropped"].items()]
    for field, classes in result["balance"].items():
        shares = ", ".join(f"{value} {accepted} of {asked}" for value, (asked, accepted) in classes.items())
        lines.append(f"  accepted by {field}: {shares}")
    lines += [f"{WARNING}: {warning}" for warning in result["warnings"]]
    if curation := result["curation"]:
        dropped = ", ".join(f"{count} {reason}" for reason, count in curation["dropped"].items()) or "nothing"
        since = f"; {count_of(curation['answered_since'], 'answer')} since" if curation["answered_since"] else ""
        lines.append(f"  curated at {curation['made_at']}: dropped {dropped}{since}")
    if result["judged_by_other_rules"]:
        lines.append(f"  {result['judged_by_other_rules']} rows were judged by other rules; see `harvester parse`")
    lines += [f"  {count} failed: {reason}" for reason, count in result["failures"].items()]
    lines += [f"  {count} replies name another model: {name}" for name, count in result["other_models"].items()]
    if lacking := result["lacking_logprobs"]:
        lines.append(f"  {lacking} replies lack the logprobs that were asked for: of no use for soft labels")
    return "\n".join(lines)


def watch(result: dict[str, Any]) -> str:
    """One line on a collection under way."""
    accepted = (result["running"]["progress"] or {}).get("accepted", 0)
    going_on = ", ".join(line.strip() for line in _now(result))
    return f"{result['recipe']}: {accepted} rows accepted, ${result['usd']:.4f}, {going_on}"


def _now(result: dict[str, Any]) -> list[str]:
    """A line on what goes on in the store, or on how the last run went where it did not end by itself."""
    last, running = result["last_run"], result["running"]
    if running is None:
        if last is None or last["outcome"] == "done":
            return []
        how = {"killed": "was killed", "stopped": "stopped early"}.get(last["outcome"], "has not ended")
        open_ = any(result["requests"].get(state) for state in ("pending", "exhausted", "waiting_in_batches"))
        return [f"  the last run (begun {last['started_at']}) {how}" + ("; collect again to go on" if open_ else "")]
    who = f"pid {running['pid']}, since {running['since']}"
    if last is None or last["ended_at"] is not None:
        return [f"  another command writes to the store now ({who})"]
    now = running["progress"] or {}
    so_far = f"{now['answered']} of {now['to_ask']} answered" if {"answered", "to_ask"} <= set(now) else "just begun"
    waiting = f", waiting: {waiting_for(now['waiting'])}" if now.get("waiting") else ""
    return [f"  collecting now ({who}): {so_far}{waiting}"]


def diff(result: dict[str, Any]) -> str:
    """Counts first, then the first rows of each kind."""
    if result["same"]:
        return f"no difference: {result['rows'][0]} rows"
    lines = [f"{result['rows'][0]} rows before, {result['rows'][1]} after"]
    for what in ("added", "dropped"):
        lines += [f"  {count} {what}: {split}" for split, count in result[what].items()]
    lines += [f"    {count} for: {reason}" for reason, count in result["reasons"].items()]
    if result["changed"]:
        lines.append(f"  {result['changed']} changed")
        lines += [f"    {count} in {column}" for column, count in result["columns"].items()]
    for reason, (before, after) in result["left_out"].items():
        lines.append(f"  left out for {reason}: {before} before, {after} after")
    for what, rows in result["shown"].items():
        for row in rows:
            why = f" ({row['reason']})" if row.get("reason") else ""
            lines.append(f"--- {what}: {row['row_id']}{why}")
            lines += [f"{name}: {one} → {other}" for name, (one, other) in row.get("columns", {}).items()]
    return "\n".join(lines)


def verify(store: Path, result: dict[str, Any]) -> str:
    """Counts, and every problem on a line."""
    counts = ", ".join(f"{result[name]} {name}" for name in ("requests", "replies", "rows"))
    head = f"{store}: {counts}; SQLite {result['sqlite']}; {len(result['problems'])} problems"
    return "\n".join([head, *(f"  {problem}" for problem in result["problems"])])


def export(result: dict[str, Any]) -> str:
    """Rows by split, and what was left out."""
    rows = ", ".join(f"{count} {split}" for split, count in result["rows"].items()) or "no rows"
    lines = [f"{result['path']}: {rows}"]
    if result["pairs"]:
        lines.append(f"  preference: {', '.join(f'{count} {split}' for split, count in result['pairs'].items())} pairs")
    lines += [f"  {count} left out: {reason}" for reason, count in sorted(result["dropped"].items())]
    if result["waiting"]:
        lines.append(f"  {count_of(result['waiting'], 'row')} without an answer yet")
    if result["curated_at"] is None:
        lines.append("  not curated; `harvester curate` looks for secrets, copies, held-out texts and more")
    lines += [f"  since the last curation {why}; run `harvester curate` again" for why in result["stale_curation"]]
    if pushed := result["pushed"]:
        gone = f"; {pushed['deleted']} of earlier exports deleted" if pushed["deleted"] else ""
        lines.append(f"pushed {pushed['files']} files to {pushed['url']} (commit {pushed['commit'][:8]}){gone}")
    return "\n".join(lines)


def taken_back(result: dict[str, Any]) -> str:
    """What `curate --undo` did."""
    return f"{result['recipe']}: {count_of(result['taken_back'], 'row')} taken back"


def curate(result: dict[str, Any]) -> str:
    """What each filter dropped, and what is left."""
    lines = [f"{result['recipe']}: {result['looked_at']} answers looked at"]
    for by, reasons in result["dropped"].items():
        lines.append(f"  {by}: " + ", ".join(f"{count} {reason}" for reason, count in reasons.items()))
    for by, reasons in result["overruled_by_people"].items():
        lines.append(f"  kept by a person's word, though {by}: {sum(reasons.values())}")
    left = ", ".join(f"{result['after'].get(split, 0)} of {n} {split}" for split, n in result["before"].items())
    return "\n".join([*lines, f"left: {left or 'nothing'}", f"report: {result['report']}"])
