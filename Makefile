# Each target makes the environment it needs; `make help` lists them.
# ARGS are handed on: make test ARGS="-k find -x"

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-browser check bench fuzz format peers clean

ARGS ?=
# Workers of `make test`. Most tests wait for a time-out, so there are more than cores; 0 runs them all in one.
JOBS ?= 4
# The first Python that Harmony supports, 3.11 to 3.13; or say PYTHON=/path/to/python.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
RUN := .venvs/run
TEST := .venvs/test
CHECK := .venvs/check
BROWSER := .venvs/browser
# Where `make test-browser` puts it; the demo gives it out if it is there.
OHIF := $(CURDIR)/.venvs/ohif/package/dist

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(RUN)/.made ## run a sample PACS with an HTTP API in front of it; needs nothing else
	$(RUN)/bin/harmony demo $(if $(wildcard $(OHIF)/index.html),--viewer $(OHIF)) $(ARGS)

test: $(TEST)/.made peers ## run all tests, warnings as errors; installs Orthanc and DCMTK if root
	$(TEST)/bin/python -m pytest -W error -n $(JOBS) --dist loadscope $(ARGS)

check: $(CHECK)/.made ## format, lint, types, import layers, schemas
	$(CHECK)/bin/ruff format --check .
	$(CHECK)/bin/ruff check .
	$(CHECK)/bin/mypy
	$(CHECK)/bin/lint-imports --no-cache
	$(CHECK)/bin/python -m tools.check_schemas

test-browser: $(BROWSER)/.made peers ## OHIF in Chromium, over Harmony, over Orthanc
	@tools/install_browser.sh .venvs/ohif
	$(BROWSER)/bin/python -m pytest -W error -p no:xdist tests/browser $(ARGS)

bench: $(TEST)/.made peers ## compare Harmony with DCMTK, Orthanc and pynetdicom
	$(TEST)/bin/python -m tools.bench $(ARGS)

fuzz: $(TEST)/.made ## generated bad input for every parser; ARGS="--cases N --seed N" for others
	$(TEST)/bin/python -m tools.fuzz $(ARGS)

format: $(CHECK)/.made ## rewrite the files as `make check` wants them
	$(CHECK)/bin/ruff check --fix-only .
	$(CHECK)/bin/ruff format .

peers:
	@tools/install_peers.sh

clean: ## remove environments and caches
	rm -rf .venvs dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find harmony tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN)/.made: EXTRAS :=
$(TEST)/.made: EXTRAS := dev
$(BROWSER)/.made: EXTRAS := dev,browser
# Never legacy-typing: see pyproject.toml.
$(CHECK)/.made: EXTRAS := dev,lint

# Debian's python3 has no ensurepip without python3-venv: then its own pip fills the environment.
.venvs/%/.made: pyproject.toml harmony/__init__.py
	@[ -n "$(PYTHON)" ] || { echo "Harmony needs Python 3.11, 3.12 or 3.13; name one with PYTHON=" >&2; exit 1; }
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D) >/dev/null || $(PYTHON) -m venv --without-pip --clear $(@D)
	if [ -x $(@D)/bin/pip ]; then pip="$(@D)/bin/python -m pip"; \
	else pip="$(PYTHON) -m pip --python $(@D)/bin/python"; fi; \
	$$pip install --quiet --editable '.$(if $(EXTRAS),[$(EXTRAS)])'
	touch $@
