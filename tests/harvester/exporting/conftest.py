"""What the tests of exporting share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # killed_exports.py is a helper, not a package
