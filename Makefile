# Everything a person needs to run, test and measure Tally; `make help` lists it.
SHELL := /bin/sh
PYTHON ?= python3
PORT ?= 8080
SECONDS ?= 600
BIN := .venv/bin

.DEFAULT_GOAL := help

# Not in a recipe: make would still take as made what was in it.
ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),help)),)
$(shell scripts/environment)
endif

.PHONY: help run check test bench faults rehearsal mutants simulate prowler lint lint-files format pin release screenshots clean

help: ## List the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use
run: .venv/installed-local ## Run everything at http://127.0.0.1:8080 (PORT=9000 for another port)
	@exec $(BIN)/python -m tally up --port "$(PORT)"

##@ Change
check: .venv/installed-check lint-files ## Lint, check types and run the fast tests: a minute
	$(BIN)/mypy src faults simulation
	@TALLY_TEST_STRICT="$(STRICT)" $(BIN)/python -m tests fast

# Whole tiers run side by side. Chosen tests run in one pytest, with its own output.
test: .venv/installed-dev .venv/checkov/installed .venv/ministack/installed ## Run all tests (TIER=core: one tier; T=tests/ledger; STRICT=1: leave nothing out)
	@TALLY_TEST_STRICT="$(STRICT)" $(BIN)/python -m \
	    $(if $(T)$(ARGS),pytest $(TIER:%=--tier=%) $(T) $(ARGS),tests $(TIER))

lint: .venv/installed-dev lint-files ## Lint, and check all types
	$(BIN)/mypy

lint-files: .venv/installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --explicit-package-bases --package deploy.ci
	$(BIN)/shellcheck .ci/run scripts/audit scripts/environment scripts/images scripts/pin scripts/release \
	    deploy/containers/await-deployment deploy/containers/make-secrets \
	    deploy/containers/run-schema-step deploy/database/keep-snapshots \
	    deploy/adder/replace-machines deploy/adder/machine/opt/tally/bin/* \
	    deploy/bastion/machine/usr/local/bin/*
	$(BIN)/hadolint deploy/containers/Containerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet --persona pedantic .github

format: .venv/installed-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pin: .venv/installed-dev ## Compile the hash-pinned requirements (ARGS=--upgrade for newer releases)
	scripts/pin $(ARGS)

##@ Prove
bench: .venv/installed-bench ## Measure Tally beside its peers (QUICK=1: three minutes; ARGS="--only adds")
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS)

faults: .venv/installed-dev ## Inject faults under load and check every answer (SECONDS=600, SEED=)
	@$(BIN)/python -m faults --seconds "$(SECONDS)" $(if $(SEED),--seed "$(SEED)") $(ARGS)

# By root; with AWS_ENDPOINT_URL, the deployment that an emulator on this machine already has.
rehearsal: .venv/installed-dev ## Stand the AWS deployment up here, and try it (SCENARIO=zone; ARGS=--stay)
	@$(BIN)/python -m rehearsal $(if $(SCENARIO),--scenario "$(SCENARIO)") $(ARGS)

mutants: .venv/installed-dev ## Make small faults, which tests must notice, in changed lines (ARGS=--all, or files)
	@$(BIN)/python -m mutants $(ARGS)

# Without SEED another each time; REPLAY= with what a finding printed runs that schedule again.
simulate: .venv/installed-check ## Search schedules on virtual time for a broken promise (SECONDS=600, SEED=, REPLAY=)
	@$(BIN)/python -m simulation --seconds "$(SECONDS)" $(if $(SEED),--seed "$(SEED)") \
	    $(if $(REPLAY),--replay "$(REPLAY)") $(ARGS)

prowler: .venv/installed-dev ## Ask Prowler, if it is installed, what it finds in the deployment as emulated
	@$(BIN)/python -m scripts.prowler

##@ Build
release: .venv/installed-dev ## Build the adder's release, dist/tally.pex, and print its sha256
	@scripts/release

screenshots: .venv/installed-dev ## Take the README's pictures from a real browser (ARGS=check: one part)
	$(BIN)/python scripts/screenshots.py $(ARGS)

clean: ## Remove what was built; the data in .tally stays
	rm -rf .venv .cache build dist

# checkov needs another release of a shared library, as ministack's server would, of which only a module
# is read. Each has an environment of its own; the pins are complete.
.venv/%/installed: requirements/%.txt | .venv/installed-dev
	@echo "Installing requirements/$*.txt ..." >&2
	@$(PYTHON) -m venv .venv/$*
	@.venv/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	    --requirement requirements/$*.txt
	@touch $@

# Install a group of packages again when its pins change. `make run` installs none of the developers'
# tools.
.venv/installed-%: requirements/%.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Tally needs Python 3.11 or newer: PYTHON=python3.12 make ..." >&2; exit 1; }
	@test -e $(BIN)/python || { echo "Making .venv ..." >&2; mkdir -p .venv; }
	@echo $$PPID > .venv/installing # stays if this is interrupted
	@test -e $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing requirements/$*.txt ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	    --requirement requirements/$*.txt || { rm .venv/installing; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    --no-build-isolation --editable . || { rm .venv/installing; exit 1; }
	@rm .venv/installing
	@touch $@
