"""Store → Hugging Face dataset."""

from harvester.exporting.dataset import Exported, export

__all__ = ["Exported", "export"]
