"""Code that means harm, really run: it learns nothing, reaches nothing, outlives nothing, and never passes."""

import os
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


def test_sockets_of_this_machine_are_out_of_reach(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as abstract:
        named.bind(str(tmp_path / "socket"))
        abstract.bind("\0harvester-canary")
        named.listen()
        abstract.listen()
        code = f"""
import socket
reached = []
for address in ({str(tmp_path / "socket")!r}, '\\0harvester-canary'):
    try:
        socket.socket(socket.AF_UNIX).connect(address)
        reached.append(address)
    except OSError:
        pass
made = []
for family in (16, 17, 38, 40):  # netlink, packets, the kernel's ciphers, a virtual machine's host
    try:
        socket.socket(family, socket.SOCK_RAW if family == 16 else socket.SOCK_STREAM)
        made.append(family)
    except OSError:
        pass
"""
        assert run(code, "assert reached == made == [], (reached, made)") is None


def test_open_files_of_the_parent_are_not_passed_on(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w+") as secret:
        secret.write("canary")
        secret.flush()
        os.set_inheritable(secret.fileno(), True)
        code = """
import os, stat
files = []
for number in range(256):
    try:
        if stat.S_ISREG(os.fstat(number).st_mode):
            files.append(number)
    except OSError:
        pass
"""
        assert run(code, "assert files == [], files") is None


def test_there_is_no_terminal_to_type_into() -> None:
    code = """
import fcntl, os, termios
typed = []
for number in range(256):
    try:
        fcntl.ioctl(number, termios.TIOCSTI, b'x')
        typed.append(number)
    except OSError:
        pass
try:
    open('/dev/tty')
    typed.append('/dev/tty')
except OSError:
    pass
"""
    assert run(code, "assert typed == [], typed") is None


def test_links_lead_nowhere_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    tmp_path.chmod(0o755)
    code = f"""
import os
os.symlink({str(tmp_path)!r}, '/tmp/folder')
os.symlink('/proc/1/root', '/tmp/root')
os.symlink('/' + '../' * 20 + {str(tmp_path / "secret")!r}, '/tmp/secret')
found = [name for name in ('/tmp/folder/secret', '/tmp/root/etc', '/tmp/secret') if os.path.exists(name)]
try:
    os.link('/usr/bin/env', '/tmp/env')
    found.append('a hard link')
except OSError:
    pass
"""
    assert run(code, "assert found == [], found") is None


C = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"


@pytest.mark.parametrize(
    "call",
    [
        "os.memfd_create('x')",  # memory of no process
        "libc.shmget(0, ctypes.c_size_t(1 << 20), 0o1600)",
        "libc.msgget(0, 0o1600)",
        "libc.semget(0, 1, 0o1600)",
        "libc.unshare(0x10000000)",  # a user namespace, in which it were root and could mount
        "libc.unshare(0x00020000)",
        "libc.setns(0, 0)",
        "libc.ptrace(16, 1, None, None)",
    ],
)
def test_system_calls_that_get_around_the_limits_are_refused(call: str) -> None:
    code = f"{C}import errno, os\ntry:\n    refused = ({call}) == -1 and ctypes.get_errno()\nexcept OSError as error:\n    refused = error.errno"
    assert run(code, "assert refused == errno.EPERM, refused") is None


def test_it_cannot_begin_a_process_in_a_user_namespace_of_its_own() -> None:
    code = f"{C}import os, platform\nnumber = dict(x86_64=56, aarch64=220)[platform.machine()]\nmade = libc.syscall(number, 0x10000011, 0, 0, 0, 0)\nif made == 0:\n    os._exit(0)"
    assert run(code, "assert made == -1 and ctypes.get_errno() == 1, made") is None


def test_processes_and_threads_still_work() -> None:
    code = """
import subprocess, sys, threading
seen = []
thread = threading.Thread(target=seen.append, args=(1,))
thread.start()
thread.join()
seen.append(int(subprocess.run([sys.executable, '-c', 'print(2)'], capture_output=True, check=True).stdout))
"""
    assert run(code, "assert seen == [1, 2], seen") is None


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
        "import os\nopen('/tmp/x', 'wb').close()\nos.truncate('/tmp/x', 1 << 40)",
        "import os\nwhile True:\n    os.mkdir('x')\n    os.chdir('x')\n    open('y', 'wb').write(bytes(1 << 20))",
        "import socket\nx = []\nwhile True:\n    x.append(socket.socketpair())",
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
        "number = 0\nwhile True:\n    open(f'/tmp/{number}', 'x').close()\n    number += 1",
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


@pytest.mark.parametrize(("tests", "reason"), [(NEVER, "takes more than 1 s"), ("assert True", None)])
def test_nothing_of_it_is_left_running(tests: str, reason: str | None) -> None:
    mark = "mark-of-a-survivor"
    ending = "time.sleep(600)" if reason else ""
    code = f"import os, sys, time\nif os.fork() == 0:\n    os.setsid()\n    os.execv(sys.executable, ['{mark}', '-c', 'import time; time.sleep(600)'])\n{ending}"
    assert run(code, tests, timeout_s=1 if reason else ENOUGH_S) == reason
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
