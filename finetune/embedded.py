"""The embedded teacher's weights as a transformers model: the demo's student."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from finetune.data import say
from finetune.errors import BadInput
from harvester.teachers.weights import MODEL_NAME, SHA256, cache_dir, embedded_weights


def embedded_folder() -> Path:
    """A transformers folder; converted once, as that takes 15 s and loading 3 s.

    Raises:
        BadInput: the cache cannot be written.
        TeacherUnusable: the weights are not in the cache and cannot be fetched.
    """
    gguf = embedded_weights()
    folder = cache_dir() / "students" / f"{MODEL_NAME}-{SHA256[:8]}"
    if folder.exists():
        return folder
    say(f"converting {gguf.name} for training (once, 0.5 GB) into {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        convert(gguf, scratch)
        scratch.chmod(0o755)
        scratch.rename(folder)
    except OSError as error:
        # Another process may have finished the same conversion first.
        if not folder.exists():
            raise BadInput(f"{folder}: cannot be written ({error.strerror}); set HARVESTER_CACHE") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def convert(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file, and its tokenizer, as a transformers folder in float32."""
    with quiet_bars():
        source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        # The weights are plain floats now, but these marks make save_pretrained refuse.
        model.hf_quantizer = None
        for mark in ("is_quantized", "quantization_method"):
            model.__dict__.pop(mark, None)
        del model.config.quantization_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def quiet_bars() -> Iterator[None]:
    """Loading and saving without the progress bars of transformers."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()  # type: ignore[no-untyped-call]
