"""The commands of README and the how-tos do what they say they do, in the order in which a page has them.

torchrun's are run as one process here (tests/finetune/test_distributed.py has two), those of containers by
tests/containers, those of the quickstart on the real teacher by tests/road.
"""

from pathlib import Path

import pages
import pytest
import shell
import workplace

ALREADY = (
    "harvester collect runs/orders",
    "harvester export runs/orders runs/orders/dataset",
    "harvester export runs/orders archive/orders",
    "harvester collect runs/pairs",
    "finetune train runs/orders/dataset --out runs/orders/student",
    "finetune train runs/orders/dataset --out runs/orders/qwen",
)
"""What whoever reads a how-to has done before."""
RUN = [page for page in pages.pages() if pages.name(page) == "README.md" or page.parent.name == "how-to"]


@pytest.fixture
def worked_in(place: Path) -> Path:
    """The workplace of somebody who has a student; done once."""
    if not (place / "prompts.jsonl").exists():
        for line in ALREADY:
            workplace.run(line.split(), place / "tiny")
        (place / "prompts.jsonl").write_text('{"prompt": "heldout 1"}\n')
    return place


@pytest.mark.parametrize("page", RUN, ids=pages.name)
def test_the_commands_of_a_page_run(page: Path, worked_in: Path) -> None:
    for block in pages.blocks(page):
        if block.language != "bash" or block.excuse is not None:
            continue
        for line in block.text.splitlines():
            if line.startswith("python examples/"):
                workplace.run_script(line)
            for words in [] if line.startswith("docker ") else shell.commands(line):
                workplace.run(words, worked_in / "tiny")
