"""The package's front door is light."""

import subprocess
import sys


def test_the_verbs_stay_functions_whatever_was_imported_before() -> None:
    code = (
        "import sys, finetune; assert 'torch' not in sys.modules; import finetune.cli, finetune.evaluation; "
        "from finetune import train, evaluate, generate; assert callable(train) and callable(evaluate); "
        "assert callable(generate)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
