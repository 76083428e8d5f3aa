"""Runs inside the sandbox, by itself: an answer, then its tests, then the proof that they ran to their end.

It is given to the interpreter as text, so it imports nothing of Harvester. Standard input holds {"code", "tests",
"timeout_s", "memory_mb", "ready"} as JSON. Standard output gets the ready mark, and then either the token or why
there is none. The token waits unread in the pipe whose descriptor is the one argument: while the answer runs it is
nowhere in the process's memory.
"""

import ast
import functools
import json
import os
import resource
import sys
import types
import unittest
from typing import Any

PROCESSES = 16
FILES = 64
FILE_BYTES = 16 << 20


class Problem(Exception):
    """Why there is no proof."""


def main() -> None:
    """Run what standard input holds, and end the process."""
    token_pipe = int(sys.argv.pop())
    with open(0, "rb", closefd=False) as stdin:
        job = json.load(stdin)
    result, own = os.dup(1), os.getpid()
    read, write, leave, pid = os.read, os.write, os._exit, os.getpid  # the answer may replace the module's
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    limit(job)
    write(result, job["ready"].encode())
    said = b""
    try:
        run(job["code"], job["tests"])
    except Problem as problem:
        said = str(problem).encode("utf-8", "backslashreplace")[:1_000]
    if pid() == own:  # not a process that the answer forked
        write(result, said or read(token_pipe, 64))
    leave(1 if said else 0)


def limit(job: dict[str, Any]) -> None:
    """Limits that nothing here can raise again."""
    cpu_s = int(job["timeout_s"]) + 1
    for what, most in (
        (resource.RLIMIT_AS, int(job["memory_mb"]) << 20),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # a signal that tells why, then one that ends it


def run(code: str, tests: str) -> None:
    """The answer's statements, the tests' statements, the tests' functions and cases, in one namespace.

    Raises:
        Problem: something raised, or there is nothing that tests.
    """
    try:
        tree = ast.parse(tests)
    except Exception as error:  # noqa: BLE001 - the seed's text, not the model's
        raise Problem(f"the tests: {said(error)}") from None
    if not tree.body:
        raise Problem("the tests are empty")
    module = types.ModuleType("answer")
    sys.modules["answer"] = module  # dataclasses and pickle look it up
    guarded("the answer", lambda: exec(compile(code, "answer", "exec"), module.__dict__))  # noqa: S102 - sandboxed
    guarded("the tests", lambda: exec(compile(tree, "tests", "exec"), module.__dict__), tests)  # noqa: S102 - as above
    for statement in tree.body:
        name = getattr(statement, "name", "")
        found = module.__dict__.get(name)
        if isinstance(statement, ast.FunctionDef) and name.startswith("test"):
            guarded(name, found, tests)
        elif isinstance(statement, ast.ClassDef) and isinstance(found, type) and issubclass(found, unittest.TestCase):
            guarded(name, functools.partial(run_case, found), tests)


def run_case(case: type[unittest.TestCase]) -> None:
    """One unittest class.

    Raises:
        Problem: a test of it failed.
    """
    found = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(found)
    for test, trace in [*found.failures, *found.errors]:
        raise Problem(f"{test.id().rpartition('.')[2]}: {trace.strip().splitlines()[-1]}")


def guarded(what: str, function: Any, source: str = "") -> None:
    """Call a function of others'.

    Raises:
        Problem: it raised; says where in the tests.
    """
    try:
        function()
    except Problem:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too: leaving early proves nothing
        raise Problem(f"{what}{line_of(error, source)}: {said(error)}") from None


def line_of(error: BaseException, source: str) -> str:
    """The line of the tests in which it happened."""
    trace, line = error.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == "tests":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = source.splitlines()
    return f" ({lines[line - 1].strip()[:100]})" if 0 < line <= len(lines) else ""


def said(error: BaseException) -> str:
    """What an exception says, if it can."""
    try:
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    except BaseException:  # noqa: BLE001 - it is the answer's own
        return "an exception that cannot say what it is"


if __name__ == "__main__":
    main()
