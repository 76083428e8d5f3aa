"""Templates that mean harm: each ends as one line, soon, and without eating the memory."""

import re
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from harvester import guarding
from harvester.errors import BadInput
from harvester.guarding import TooMuch, within_limits
from harvester.templating import Template

DOUBLED = "{% set ns = namespace(s='a', l=[1]) %}{% for i in range(60) %}{% set BODY %}{% endfor %}{{ ns.s|length }}"
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}BODY{% endfor %}{% endfor %}x"


def doubled(body: str) -> str:
    return DOUBLED.replace("BODY", body)


def endless(body: str) -> str:
    return ENDLESS.replace("BODY", body)


ESCAPES = {
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr": "{{ ''|attr('__class__') }}",
    "attr in parts": "{{ ''|attr('__cla' ~ 'ss__') }}",
    "subscript": "{{ ''['__class__'] }}",
    "lipsum": "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "cycler": "{{ cycler.__init__.__globals__.os }}",
    "joiner": "{{ joiner.__init__.__globals__ }}",
    "namespace": "{{ namespace.__init__.__globals__ }}",
    "dict": "{{ dict.__base__.__subclasses__() }}",
    "range": "{{ range.__init__ }}",
    "self": "{{ self.__init__.__globals__ }}",
    "context": "{{ self._TemplateReference__context }}",
    "loop": "{% for x in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "caller": "{% macro m() %}{{ caller.__call__.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "macro": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "undefined": "{{ x.__class__ }}",
    "format": "{{ '{0.__class__.__mro__}'.format('') }}",
    "format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "format method": "{% set f = '{0.__class__}'.format %}{{ f('') }}",
    "import": "{{ __import__('os') }}",
    "builtins": "{{ self.__builtins__ }}",
    "change a seed": "{{ items.append(1) }}",
    "clear a seed": "{{ items.clear() }}",
    "debug": "{% debug %}",
    "do": "{% do 1 %}",
    "environ": "{{ environ }}{{ config }}",
}

TOO_LONG = {
    "loops": endless(""),
    "filters": endless("{% set _ = range(99999)|sum %}"),
    "sorting": endless("{% set _ = range(99999)|sort(reverse=true) %}"),
    "unique": endless("{% set _ = range(99999)|unique|list %}"),
    "lists": endless("{% set _ = range(99999)|list %}"),
    "macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}x",
    "lorem ipsum": "{{ lipsum(n=10000000) }}",
    "squares": "{% set ns = namespace(s=3) %}{% for i in range(999) %}{% set ns.s = ns.s * ns.s %}{% endfor %}x",
    "repr": doubled("ns.l = [ns.l, ns.l]") + "{{ ns.l }}",
    "json": doubled("ns.l = [ns.l, ns.l]") + "{{ ns.l|tojson }}",
}

TOO_LARGE = {
    "concatenated": doubled("ns.s = ns.s ~ ns.s"),
    "added": doubled("ns.s = ns.s + ns.s"),
    "joined": doubled("ns.s = [ns.s, ns.s]|join"),
    "percent": doubled("ns.s = '%s%s' % (ns.s, ns.s)"),
    "formatted": doubled("ns.s = '{0}{0}'.format(ns.s)"),
    "replaced": doubled("ns.s = ns.s|replace('a', 'a' * 999)"),
    "list": doubled("ns.l = ns.l + ns.l"),
    "center": "{{ 'a'|center(10 ** 10) }}",
    "ljust": "{{ 'a'.ljust(3 * 10 ** 9) }}",
    "zfill": "{{ 'a'.zfill(3 * 10 ** 9) }}",
    "tabs": "{{ '\t\t\t\t'.expandtabs(10 ** 9) }}",
    "indent": "{{ 'a\nb'|indent(10 ** 10) }}",
    "batch": "{{ [1]|batch(10 ** 10, 0)|list }}",
    "width": "{{ '{:10000000000}'.format(1) }}",
    "percent width": "{{ '%10000000000d' % 1 }}",
    "format width": "{{ '%(a)10000000000d'|format(a=1) }}",
    "translated": "{{ ('a' * 9000000).translate({97: 'b' * 9000000}) }}",
    "at compile time": "{% if 'a'|center(10 ** 10) %}x{% endif %}",
    "in a macro": "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('a') }}",
}

REFUSED = {
    "range": "{{ range(10 ** 10)|list }}",
    "power": "{{ 2 ** 10000000 }}",
    "repeated": "{{ 'a' * 10 ** 10 }}",
    "ten million characters": "{{ 'a' * 6000000 }}{{ 'b' * 6000000 }}",
    "many messages": "{% for a in range(99999) %}{% user %}a{% enduser %}{% endfor %}",
    "an error as large as it": "{{ {}['a' * 9000000] }}",
    "endless macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "endless loop": "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
    "endless block": "{% block a %}{{ self.a() }}{% endblock %}",
    "itself included": "{% include 't.j2' %}{% include 't.j2' %}",
    "itself extended": "{% extends 't.j2' %}",
    "itself imported": "{% import 't.j2' as t %}",
    "deep ifs": "{% if true %}" * 3000 + "{% endif %}" * 3000,
    "deep loops": "{% for x in [1] %}" * 60 + "{% endfor %}" * 60,
    "deep parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep lists": "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "long sum": "{{ 1" + "+1" * 20000 + " }}",
    "many filters": "{{ 1" + "|string" * 20000 + " }}",
    "many nots": "{{ " + "not " * 20000 + "1 }}",
    "deep list": "{% set n = namespace(s=1) %}{% for i in range(999) %}{% set n.s = [[n.s]] %}{% endfor %}{{ n.s }}",
}


def cases(templates: dict[str, str]) -> Any:
    return pytest.mark.parametrize("text", templates.values(), ids=templates.keys())


@pytest.fixture
def strict(monkeypatch: Any) -> None:
    """The same limits, lower: the tests need not wait for the real ones."""
    monkeypatch.setattr(guarding, "LIMIT_S", 0.2)
    monkeypatch.setattr(guarding, "HEADROOM_BYTES", 128 << 20)
    monkeypatch.setattr(guarding, "_memory", guarding._Memory())


def problem(path: Path, text: str) -> str:
    (path / "t.j2").write_text(text, encoding="utf-8")
    seed = {"text": "hello", "items": [1]}
    with pytest.raises(BadInput, match=r"t\.j2") as caught:
        Template(path, "t.j2", where="recipe.yaml: steps.0.prompt").render(seed)
    assert seed == {"text": "hello", "items": [1]}
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


@cases(ESCAPES)
def test_nothing_of_python_can_be_reached(tmp_path: Path, text: str) -> None:
    message = problem(tmp_path, text)
    assert any(word in message for word in ("unsafe", "undefined", "no attribute", "unknown tag", "not safely"))


def test_names_of_pythons_own_attributes_give_nothing_to_map(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("{{ ['']|map(attribute='__class__')|list }}", encoding="utf-8")
    (message,) = Template(tmp_path, "t.j2", where="r").render({})
    assert message["content"] == "[Undefined]"


# Where the end comes inside a callback of the garbage collector it gets lost, and comes again a moment later.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@cases(TOO_LONG)
def test_what_does_not_end_is_ended(tmp_path: Path, text: str, strict: None) -> None:
    assert "takes more than 0 s; make it simpler" in problem(tmp_path, text)


@cases(TOO_LARGE)
def test_what_eats_the_memory_gets_no_more_of_it(tmp_path: Path, text: str, strict: None) -> None:
    # On a busy machine its time may be over first.
    assert re.search(r"takes more than (128 MiB of memory|\d+ s); make it simpler", problem(tmp_path, text))


@cases(REFUSED)
def test_what_is_absurd_is_refused(tmp_path: Path, text: str) -> None:
    problem(tmp_path, text)


# Between the tests and the command: a process's peak of memory begins with that of the one it was forked from.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "harvester", *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def run(command: str, folder: Any) -> tuple[int, str, int]:
    """Exit code, stderr and peak memory in KiB of a command, in a process of its own."""
    measured = subprocess.run(
        [sys.executable, "-c", MEASURED, command, str(folder.path)], capture_output=True, text=True, check=False
    )
    return measured.returncode, measured.stderr, int(measured.stdout)


@pytest.mark.parametrize(
    ("command", "text"), [("check", TOO_LARGE["concatenated"]), ("collect", TOO_LONG["loops"])], ids=["memory", "time"]
)
def test_a_command_says_one_line_and_stays_small(folder: Any, provider: Any, command: str, text: str) -> None:
    folder.write("answer.j2", text)
    code, errors, peak_kib = run(command, folder)
    assert (code, errors.count("\n")) == (2, 1), errors
    assert "answer.j2: takes more than" in errors
    assert peak_kib < 1 << 20
    assert provider.asked == []


def test_the_students_template_has_the_same_limits(folder: Any, strict: None) -> None:
    from harvester.estimating import estimate
    from harvester.recipe import Recipe

    folder.write("student.j2", TOO_LONG["loops"])
    folder.data["student"] = {"prompt": "student.j2"}
    folder.save()
    with pytest.raises(BadInput, match=r"student\.j2: takes more than"):
        estimate(Recipe.load(folder.path))


def spin() -> None:
    while True:
        pass


def test_a_stop_that_is_swallowed_is_repeated(strict: None) -> None:
    swallowed = 0

    def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                spin()
            except BaseException:  # as a finalizer's caller does
                swallowed += 1
                if swallowed == 3:
                    raise

    with pytest.raises(TooMuch):
        within_limits(stubborn)
    assert swallowed == 3


def test_everything_is_put_back(strict: None, monkeypatch: Any) -> None:
    def mine(*_: Any) -> None:
        pass

    before = signal.signal(signal.SIGPROF, mine)
    monkeypatch.setattr(guarding, "_watch", guarding._Watch())
    limits = resource.getrlimit(resource.RLIMIT_AS)
    signal.setitimer(signal.ITIMER_PROF, 1000.0, 500.0)
    try:
        for function in (int, spin):
            try:
                within_limits(function)
            except TooMuch:
                assert function is spin
            left_s, interval_s = signal.getitimer(signal.ITIMER_PROF)
            assert 900 < left_s <= 1001
            assert interval_s == 500.0
            assert signal.getsignal(signal.SIGPROF) is mine
            assert resource.getrlimit(resource.RLIMIT_AS) == limits
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def test_errors_and_values_pass_through() -> None:
    assert within_limits(int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        within_limits(int, "x")


def test_another_thread_has_the_limit_of_memory(tmp_path: Path, strict: None) -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(problem(tmp_path, TOO_LARGE["added"])))
    thread.start()
    thread.join()
    assert "MiB of memory" in found[0]


def test_what_python_cannot_interrupt_ends_with_its_process(tmp_path: Path) -> None:
    """Comparing in C a structure that holds itself twice, sixty times over, never comes back to Python."""
    code = (
        "from harvester import guarding\n"
        "guarding.LIMIT_S, guarding.LAST_S = 0.1, 0.3\n"
        "a = b = [1]\n"
        "for _ in range(60): a, b = [a, a], [b, [*b]]\n"
        "guarding.within_limits(lambda: a == b)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, cwd=tmp_path)
    assert done.returncode == -signal.SIGVTALRM
