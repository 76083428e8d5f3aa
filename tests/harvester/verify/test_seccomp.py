"""The filter of system calls, run by hand: what a kernel would do with each call on each machine."""

import errno
import struct

import pytest

from harvester.verify import seccomp

ALLOWED, KILLED, FAILS = 0x7FFF0000, 0x80000000, 0x00050000
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
WHICH = {machine: place for place, machine in enumerate(MACHINES)}


def verdict(machine: str, number: int, argument: int = 0, architecture: int | None = None) -> int:
    """What the program answers to a call, as classic BPF is run: one accumulator, jumps forward."""
    data = struct.pack("=IIQQ", number, architecture or MACHINES[machine], 0, argument)
    lines = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    held, place = 0, 0
    while True:
        code, yes, no, operand = lines[place]
        place += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, operand)
        elif code == 0x06:
            return int(operand)
        else:
            holds = {0x15: held == operand, 0x35: held >= operand, 0x45: bool(held & operand)}[code]
            place += yes if holds else no


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_refused_fails_and_the_rest_passes(machine: str) -> None:
    which = WHICH[machine]
    refused = {numbers[which] for numbers in seccomp.REFUSED.values()}
    special = {seccomp.CLONE3[which]: FAILS | errno.ENOSYS, seccomp.SOCKET[which]: FAILS | errno.EAFNOSUPPORT}
    for number in range(500):
        expected = special.get(number, FAILS | errno.EPERM if number in refused else ALLOWED)
        assert verdict(machine, number) == expected, number


@pytest.mark.parametrize("machine", MACHINES)
def test_processes_are_made_and_user_namespaces_are_not(machine: str) -> None:
    clone = seccomp.CLONE[WHICH[machine]]
    assert verdict(machine, clone, 0x003D0F00) == ALLOWED
    assert verdict(machine, clone, 0x10000011) == FAILS | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("family", range(50))
def test_sockets_are_of_the_families_that_have_a_namespace(machine: str, family: int) -> None:
    expected = ALLOWED if family in (1, 2, 10) else FAILS | errno.EAFNOSUPPORT
    assert verdict(machine, seccomp.SOCKET[WHICH[machine]], family) == expected


def test_calls_under_other_numbers_do_not_pass() -> None:
    assert verdict("x86_64", 1, architecture=0x40000003) == KILLED  # 32 bits
    assert verdict("x86_64", 0x40000000 | 319) == FAILS | errno.EPERM  # x32


def test_other_machines_have_no_filter_and_so_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    from harvester.errors import BadInput
    from harvester.verify import sandbox

    assert seccomp.program("riscv64") == b""
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(BadInput, match="whose system calls are known for x86_64 and aarch64"):
        sandbox.require.__wrapped__()
