# Two commands are all it takes on a fresh machine: `make sweep` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SPEC ?= studies/scaling_ablation.yaml
# One thread a process: tests and runs go side by side, one a core.
export OMP_NUM_THREADS := 1

.PHONY: help sweep test slow lint ui clean

help:
	@echo "make sweep   make the environment, then run the study (SPEC=$(SPEC)) on the embedded data"
	@echo "make test    make the environment, then check format, lint, types, rooms and run the tests"
	@echo "make slow    the slow tests: kills, servers, clusters, real training; CI runs them too"
	@echo "make ui      MLflow's UI on what was swept"

$(INSTALLED): pyproject.toml constraints.txt
	@echo "== making the environment in $(VENV) (once; a few minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

sweep: $(INSTALLED)
	@echo "== bnnlab sweep $(SPEC)"
	$(BIN)/bnnlab sweep $(SPEC)

test: $(INSTALLED) lint
	@echo "== tests, but for the slow ones"
	$(BIN)/python -m pytest --numprocesses auto -m 'not slow'

slow: $(INSTALLED)
	@echo "== slow tests"
	$(BIN)/python -m pytest --numprocesses auto -m slow

lint: $(INSTALLED)
	@echo "== format, lint, types, rooms"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(INSTALLED)
	$(BIN)/bnnlab ui

clean:
	rm -rf $(VENV)
