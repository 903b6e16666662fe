# Every target sets up .venv first when it is missing or older than requirements.txt or pyproject.toml.
.DEFAULT_GOAL := help
# An interpreter, or a version such as 3.13.
PYTHON ?= python3
PYTHONS := $(shell .ci/pythons)
OLDEST := $(firstword $(PYTHONS))
DEPLOYED := $(shell sed -n 's/^deployed-python = "\(.*\)"/\1/p' pyproject.toml)
BIN := .venv/bin
STAMP := .venv/.installed
RUNBOOK := $(BIN)/runbook
UV := uv==$(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.txt)
AGENT := runtime/agent/requirements
# Renovate reads its options back from the first lines of the file that it makes.
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes
# Without compiled bytecode every start of the emulator takes three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run local notebooks unit test soak check format bench figures lock upgrade clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(RUNBOOK) ## .venv with the pinned requirements; PYTHON=3.12 chooses one

$(STAMP): requirements.txt
	@$(CHECKED_PYTHON); echo "Setting up .venv (first time only) ..." >&2; "$$python" -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV) >&2
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.txt >&2
	@touch $(STAMP)

$(RUNBOOK): $(STAMP) pyproject.toml
	@$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python --editable . >&2
	@touch $(RUNBOOK)

define CHECKED_PYTHON
python=$$(.ci/pythons "$(PYTHON)") || { echo "No Python $(PYTHON) was found." >&2; exit 1; }; \
"$$python" -c 'import sys; version = "%d.%d" % sys.version_info[:2]; sys.exit(version not in "$(PYTHONS)".split() and "Python $(OLDEST) to $(lastword $(PYTHONS)) is needed, this is " + sys.version)' || exit 1
endef

run: setup ## one run through a fresh embedded cloud; PROMPT="…", ARGS="--json --workflow investigate"
	@$(BIN)/python -m local run $(ARGS)

local: setup ## the embedded cloud, until Ctrl-C
	@$(BIN)/python -m local up $(ARGS)

notebooks: setup ## the same with JupyterLab and some runs to look at; ARGS="--port=8899"
	@$(BIN)/python -m local notebooks $(ARGS)

unit: setup ## tests that start no cloud, on every supported Python that is here; PYTHON=3.13 for one
	@PYTHONS="$(if $(filter command,$(origin PYTHON)),$(PYTHON),$(PYTHONS))" .ci/unit $(ARGS)

test: setup ## all tests
	@$(BIN)/python -m pytest -n 3 --dist loadscope $(ARGS)

soak: setup ## the long tests, and those that need a Chromium
	@$(BIN)/python -m pytest -m soak $(ARGS)

check: setup ## format, lint, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyrefly check --python-version $(OLDEST) --summary=none

format: setup ## what ruff can put right
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup ## benchmarks, docs/performance.md
	@$(BIN)/python -m benchmarks $(ARGS)

figures: setup ## the pages' pictures; needs a Chromium
	@$(BIN)/python -m docs.figures

lock: setup ## pins of what the two requirements.in ask for
	@$(COMPILE) $(UPGRADE) --python-version=$(OLDEST) --output-file=requirements.txt requirements.in
	@# The agent runs what is tested here.
	@for name in $$(sed -n 's/^\([a-z0-9-]*\)==.*/\1/p' $(AGENT).in); do \
	  version=$$(sed -n "s/^$$name==\([^ ]*\).*/\1/p" requirements.txt); \
	  if [ -n "$$version" ]; then sed -i.old "s/^$$name==.*/$$name==$$version/" $(AGENT).in; fi; \
	done; rm -f $(AGENT).in.old
	@# uv builds without a download only what asks for its own version.
	@version=$$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.txt); \
	sed -i.old "s/uv_build==[0-9.]*/uv_build==$$version/" pyproject.toml; rm -f pyproject.toml.old
	@$(COMPILE) $(UPGRADE) --python-version=$(DEPLOYED) --output-file=$(AGENT).txt $(AGENT).in

upgrade: UPGRADE := --upgrade
upgrade: lock ## the newest of all that requirements.in doesn't pin itself

clean: ## everything that was made
	rm -rf .venv .local .build .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
