"""The command line: it only translates. Results go to stdout, talk to stderr."""

from harvester.cli.authoring import check, init, recipes, teachers
from harvester.cli.base import cli, main
from harvester.cli.batching import batch
from harvester.cli.collecting import collect
from harvester.cli.curating import curate, verdict
from harvester.cli.reading import diff, export, parse, status, trace, verify
from harvester.cli.serving import teacher
from harvester.cli.storing import store
from harvester.cli.watching import watch

__all__ = ["cli", "main"]

for _command in (
    init,
    recipes,
    teachers,
    check,
    collect,
    batch,
    status,
    watch,
    parse,
    curate,
    verdict,
    export,
    diff,
    verify,
    trace,
    store,
    teacher,
):
    cli.add_command(_command)
