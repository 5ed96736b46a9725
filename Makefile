# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO_ARGS ?=
LOCK_ARGS ?= --upgrade
NPM := tests/contract
PYTEST = $(BIN)/pytest -p no:cacheprovider

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick check deb bench booted brokers campaign proofs homeassistant charges walks mutants manual setup system npm lock format clean

help: ## Show the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One environment, filled as far as it is needed: the demo needs a third of what the tests need.
$(VENV)/.demo: requirements-demo.lock pyproject.toml packaging/venv packaging/install.py
	@sh packaging/venv "$(PYTHON)" "$(VENV)" requirements-demo.lock --editable
	@touch $@

$(VENV)/.ready: requirements.lock pyproject.toml packaging/venv packaging/install.py
	@sh packaging/venv "$(PYTHON)" "$(VENV)" requirements.lock --editable
	@touch $@

setup: $(VENV)/.ready ## Make the virtual environment from the lock file

# npm's own copy of the lock file in there says what is installed.
$(NPM)/node_modules/.package-lock.json: $(NPM)/package.json $(NPM)/package-lock.json | system
	@echo "Installing what the contract is judged by from the npm registry (once) ..."
	@npm ci --prefix $(NPM) --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

npm: $(NPM)/node_modules/.package-lock.json ## Install what the contract is judged by from the npm registry, by its lock file

system: ## Install the system packages the tests need (asks Debian's apt when one is missing)
	@sh packaging/system-packages

demo: $(if $(wildcard $(VENV)/.ready),setup,$(VENV)/.demo) ## Simulated sheds on a real serial line and a real broker, driven by the real daemon
	@$(BIN)/chargerd demo $(DEMO_ARGS)

test: setup system npm ## All checks and all tests
	@VENV="$(VENV)" PYTEST_ARGS="$(PYTEST_ARGS)" tests/parts

test-quick: setup system ## The checks, and the tests of what decides and of what is spoken on the wires, within a minute
	@VENV="$(VENV)" PYTEST_ARGS="$(PYTEST_ARGS)" tests/parts --quick

check: setup ## Lint, types, import rules, lock file
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

deb: $(if $(wildcard $(VENV)/.ready),setup,$(VENV)/.demo) ## Build the Debian packages into build/deb (DEB_ARCH="amd64 arm64 armhf", or some of them)
	@$(BIN)/python packaging/deb/build.py $(DEB_ARCH)

bench: setup system ## Measure the bus against its own floor (not a test: figures, no verdict)
	@$(BIN)/python -m tests.benchmarks

booted: setup ## Try the package on booted Debians, and on emulated processors (as root; ROOTS="trixie bookworm-arm64" for some)
	@sh packaging/system-packages --booted
	@PYTHONPATH=packaging/deb $(BIN)/python -m tests.booted $(ROOTS)

brokers: setup ## Try brokers against the contract, measure them, lose one node of three under a fleet (as root; 20 minutes)
	@sh packaging/system-packages --brokers
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --upgrade \
	  --target build/brokers/site -r docs/backend/amqp/requirements.txt
	@$(BIN)/python -m tests.brokers --write $(BROKERS_ARGS)

campaign: setup ## The long form of the simulated sheds: 1000 seeds of 4 h each (hours of work)
	@CAMPAIGN_SEEDS=1000 CAMPAIGN_FRAME_SEEDS=100 CAMPAIGN_HOURS=4 $(BIN)/pytest -p no:cacheprovider -q --timeout=1200 tests/campaign

proofs: setup system ## The long form of power cuts, kills, hostile brokers and spoilt frames (an hour of work)
	@POWER_CUTS=102400 KILLS=500 CHARGERD_CAMPAIGN=long CHARGERD_FUZZ=1000000 CHARGERD_BAD_HOURS=1 \
	  $(PYTEST) -q --timeout=7200 tests/store/test_power_cut.py tests/store/test_kill.py tests/faults tests/modbus/test_bad_input.py
	@OPERATOR_KILLS=50 OPERATOR_STORIES=all $(PYTEST) -q --timeout=7200 tests/operator/test_killed.py

mutants: setup ## Bend every protective rule, one at a time, and print what the tests say
	@$(BIN)/python -m tests.mutants

walks: setup system npm ## Walk every path of the operator's pages with Chromium: screenshots in build/walks (10 minutes)
	@sh packaging/system-packages --browser
	@WALKS=1 $(PYTEST) -q --timeout=1200 tests/operator/test_walk.py

# Home Assistant wants a Python of its own, newer than the oldest of ours.
HOMEASSISTANT_PYTHON ?= python3.13
HOUSE := build/homeassistant
$(HOUSE)/.ready: tests/homeassistant/requirements.lock
	@$(HOMEASSISTANT_PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || \
	  { echo "Home Assistant wants Python 3.13 with venv: make homeassistant HOMEASSISTANT_PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(HOUSE) (once; 350 MB, needs the network)"
	@$(HOMEASSISTANT_PYTHON) -m venv --clear $(HOUSE)
	@$(HOUSE)/bin/python -m pip --disable-pip-version-check install -q --no-deps --only-binary :all: --require-hashes -r $<
	@touch $@

homeassistant: setup system $(HOUSE)/.ready ## Have Home Assistant's own MQTT component read what a daemon announces to it (2 minutes)
	@$(BIN)/python -m tests.homeassistant $(HOUSE)/bin/python

charges: setup ## How generated charges are named at their end: full, unplugged, no_load, still charging
	@$(BIN)/python -m tests.charges

$(VENV)/.manual: requirements-manual.lock | setup
	@echo "Installing what the manual is made with (once; needs the network) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes -r $<
	@touch $@

manual: $(VENV)/.manual ## Make the manual as a site in build/manual; a link that leads nowhere is an error
	@$(BIN)/sphinx-build -q -W --keep-going -c docs -b html . build/manual
	@echo "build/manual/docs/index.html"

LOCKED = --universal --generate-hashes --only-binary :all: --no-header --no-annotate --quiet
COMPILE = $(BIN)/uv pip compile pyproject.toml $(LOCKED)
lock: setup ## Write the lock files anew from pyproject.toml (LOCK_ARGS= keeps the releases that are in them)
	@$(COMPILE) --all-extras $(LOCK_ARGS) -o requirements.lock
	@rm -f requirements-demo.lock requirements-gateway.lock requirements-manual.lock
	@$(COMPILE) --extra demo --extra build -c requirements.lock -o requirements-demo.lock
	@$(COMPILE) --extra build -c requirements.lock -o requirements-gateway.lock
	@$(BIN)/uv pip compile --group pyproject.toml:manual --python-version 3.11 $(LOCKED) -c requirements.lock -o requirements-manual.lock

format: setup ## Put every file into the agreed form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(NPM)/node_modules
