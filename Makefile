# Every target sets up .venv first when it is missing or older than requirements.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
UV := uv==$(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.txt)
# Without compiled bytecode every start of the emulator takes three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run local notebooks test soak check format bench figures lock clean

setup: $(STAMP)

$(STAMP): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@echo "Setting up .venv (first time only) ..." >&2
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV) >&2
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.txt >&2
	@touch $(STAMP)

run: setup
	@$(BIN)/python -m local run $(ARGS)

local: setup
	@$(BIN)/python -m local up $(ARGS)

notebooks: setup
	@$(BIN)/python -m local notebooks $(ARGS)

test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadscope $(ARGS)

soak: setup
	@$(BIN)/python -m pytest -m soak $(ARGS)

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

# Needs a Chromium on the machine; see docs/figures.
figures: setup
	@$(BIN)/python -m docs.figures

lock: setup
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" requirements.in --output-file requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes \
	  --custom-compile-command "make lock" runtime/agent/requirements.in --output-file runtime/agent/requirements.txt

clean:
	rm -rf .venv .local .build .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
