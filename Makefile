# The one front door. Every target makes .venv with what it needs on a machine that has Python 3.11 and nothing else.

PYTHON ?= python3
# On a laptop without a GPU, take PyTorch's CPU build: TORCH="torch==2.13.0 --index-url <the CPU index of pytorch.org>"
TORCH ?= torch==2.13.0
BIN := .venv/bin
RUN := runs/extract-orders

.PHONY: demo test test-fast lint format bench clean

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

test: .venv/installed
	$(BIN)/pytest

test-fast: .venv/installed
	$(BIN)/pytest -m "not slow"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Ratios in one run on one machine; benchmarks/LOG.md says how to read them. Best on a quiet machine, about 45 minutes.
bench: .venv/installed
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/collect_overhead.py
	$(BIN)/python benchmarks/limit_use.py
	$(BIN)/python benchmarks/store_growth.py
	$(BIN)/python benchmarks/train_speed.py

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
