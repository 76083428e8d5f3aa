"""Other tools at the same work, each in an environment of its own: HARVESTER_BENCH_<NAME>=/path/to/its/python."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Peer:
    """One tool."""

    title: str
    distribution: str  # on PyPI


PEERS = {
    "curator": Peer("Bespoke Curator", "bespokelabs-curator"),
    "data_designer": Peer("NVIDIA Data Designer", "data-designer"),
    "distilabel": Peer("distilabel", "distilabel"),
}
TRAINERS = {"trl": Peer("TRL", "trl")}
SKETCHES = {"datasketch": Peer("datasketch", "datasketch"), "rensa": Peer("Rensa", "rensa")}


def installed(name: str, python: str | None) -> str | None:
    """The tool's version in that environment; None where it is not."""
    if not python:
        return None
    peer = (PEERS | TRAINERS | SKETCHES)[name]
    code = f"from importlib.metadata import version; print(version({peer.distribution!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def peer_command(name: str, python: str, workers: int, url: str, folder: Path) -> Sequence[str]:
    """The command that asks every line of the folder's seeds.jsonl through the tool."""
    runner = Path(__file__).parent / f"{name}_runner.py"
    return [python, str(runner), url, str(folder / "seeds.jsonl"), str(folder), str(workers)]
