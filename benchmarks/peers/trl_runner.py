"""TRL's SFTTrainer over rows that are ids and labels already, in their order, from a given adapter.

Its own defaults but for what the comparison fixes and what only costs time (saving, reports). It prints one JSON
line: what each optimiser step took from the first forward pass to the optimiser's end, its loss, the peak memory.
"""

import json
import os
import sys
import time
from pathlib import Path

IGNORED = -100
SETTINGS = json.loads(sys.argv[1])
os.environ |= {"HF_HUB_OFFLINE": "1"}

import torch  # noqa: E402 - the environment must stand first
from datasets import Dataset  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402


class Watch(TrainerCallback):
    """How long each step takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu_s: list[float] = []

    def on_step_begin(self, *_: object, **__: object) -> None:
        """The batch has been fetched, nothing computed."""
        self._began, self._cpu_s = time.monotonic(), time.process_time()

    def on_step_end(self, *_: object, **__: object) -> None:
        """The optimiser and the schedule have stepped, the gradients are gone."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.monotonic() - self._began)
        self.cpu_s.append(time.process_time() - self._cpu_s)


class Recorded(SFTTrainer):
    """Keeps every step's loss and count as they are; the log rounds and averages."""

    def compute_loss(self, model, inputs, *arguments: object, **more: object):  # noqa: ANN001, ANN201
        """SFTTrainer's, its result noted."""
        loss = super().compute_loss(model, inputs, *arguments, **more)
        seen.append((self.state.global_step, loss.detach(), int((inputs["labels"][:, 1:] != IGNORED).sum())))
        return loss


def load() -> tuple[object, object]:
    """The model with the adapter it starts from, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(SETTINGS["model"], dtype=getattr(torch, SETTINGS["dtype"]))
    if torch.cuda.is_available():
        model.to("cuda")
    tokenizer = AutoTokenizer.from_pretrained(SETTINGS["model"])
    return PeftModel.from_pretrained(model, SETTINGS["adapter"], is_trainable=True), tokenizer


def config(folder: str) -> SFTConfig:
    """What the comparison fixes; `packing` is none, flat (a batch's rows end to end) or bfd (TRL's own packing)."""
    packing = SETTINGS["packing"]
    return SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=SETTINGS["batch_size"],
        gradient_accumulation_steps=SETTINGS["grad_accum"],
        gradient_checkpointing=SETTINGS["checkpointing"],
        packing=packing == "bfd",
        padding_free=packing == "flat",
        max_length=None if packing == "flat" else SETTINGS["max_length"],
        learning_rate=SETTINGS["learning_rate"],
        weight_decay=SETTINGS["weight_decay"],
        max_grad_norm=SETTINGS["clip_norm"],
        bf16=SETTINGS["dtype"] == "bfloat16",  # autocast over bfloat16 weights: its default, and no slower than without
        max_steps=SETTINGS["max_steps"],
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def peak_mb() -> float:
    """This process's own peak; ru_maxrss begins at the parent's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


seen: list[tuple[int, torch.Tensor, int]] = []

if __name__ == "__main__":
    lines = Path(SETTINGS["ids"]).read_text(encoding="utf-8").splitlines()
    rows = Dataset.from_list([json.loads(line) for line in lines])
    watch = Watch()
    model, tokenizer = load()
    trainer = Recorded(
        model, args=config(SETTINGS["scratch"]), train_dataset=rows, processing_class=tokenizer, callbacks=[watch]
    )
    trainer.train()
    losses, tokens = [0.0] * len(watch.seconds), [0] * len(watch.seconds)
    for step, loss, count in seen:
        losses[step] += float(loss)
        tokens[step] += count
    steps = {"seconds": watch.seconds, "cpu_s": watch.cpu_s, "losses": losses, "tokens": tokens}
    print(json.dumps({**steps, "peak_mb": peak_mb()}))
