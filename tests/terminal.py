"""The command line on a real pseudo-terminal, as a person has it."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Terminal:
    """A running command: stdin and stderr are the terminal, stdout is a pipe unless asked otherwise."""

    process: subprocess.Popen[bytes]
    master: int
    screen: str = ""  # all that was written to the terminal so far, escape sequences included

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until `text` was written; fails if the command ends before."""
        while text not in self.screen:
            assert self._read(), f"{text!r} never came:\n{self.screen}"

    def finish(self) -> tuple[int, str]:
        """(exit code, stdout) once the command ended."""
        while self._read():
            pass
        out = self.process.stdout.read() if self.process.stdout else b""
        return self.process.wait(), out.decode()

    def _read(self) -> bool:
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            if data := os.read(self.master, 65536):
                self.screen += data.decode("utf-8", "replace")
                return True
        return False


@contextmanager
def terminal(
    *arguments: object,
    columns: int = 120,
    program: str = "harvester",
    stdout_too: bool = False,
    **environment: str,
) -> Iterator[Terminal]:
    """Start a program with these arguments on a terminal; with `stdout_too` that is where its results go as well."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", program, *map(str, arguments)],
        stdin=slave,
        stdout=slave if stdout_too else subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(slave)
    with process:
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)
