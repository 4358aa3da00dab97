# Every task sets up what it needs: `make demo`, `make test`, `make check`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
DEV := .venvs/dev
EMULATOR := .venvs/emulator
BIN := $(DEV)/bin

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 26

$(DEV)/.ready: pyproject.toml
	@deploy/make-venv "$(PYTHON)" $(DEV) -e '.[test,check]'

$(EMULATOR)/.ready: deploy/emulator-requirements.txt
	@deploy/make-venv "$(PYTHON)" $(EMULATOR) -r deploy/emulator-requirements.txt

demo: $(DEV)/.ready $(EMULATOR)/.ready ## watch the broker at work: an embedded emulator, two queues, orders that fail (ARGS="--seconds 20")
	@$(BIN)/broker dev $(ARGS)

fix: $(DEV)/.ready ## format and mend what can be mended
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

check: $(DEV)/.ready ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(DEV)/.ready $(EMULATOR)/.ready ## everything that needs no container
	$(BIN)/python -m pytest -n 2 -m "not slow and not containers" $(ARGS)

test-all: $(DEV)/.ready $(EMULATOR)/.ready ## with the long proofs
	$(BIN)/python -m pytest -n 2 -m "not containers" $(ARGS)

test-integration: $(DEV)/.ready $(EMULATOR)/.ready ## real protocols in containers (skips, with the reason, without an engine)
	$(BIN)/python -m pytest -m containers $(ARGS)

test-mutants: $(DEV)/.ready ## each kept bug is applied; a named test must fail
	$(BIN)/python -m tests.mutants

coverage: $(DEV)/.ready $(EMULATOR)/.ready ## the gates: 100 % of branches in model and core, 90 % elsewhere
	$(BIN)/python -m pytest -n 2 -m "not slow and not containers" --cov --cov-report= $(ARGS)
	$(BIN)/coverage report --include='broker/model/*,broker/core/*' --fail-under=100
	$(BIN)/coverage report --omit='broker/model/*,broker/core/*' --fail-under=90

bench: $(DEV)/.ready ## ratios against a plain aiobotocore loop, measured in one run
	$(BIN)/python -m tests.benchmarks $(ARGS)

.PHONY: help demo fix check test test-all test-integration test-mutants coverage bench
