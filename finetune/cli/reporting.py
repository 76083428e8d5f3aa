"""Commands that show what was measured."""

import json
from pathlib import Path

import click

from finetune.errors import BadInput


@click.command("report", epilog="Example: finetune report runs/orders/student")
@click.argument("run", type=click.Path(path_type=Path), help="An evaluated run's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print where it is as JSON.")
def report_command(run: Path, as_json: bool) -> None:
    """Write RUN/report.html anew from the files that training and evaluating left."""
    from finetune.reporting import write_report

    path = write_report(run)
    click.echo(json.dumps({"path": str(path)}) if as_json else path)


@click.command("compare", epilog="Example: finetune compare runs/orders/student runs/orders/larger --out compare.html")
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN RUN...", help="Their folders."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write a page, too: scores, loss curves, settings. Only of scored runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare_command(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Put evaluated runs beside each other; the first is what the others are compared with.

    Where no answers were scored, it compares how likely the students find their teacher's own answers.
    """
    from finetune.reporting import beside
    from finetune.reporting.comparing import compare, comparison_json, comparison_table, write_comparison

    if not beside.are_scored(runs):
        if out is not None:
            raise BadInput(
                f"--out {out}: the page is of scores, and these runs have none; leave it out, or give --json"
            )
        near = beside.compare(runs)
        click.echo(json.dumps(beside.as_json(near), ensure_ascii=False) if as_json else beside.as_table(near))
        return
    found = compare(runs)
    click.echo(json.dumps(comparison_json(found), ensure_ascii=False) if as_json else comparison_table(found))
    if out is not None:
        click.echo(f"written: {write_comparison(found, out)}", err=True)
