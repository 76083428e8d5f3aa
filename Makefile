# The one front door. Every target makes .venv with what it needs on a machine that has Python 3.11 and nothing else.

PYTHON ?= python3
# On a laptop without a GPU, take PyTorch's CPU build: TORCH="torch==2.13.0 --index-url <the CPU index of pytorch.org>"
TORCH ?= torch==2.13.0
BIN := .venv/bin
RUN := runs/extract-orders

.PHONY: demo demo-control test test-fast test-gpu lint format reference bench clean

.venv/installed: pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade "pip>=26"
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[embedded,finetune,dev]"
	touch $@

# The very commands of README's quickstart.
demo: export PATH := $(CURDIR)/$(BIN):$(PATH)
demo: .venv/installed
	harvester init $(RUN) --recipe extract-orders
	harvester collect $(RUN)
	harvester export $(RUN) $(RUN)/dataset
	finetune train $(RUN)/dataset --out $(RUN)/student
	finetune evaluate $(RUN)/student

# The control arm, after `make demo`: a student that learnt from the rejected answers, too.
demo-control: export PATH := $(CURDIR)/$(BIN):$(PATH)
demo-control: .venv/installed
	harvester export $(RUN) $(RUN)/all --unfiltered
	finetune train $(RUN)/all --out $(RUN)/student-all
	finetune evaluate $(RUN)/student --unfiltered $(RUN)/student-all

test: .venv/installed
	$(BIN)/pytest

test-fast: .venv/installed
	$(BIN)/pytest -m "not slow"

# On a machine with a CUDA GPU; elsewhere every test of it says why it is skipped.
test-gpu: .venv/installed
	$(BIN)/pytest -m gpu tests/gpu

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# docs/reference, from the commands, the dataset's schema and the settings.
reference: .venv/installed
	$(BIN)/python docs/make_reference.py

# Ratios in one run on one machine; benchmarks/LOG.md says how to read them. Best on a quiet machine, about two hours.
bench: .venv/installed
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/collect_overhead.py
	$(BIN)/python benchmarks/steps_throughput.py
	$(BIN)/python benchmarks/limit_use.py
	$(BIN)/python benchmarks/store_growth.py
	$(BIN)/python benchmarks/batch_memory.py
	$(BIN)/python benchmarks/logprobs_storage.py
	$(BIN)/python benchmarks/store_packing.py
	$(BIN)/python benchmarks/export_speed.py
	$(BIN)/python benchmarks/near_duplicates.py
	$(BIN)/python benchmarks/train_speed.py
	$(BIN)/python benchmarks/head_and_loss.py
	$(BIN)/python benchmarks/soft_labels.py --arms hard topk bucket sampled --seeds 0 1

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
