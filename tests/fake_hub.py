"""A dataset hub's stand-in over real HTTP: repositories, commits, large files, and failures as a test scripts them.

Large files go by git LFS; the hub's own protocol for them (Xet) is not spoken, so clients run with
HF_HUB_DISABLE_XET=1.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_canary0123456789abcdefghijklmnop"
USER = "ann"
LARGE = (".parquet",)
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
Reply = tuple[int, Any]
"""Status, and a JSON value or bytes."""


@dataclass
class Commit:
    oid: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repo:
    private: bool
    commits: list[Commit]

    def at(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.commits[-1]
        return next((one for one in self.commits if one.oid == revision), None)


@dataclass
class Hub:
    """`faults` maps a method and the beginning of a path to what is said instead, as often as the list is long."""

    repos: dict[str, Repo] = field(default_factory=dict)
    faults: dict[tuple[str, str], list[Reply]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # method and path
    tokens: set[str | None] = field(default_factory=set)  # that were shown
    warnings: list[str] = field(default_factory=list)  # what it has against a card
    large: dict[str, bytes] = field(default_factory=dict)  # by sha256
    url: str = ""

    def create(self, name: str, *, private: bool = False, files: dict[str, bytes] | None = None) -> Repo:
        first = {".gitattributes": b"*.parquet filter=lfs\n", **(files or {})}
        self.repos[name] = Repo(private, [Commit(self._oid(name, first), "initial commit", first)])
        return self.repos[name]

    def commit(self, repo: Repo, message: str, files: dict[str, bytes]) -> Commit:
        commit = Commit(self._oid(f"{message}{len(repo.commits)}", files), message, files)
        repo.commits.append(commit)
        return commit

    def _oid(self, name: str, files: dict[str, bytes]) -> str:
        return hashlib.sha1(repr((name, sorted(files.items()))).encode(), usedforsecurity=False).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    handler = type("Bound", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Refused(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None: ...

    def _answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append(f"{self.command} {self.path}")
        shown = self.headers.get("Authorization")
        self.token = shown.removeprefix("Bearer ") if shown else None
        self.hub.tokens.add(self.token)
        path = urlsplit(self.path)
        self.query = parse_qs(path.query)
        try:
            status, said = self._fault() or self._route(unquote(path.path))
        except _Refused as error:
            body = json.dumps({"error": error.message}).encode()
            headers = {"X-Error-Message": error.message, "Content-Type": "application/json"}
            self._send(error.status, body, headers | ({"X-Error-Code": error.code} if error.code else {}))
            return
        if isinstance(said, tuple):
            self._send(status, *said)
        else:
            raw = said if isinstance(said, bytes) else json.dumps(said).encode()
            self._send(status, raw, {"Content-Type": "application/json"})

    def _fault(self) -> Reply | None:
        for (method, begins), replies in self.hub.faults.items():
            if replies and self.command == method and self.path.startswith(begins):
                return replies.pop(0)
        return None

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _route(self, path: str) -> Reply:
        for pattern, route in _ROUTES.items():
            method, _, rest = pattern.partition(" ")
            if self.command in method.split("|") and (found := re.fullmatch(rest, path)):
                return route(self, **found.groupdict())  # type: ignore[no-any-return]
        raise _Refused(404, f"no such route: {path}")

    # --- who asks

    def _writer(self) -> None:
        if self.token != TOKEN:
            raise _Refused(401, "Invalid credentials in Authorization header")

    def _repo(self, name: str) -> Repo:
        found = self.hub.repos.get(name)
        if found is None or (found.private and self.token != TOKEN):
            raise _Refused(404 if self.token == TOKEN else 401, "Repository not found", "RepoNotFound")
        return found

    def _at(self, name: str, revision: str) -> Commit:
        commit = self._repo(name).at(revision)
        if commit is None:
            raise _Refused(404, "Invalid rev id", "RevisionNotFound")
        return commit

    # --- routes

    def create(self) -> Reply:
        self._writer()
        asked = json.loads(self.body)
        name = f"{asked['organization'] or USER}/{asked['name']}"
        if name in self.hub.repos:
            return 409, {"error": "You already created this dataset repo", "url": f"{self.hub.url}/datasets/{name}"}
        if not name.startswith(f"{USER}/"):
            raise _Refused(403, f"You don't have the rights to create a dataset under the namespace {name}")
        self.hub.create(name, private=asked.get("visibility") == "private" or bool(asked.get("private")))
        return 200, {"url": f"{self.hub.url}/datasets/{name}"}

    def validate(self) -> Reply:
        asked = json.loads(self.body)
        block = FRONT_MATTER.match(asked["content"])
        ok = block is not None and isinstance(yaml.safe_load(block[1]), dict)
        errors = [] if ok else [{"message": "no metadata"}]
        warnings = [{"message": text} for text in self.hub.warnings]
        return (200 if ok else 400), {"errors": errors, "warnings": warnings}

    def info(self, repo: str, revision: str = "main") -> Reply:
        found, commit = self._repo(repo), self._at(repo, revision)
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        return 200, {
            "id": repo, "sha": commit.oid, "private": found.private, "siblings": siblings, "tags": [], "downloads": 0,
            "likes": 0, "gated": False, "disabled": False, "lastModified": "2026-01-01T00:00:00.000Z",
        }  # fmt: skip

    def preupload(self, repo: str, revision: str) -> Reply:
        self._writer()
        files = self._at(repo, revision).files
        modes = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": _oid(one["path"], files[one["path"]]) if one["path"] in files else None,
            }
            for one in json.loads(self.body)["files"]
        ]
        return 200, {"files": modes}

    def batch(self, repo: str) -> Reply:
        self._writer()
        self._repo(repo)
        objects = json.loads(self.body)["objects"]
        for one in objects:
            if one["oid"] not in self.hub.large:
                one["actions"] = {"upload": {"href": f"{self.hub.url}/large/{one['oid']}"}}
        return 200, {"transfer": "basic", "objects": objects}

    def put(self, sha256: str) -> Reply:
        assert hashlib.sha256(self.body).hexdigest() == sha256
        self.hub.large[sha256] = self.body
        return 200, b""

    def commit(self, repo: str, revision: str) -> Reply:
        self._writer()
        lines = [json.loads(line) for line in self.body.splitlines()]
        head = lines[0]["value"]
        current = self._at(repo, revision)
        if head.get("parentCommit") not in (None, current.oid):
            raise _Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(current.files)
        for line in lines[1:]:
            value = line["value"]
            match line["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.large[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
                case _:
                    raise _Refused(400, f"unknown operation {line['key']}")
        new = self.hub.commit(self._repo(repo), head["summary"], files)
        url = f"{self.hub.url}/datasets/{repo}/commit/{new.oid}"
        return 200, {"success": True, "commitOid": new.oid, "commitUrl": url, "hookOutput": ""}

    def tree(self, repo: str, revision: str, path: str | None = None) -> Reply:
        files = self._at(repo, revision).files
        inside = f"{path.strip('/')}/" if path and path.strip("/") else ""
        below = {name: data for name, data in files.items() if name.startswith(inside)}
        if inside and not below:
            raise _Refused(404, f"{path} does not exist on {revision}", "EntryNotFound")
        recursive = self.query.get("recursive", [""])[0].lower() == "true"
        entries = {name: _file(name, data) for name, data in below.items()}
        if not recursive:
            folders = {inside + name[len(inside) :].split("/")[0] for name in below if "/" in name[len(inside) :]}
            entries = {name: one for name, one in entries.items() if "/" not in name[len(inside) :]}
            entries |= {name: {"type": "directory", "path": name, "oid": "0" * 40, "size": 0} for name in folders}
        return 200, [entries[name] for name in sorted(entries)]

    def paths_info(self, repo: str, revision: str) -> Reply:
        files = self._at(repo, revision).files
        asked = json.loads(self.body)["paths"]
        found = [_file(path, files[path]) for path in asked if path in files]
        folders = [path for path in asked if path not in files and any(name.startswith(f"{path}/") for name in files)]
        return 200, [*found, *({"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders)]

    def resolve(self, repo: str, revision: str, path: str) -> Reply:
        commit = self._at(repo, revision)
        if path not in commit.files:
            raise _Refused(404, "Entry not found", "EntryNotFound")
        data = commit.files[path]
        headers = {"ETag": f'"{_oid(path, data)}"', "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(found[1]), int(found[2] or len(data) - 1)
            part = data[start : end + 1]
            return 206, (part, headers | {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"})
        return 200, (data, headers)


def _oid(path: str, data: bytes) -> str:
    """As git and LFS name a file's content."""
    if path.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _file(path: str, data: bytes) -> dict[str, Any]:
    oid = _oid(path, data)
    lfs = {"lfs": {"oid": oid, "size": len(data), "pointerSize": 130}} if path.endswith(LARGE) else {}
    return {"type": "file", "path": path, "size": len(data), "oid": oid[:40], **lfs}


_OF_REVISION = r"(?P<revision>[\w./-]+?)"
_ROUTES: dict[str, Any] = {
    "POST /api/repos/create": _Handler.create,
    "POST /api/validate-yaml": _Handler.validate,
    f"GET|HEAD /api/datasets/{REPO}": _Handler.info,
    rf"GET|HEAD /api/datasets/{REPO}/revision/{_OF_REVISION}": _Handler.info,
    rf"POST /api/datasets/{REPO}/preupload/{_OF_REVISION}": _Handler.preupload,
    rf"POST /api/datasets/{REPO}/commit/{_OF_REVISION}": _Handler.commit,
    rf"GET /api/datasets/{REPO}/tree/(?P<revision>[^/]+)(?P<path>/.*)?": _Handler.tree,
    rf"POST /api/datasets/{REPO}/paths-info/{_OF_REVISION}": _Handler.paths_info,
    rf"POST /datasets/{REPO}\.git/info/lfs/objects/batch": _Handler.batch,
    r"PUT /large/(?P<sha256>[0-9a-f]{64})": _Handler.put,
    rf"GET|HEAD /datasets/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": _Handler.resolve,
}
