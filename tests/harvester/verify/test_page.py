"""docs/how-to/verifiers.md: every block on it is taken as it stands, and every verifier is shown."""

from pathlib import Path

import yaml

from harvester.verify import resolve
from harvester.verify.registry import KINDS

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "verifiers.md"


def test_every_block_resolves_and_every_verifier_has_an_example(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text("def is_haiku(answer, seed):\n    return answer.count('\\n') == 2\n")
    blocks = [part.partition("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```yaml\n")[1:]]
    specs = [yaml.safe_load(block)["verify"] for block in blocks]
    for spec in specs:
        assert resolve(spec, tmp_path, trust=True).keys() == spec.keys()
    assert {name for spec in specs for name in spec} == set(KINDS)
