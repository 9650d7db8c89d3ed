# Set-up, search and tests of hrvit_nas; `make help` lists the targets.
#
# PYTHON       makes the environment; 3.11 or newer
# TORCH_INDEX  the package index that torch is taken from, by default PyTorch's own of CPU builds.
#              `make TORCH_INDEX=...` names another one or a mirror; empty means pip's own index,
#              whose torch brings CUDA on Linux. Read at set-up only: `make clean` first to change it.
# SEARCH_ARGS  further arguments of `make search`
# PYTEST_ARGS  arguments of `make test`, by default two processes

PYTHON ?= $(shell command -v python3.11 || echo python3)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
SEARCH_ARGS ?=
PYTEST_ARGS ?= -n 2

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.ready-dev
# Without --no-compile, pip compiles every module of every package, used or not.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -c constraints-cpu.txt

# Modules are compiled as they are first imported. Where that was switched off, as in many
# containers, every process would compile torch and Ray anew, which takes most of its start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup search test browser lint wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

setup: $(DEV_READY) ## make the virtual environment, with what tests and checks need

search: $(READY) ## search heterogeneous branches on the embedded data; the results go under runs/
	@$(BIN)/hrvit-search --space heterogeneous_branches $(SEARCH_ARGS)

test: $(DEV_READY) browser ## run every test
	@$(BIN)/pytest $(PYTEST_ARGS)

browser: ## install Debian's chromium for the tests of pages, which are skipped without it
	@command -v chromium > /dev/null || \
		{ test "$$(id -u)" = 0 && command -v apt-get > /dev/null && \
		echo "Installing chromium for the tests of pages" && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium > /dev/null; } || \
		echo "no chromium, and none can be installed here: tests of pages will be skipped"

lint: $(DEV_READY) ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(DEV_READY) ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove the environment, builds and caches; runs/ stays
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch goes first and alone: with --index-url, pip cannot fall back on PyPI's gigabytes of CUDA, and
# PyTorch's index is asked for nothing else. Where that index cannot be reached, two short retries
# leave a find-links folder in pip's configuration to provide the wheel.
$(READY): pyproject.toml constraints-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hrvit_nas needs Python 3.11 or newer, got %d.%d; name one: make PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	@echo "Setting up $(VENV) with $(PYTHON): torch"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --no-deps $(if $(TORCH_INDEX),--retries 2 --index-url $(TORCH_INDEX)) \
		"$$(grep '^torch==' constraints-cpu.txt)" || \
		{ echo "no torch from TORCH_INDEX=$(TORCH_INDEX); name a mirror, or nothing for pip's own index"; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON): hrvit_nas and all it needs; takes a minute or two"
	@$(PIP_INSTALL) -e .
	@$(BIN)/python -c 'import hrvit_nas.execution.ray_executor, hrvit_nas.search.run, ray.train, ray.tune, torch'
	@touch $@

$(DEV_READY): $(READY)
	@echo "Setting up $(VENV): what tests and checks need; takes another minute"
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@
