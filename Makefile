# The two commands a newcomer needs are `make demo` and `make test`; both do all their own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
ROOMS := headwater webhooks reconciler runners engine templates
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

.PHONY: help install demo test lint format services lock clean

help:  ## List the targets.
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: $(VENV)/.installed  ## Make .venv with the headwater command.

demo: install  ## Play the main job live in the terminal (ONCE=1: end after the story).
	@$(BIN)/headwater demo $(if $(ONCE),--once)

test: lint services  ## Install what the tests need, then lint and run them all (ARGS: passed to pytest).
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.developing  ## Formatting, lint rules, types and import contracts.
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .import_linter_cache

format: $(VENV)/.developing  ## Format, and fix what can be fixed by itself.
	@$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

services: $(VENV)/.developing  ## Check the programs that tests start; install them where that is possible.
	@tests/services.sh

lock: $(VENV)/.made  ## Pin the requirements anew, with hashes (needs Python 3.11, the oldest supported).
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "make lock needs a .venv of Python 3.11: its pins are valid for the newer ones too")'
	[ -x $(BIN)/pip-compile ] || $(PIP) install pip-tools
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --only-build-deps --build-deps-for editable --constraint requirements.txt --output-file requirements-build.txt pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' \
		| $(COMPILE) --constraint requirements.txt --constraint requirements-build.txt \
		--output-file requirements-dev.txt -

clean:  ## Remove everything that make made.
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .services dist

$(VENV)/.made: .ci/venv
	@.ci/venv $(VENV)
	touch $@

# The build backend is pinned as well and installed first: pip then fetches nothing of its own choice.
$(VENV)/.installed: $(VENV)/.made requirements.txt requirements-build.txt pyproject.toml
	@echo 'Installing the pinned requirements.'
	$(PIP) install --require-hashes --requirement requirements.txt --requirement requirements-build.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.developing: $(VENV)/.installed requirements-dev.txt
	@echo 'Installing the pinned tools of development.'
	$(PIP) install --require-hashes --requirement requirements-dev.txt
	touch $@
