# Every task sets up what it needs. PYTHON names another interpreter, ARGS are passed on.
.DEFAULT_GOAL := help
DEV := .venvs/dev
EMULATOR := .venvs/emulator
KINESIS := .venvs/kinesis
BIN := $(DEV)/bin
FLEETS := tests/simulation/test_fleet_simulation.py

help: ## what there is
	@sed -nE 's/^([a-z-]+):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 26

$(DEV)/.ready: pyproject.toml
	@deploy/make-venv $(DEV) -e '.[test,check]'

$(EMULATOR)/.ready: deploy/emulator-requirements.txt
	@deploy/make-venv $(EMULATOR) -r deploy/emulator-requirements.txt

$(KINESIS): ## npm's kinesis-local, where there is an npm: tests that need it are skipped elsewhere
	@command -v npm >/dev/null || { echo "No npm was found: tests with shards that split and merge are skipped"; exit 0; }; \
	npm install --silent --no-audit --no-fund --prefix $(KINESIS).part kinesis-local@0.6.2 && mv $(KINESIS).part $(KINESIS) || \
	echo "npm could not install kinesis-local: tests with shards that split and merge are skipped"

demo: $(DEV)/.ready $(EMULATOR)/.ready ## the broker at work: an emulator, queues and streams, handlers that fail (ARGS="--seconds 20")
	@$(BIN)/broker dev $(ARGS)

fix: $(DEV)/.ready ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(DEV)/.ready ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(DEV)/.ready $(EMULATOR)/.ready ## everything that needs no container
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not containers" $(ARGS)

test-all: $(DEV)/.ready $(EMULATOR)/.ready $(KINESIS) ## with the long proofs
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not containers" --timeout 1800 $(ARGS)

test-integration: $(DEV)/.ready $(EMULATOR)/.ready ## real protocols in containers (without an engine it skips, and says so)
	$(BIN)/python -m pytest -n 4 --dist loadscope -m containers $(ARGS) # most of it waits

test-mutants: $(DEV)/.ready ## each kept bug is put back; the test that is named after it must fail
	$(BIN)/python -m tests.mutants $(ARGS)

coverage: ## the tests, with coverage but for the simulated fleets, which it would slow down; then its gates
	$(MAKE) test ARGS="--cov --cov-report= --ignore=$(FLEETS) $(ARGS)"
	$(MAKE) test ARGS="$(FLEETS) $(ARGS)"
	$(MAKE) coverage-report

coverage-report: $(DEV)/.ready ## the gates: every branch of model and core, 90 % elsewhere
	$(BIN)/coverage report --include='broker/model/*,broker/core/*' --fail-under=100
	$(BIN)/coverage report --omit='broker/model/*,broker/core/*' --fail-under=90

simulate: $(DEV)/.ready ## fleets on a stream in virtual time, and their figures (SEEDS=1000, HOURS=6, SEED=7 repeats one)
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(HOURS),--hours $(HOURS)) $(ARGS)

bench: $(DEV)/.ready ## ratios against a plain aiobotocore loop, measured in one run
	$(BIN)/python -m tests.benchmarks $(ARGS)

clean: ## remove all that these tasks made, the virtual environments too
	rm -rf .venvs .broker build dist .coverage* .hypothesis .*_cache
	find broker tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help demo fix check test test-all test-integration test-mutants coverage coverage-report simulate bench clean
