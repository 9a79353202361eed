# make demo    own virtual environment, then the main job: push, kill, resume, push again, read back
# make test    own virtual environment, then all tests
# make attacks the known attacks: a table of rows, tests and results
# make nightly the long variants of tests: twenty kills instead of five
# make check   lint, formatting, types, import contracts, words
# make bench   the scenarios of bench.toml, beside other tools that are on PATH; make bench ARGS="start --runs 3"

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test nightly attacks check format bench clean

demo: $(STAMP)
	@$(BIN)/python -m transfer demo

test: $(STAMP)
	@$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal $(ARGS)

attacks: $(STAMP)
	@$(BIN)/python -m pytest -q -m attack -p tests.support.attacks $(ARGS)

nightly: $(STAMP)
	@$(BIN)/python -m pytest --numprocesses=auto -m nightly $(ARGS)

check: $(STAMP)
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/check_words.py

format: $(STAMP)
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks $(ARGS)

$(VENV)/.bench: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	@touch $(VENV)/.bench

$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "transfer needs Python 3.11 or newer, and '$(PYTHON)' is not installed. Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "transfer needs Python 3.11 or newer, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1). Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make a virtual environment: install its venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "making a virtual environment in $(VENV)" >&2
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
