"""The command line; commands only translate. torch and friends are imported by the command that needs them."""

from finetune.cli.base import cli, main
from finetune.cli.measuring import evaluate_command
from finetune.cli.reporting import compare_command, report_command
from finetune.cli.serving import serve_command
from finetune.cli.training import train_command
from finetune.cli.using import export_command, generate_command

__all__ = ["cli", "main"]

for _command in (
    train_command, evaluate_command, report_command, compare_command, generate_command, export_command, serve_command
):  # fmt: skip
    cli.add_command(_command)
