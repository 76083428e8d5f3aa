"""Code that means harm, really run: it learns nothing, reaches nothing, outlives nothing, and never passes."""

import socket
import time
from pathlib import Path

import pytest

from harvester.verify import sandbox

NEVER = "assert False, 'the answer should have ended'"
ENOUGH_S = 20.0
"""For what ends by itself."""


def run(code: str, tests: str = "assert True", timeout_s: float = ENOUGH_S, memory_mb: int = 256) -> str | None:
    return sandbox.run(code, tests, timeout_s=timeout_s, memory_mb=memory_mb)


def processes_with(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def test_the_environment_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_API_KEY", "canary-of-the-environment")
    code = "import os\nseen = repr(dict(os.environ))"
    assert (
        run(
            code,
            "assert 'canary' not in seen, seen\nassert set(os.environ) <= {'HOME', 'PATH', 'LANG', 'LC_CTYPE', 'PWD'}, seen",
        )
        is None
    )


def test_files_of_others_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    tmp_path.chmod(0o755)
    (tmp_path / "secret").chmod(0o644)
    names = [
        str(tmp_path / "secret"),
        "/root/.bashrc",
        "/etc/passwd",
        "/etc/shadow",
        "/home",
        "/var",
        "/proc/1/environ",
        __file__,
    ]
    names += [str(Path.home() / ".ssh"), str(Path.cwd())]
    code = f"import os\nfound = [name for name in {names!r} if os.path.lexists(name)]"
    assert run(code, "assert found == [], found") is None


def test_what_is_mounted_is_usr_and_the_interpreter() -> None:
    code = "import os\ntop = set(os.listdir('/'))\nhome = os.listdir('/root') if os.path.exists('/root') else []"
    tests = """
import sys
interpreter = {sys.base_prefix.split('/')[1]}
assert top <= {'usr', 'bin', 'lib', 'lib64', 'dev', 'tmp'} | interpreter, top
assert all(sys.base_prefix.startswith('/root/' + name) for name in home), home
assert os.listdir('/tmp') == [] and os.listdir('/dev/shm') == []
"""
    assert run(code, tests) is None


def test_it_is_nobody_without_capabilities() -> None:
    code = "import os\nids = (os.getuid(), os.geteuid(), os.getgid(), os.getgroups())"
    tests = """
assert 0 not in ids[:3], ids
for forbidden in (lambda: os.setuid(0), lambda: os.chroot('/tmp'), lambda: os.nice(-5), lambda: os.mknod('/tmp/x', 0o60600, 1)):
    try:
        forbidden()
    except OSError:
        continue
    assert False, 'it may'
"""
    assert run(code, tests) is None


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    places = ["/x", "/usr/x", "/dev/x", f"{tmp_path}/x", "/root/x", "/etc/x", "/lib/x"]
    code = f"""
written = []
for place in {places!r}:
    try:
        open(place, 'w').write('x')
        written.append(place)
    except OSError:
        pass
open('/tmp/own', 'w').write('x')
"""
    assert run(code, "assert written == [], written") is None
    assert list(tmp_path.iterdir()) == []
    assert not Path("/tmp/own").exists()  # noqa: S108 - the sandbox's /tmp is its own


def test_there_is_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
import socket
reached = []
for address in (('127.0.0.1', {server.getsockname()[1]}), ('1.1.1.1', 53)):
    try:
        socket.create_connection(address, 2)
        reached.append(address)
    except OSError:
        pass
try:
    socket.getaddrinfo('example.org', 80)
    reached.append('a name server')
except OSError:
    pass
"""
        assert run(code, "assert reached == [], reached") is None


@pytest.mark.parametrize("target", ["os.getppid()", "1", "-1", "0", "os.getpid()"])
def test_it_can_kill_nothing_but_itself(target: str) -> None:
    reason = run(f"import os\nos.kill({target}, 9)", NEVER)
    assert reason is not None
    assert "does not start" not in reason
    assert run("x = 1", "assert x == 1") is None


@pytest.mark.parametrize(
    "bomb",
    [
        "import os\nwhile True:\n    os.fork()",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(600,)).start()",
    ],
)
def test_a_fork_bomb_goes_off_inside(bomb: str) -> None:
    assert run(bomb, NEVER, timeout_s=1) is not None


def test_it_may_have_few_processes() -> None:
    code = """
import os, time
children = 0
try:
    while children < 1000:
        if os.fork() == 0:
            time.sleep(600)
        children += 1
except OSError:
    pass
"""
    assert run(code, "assert 1 < children < 20, children") is None


@pytest.mark.parametrize(
    "bomb",
    [
        "x = bytearray(1 << 34)",
        "x = []\nwhile True:\n    x.append(bytes(1 << 20))",
        "x = 'a'\nwhile True:\n    x += x",
        "import mmap\nx = [mmap.mmap(-1, 1 << 28) for _ in range(100)]",
        "for number in range(100):\n    open(f'/dev/shm/{number}', 'wb').write(bytes(1 << 20))",
        "for number in range(100):\n    open(f'/tmp/{number}', 'wb').write(bytes(1 << 20))",
    ],
)
def test_a_memory_bomb_goes_off_inside(bomb: str) -> None:
    reason = run(bomb, NEVER)
    assert reason is not None
    assert "should have ended" not in reason


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "import time\ntime.sleep(600)",
        "3 ** (10 ** 9)",
        "import signal\nfor one in range(1, 65):\n    try:\n        signal.signal(one, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\nwhile True: pass",
        "import threading\nthreading.Event().wait()",
        "import os\nos.closerange(0, 256)\nwhile True: pass",
        "while True:\n    try:\n        while True: print('x' * 10000)\n    except BaseException: pass",
    ],
)
def test_what_never_ends_is_ended(loop: str) -> None:
    assert run(loop, NEVER, timeout_s=0.5) == "takes more than 0.5 s"


def test_output_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import os, sys\nfor _ in range(1000):\n    print('x' * 1000)\n    sys.stderr.write('y' * 1000)\nos.system('echo z')"
    assert run(code) is None
    assert capfd.readouterr() == ("", "")


def test_what_writes_over_the_result_never_passes() -> None:
    flood = "import os\nfor pipe in range(3, 256):\n    try:\n        while True: os.write(pipe, b'x' * 4096)\n    except OSError:\n        pass"
    assert run(flood, timeout_s=5) is not None
    guess = "import os\nfor pipe in range(3, 256):\n    try:\n        os.write(pipe, b'0' * 32)\n    except OSError:\n        pass\nos._exit(0)"
    assert run(guess) is not None
    ready = "import os\nfor pipe in range(3, 256):\n    try:\n        os.write(pipe, b'READY\\n')\n    except OSError:\n        pass\nos._exit(0)"
    assert run(ready) is not None


def test_the_token_is_in_no_frame_and_no_object_while_the_answer_runs() -> None:
    code = """
import gc, sys
found = []
frame = sys._getframe()
while frame:
    found += [repr(value) for value in frame.f_locals.values() if isinstance(value, (str, bytes))]
    frame = frame.f_back
found += [repr(one) for one in gc.get_objects() if isinstance(one, (str, bytes))]
found += [str(argument) for argument in [*sys.argv, *sys.orig_argv]]
"""
    tests = "import re\nassert not [one for one in found if re.fullmatch(r\"b?'[0-9a-f]{32}'\", one)]"
    assert run(code, tests) is None


def test_nothing_of_it_is_left_running() -> None:
    mark = "mark-of-a-survivor"
    code = f"import os, sys, time\nif os.fork() == 0:\n    os.setsid()\n    os.execv(sys.executable, ['{mark}', '-c', 'import time; time.sleep(600)'])\ntime.sleep(600)"
    assert run(code, NEVER, timeout_s=1) == "takes more than 1 s"
    until = time.monotonic() + 20
    while processes_with(mark) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes_with(mark) == []


def test_nothing_is_left_open() -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(3):
        run("x = 1")
        run("import os; os._exit(1)")
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
