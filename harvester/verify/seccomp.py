"""A filter of system calls for the sandbox: what namespaces and limits of size leave open.

Refused are calls that keep memory which no limit counts (memfd, System V and POSIX queues and shared memory), that make
namespaces of one's own (in which a process may mount file systems of any size), that look into other processes or
reach rarely used parts of the kernel, and sockets that no network namespace holds back: a virtual machine's socket to
its host (AF_VSOCK) and the like. See seccomp(2); bubblewrap loads the program last.
"""

import errno
import platform
import struct
from collections.abc import Iterator

# Name: (x86_64, aarch64). From Linux' asm/unistd.h; numbers above 400 are the same everywhere.
REFUSED = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
MACHINES = ("x86_64", "aarch64")
_ARCHITECTURE = (0xC000003E, 0xC00000B7)
_OTHER_X86_CALLS = 0x40000000  # the x32 ABI's numbers begin there
_NEW_USER_NAMESPACE = 0x10000000
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # bytes into struct seccomp_data
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000

Instruction = tuple[int, int, int, int]
"""(code, how many to skip where it holds, where it does not, operand): struct sock_filter."""


def program(machine: str | None = None) -> bytes:
    """The filter for a machine, by default this one; empty where its system calls are not known."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        return b""
    return b"".join(struct.pack("=HBBI", *one) for one in _instructions(MACHINES.index(machine)))


def _instructions(which: int) -> Iterator[Instruction]:
    yield _LOAD, 0, 0, _MACHINE
    yield _IF_EQUAL, 1, 0, _ARCHITECTURE[which]
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER
    yield _IF_AT_LEAST, 0, 1, _OTHER_X86_CALLS
    yield _fail(errno.EPERM)
    for numbers in REFUSED.values():
        yield _IF_EQUAL, 0, 1, numbers[which]
        yield _fail(errno.EPERM)
    # Its flags lie in memory, where no filter can look; the C library then takes the older call.
    yield _IF_EQUAL, 0, 1, CLONE3[which]
    yield _fail(errno.ENOSYS)
    yield _IF_EQUAL, 0, 4, CLONE[which]
    yield _LOAD, 0, 0, _FIRST_ARGUMENT
    yield _IF_BITS, 0, 1, _NEW_USER_NAMESPACE
    yield _fail(errno.EPERM)
    yield _RETURN, 0, 0, _ALLOW
    yield _IF_EQUAL, 0, len(_FAMILIES) + 2, SOCKET[which]
    yield _LOAD, 0, 0, _FIRST_ARGUMENT
    for left, family in zip(range(len(_FAMILIES), 0, -1), _FAMILIES, strict=True):
        yield _IF_EQUAL, left, 0, family
    yield _fail(errno.EAFNOSUPPORT)
    yield _RETURN, 0, 0, _ALLOW


def _fail(number: int) -> Instruction:
    return _RETURN, 0, 0, _FAIL | number
