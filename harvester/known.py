"""The teachers that Harvester knows: providers from profiles.yaml, and what terms.yaml says of hosts and models."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harvester import terms
from harvester.profiles import Profile, profile_of, profiles
from harvester.recipe import EMBEDDED
from harvester.records import Json
from harvester.teachers.weights import MODEL_NAME

NOTE = (
    "A host's terms and a model's licence both bind, and the stricter wins. Facts with sources and dates, not legal"
    " advice; `harvester check RECIPE` says what binds a recipe's teacher."
)


def known() -> dict[str, Json]:
    """Providers with their hosts' terms, then models with theirs; hosts with terms and no profile are among them."""
    teachers = [_provider(profile, list(profile.hosts) or [None]) for profile in profiles().values()]
    for entry in terms.entries("hosts"):
        profile = profile_of(entry["host"])
        if profile.id not in profiles():
            teachers.append({**_provider(profile, [entry["host"]]), "id": entry["id"], "logprobs": None})
    return {"teachers": teachers, "models": [_model(entry) for entry in terms.entries("models")], "note": NOTE}


def _provider(profile: Profile, hosts: Sequence[str | None]) -> dict[str, Json]:
    return {
        "id": profile.id,
        "hosts": [host for host in hosts if host],
        "rate_headers": bool(profile.headers.limit),
        "logprobs": profile.logprobs,  # most that can be asked per token; None: nobody looked
        "terms": [{"host": host, **_of(profile, host)} for host in hosts],
    }


def _of(profile: Profile, host: str | None) -> dict[str, Json]:
    """What binds whoever asks this host; its verdict is None where only the model's licence binds."""
    if profile.id == EMBEDDED:
        return _facts(asdict(terms.look_up(None, MODEL_NAME, None, where="")))
    return _facts(terms.of_host(host or "") or {})


def _facts(entry: Mapping[str, Any]) -> dict[str, Json]:
    as_of = entry.get("as_of")
    return {
        "verdict": entry.get("verdict"),
        "as_of": str(as_of) if as_of else None,
        "obligations": list(entry.get("obligations", ())),
        "source": entry.get("source"),
    }


def _model(entry: Mapping[str, Any]) -> dict[str, Json]:
    match = entry["match"]
    return {"id": entry["id"], "match": [match] if isinstance(match, str) else match, **_facts(entry)}
