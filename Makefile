# `make demo`, `make test` and `make faults` each do their own set-up and then their job; all reuse what is already there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check faults clean

demo: $(STAMP)
	$(BIN)/groundup run quickstart

test: $(STAMP) check
	$(BIN)/pytest -n 2

faults: $(STAMP)
	$(BIN)/python bench/faults.py

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy groundup

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "groundup needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) lab build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
