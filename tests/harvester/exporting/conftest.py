"""What the tests of exporting share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # killed_exports.py and byte_student.py are helpers, not packages
