# The commands of CONTRIBUTING.md. Each installs what it needs first; nothing is installed twice.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The distribution's own Python comes first where there is one: it is built for speed.
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do \
  $$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --upgrade --universal \
  --python-version 3.11 --no-annotate --custom-compile-command "make lock"

# Debian packages that the tests and the benchmarks call as programs.
TEST_PACKAGES := openssl curl nginx-light haproxy pebble knot \
  pdns-server pdns-backend-lmdb sip-tester systemd chromium \
  kamailio kamailio-extra-modules kamailio-json-modules kamailio-tls-modules kamailio-utils-modules
BENCH_PACKAGES := openssl wrk
TEST_PROGRAMS := openssl curl nginx haproxy pebble pebble-challtestsrv knotd pdns_server sipp \
  kamailio systemd-analyze chromium
BENCH_PROGRAMS := openssl wrk

.PHONY: help run test lint bench fuzz screenshots format lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

run: $(VENV)/.run ## Run the service on http://127.0.0.1:8080 with a demo tenant; sign and verify one call
	@exec $(BIN)/shaken serve --demo $(ARGS)

test: $(VENV)/.dev ## Run all tests, with coverage
	@.ci/packages "$(TEST_PROGRAMS)" "$(TEST_PACKAGES)"
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

lint: $(VENV)/.dev ## Run all static checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

bench: $(VENV)/.dev ## Measure speed, and print a table
	@.ci/packages "$(BENCH_PROGRAMS)" "$(BENCH_PACKAGES)"
	$(BIN)/python -m benchmarks

fuzz: $(VENV)/.dev ## Look for inputs that break what reads strangers' bytes
	$(BIN)/python -m tests.fuzz $(ARGS)

screenshots: $(VENV)/.dev ## Write pictures of every admin page, light, dark and on a phone, to build/screenshots
	@.ci/packages chromium chromium
	$(BIN)/python -m tests.web.screenshots build/screenshots

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.dev ## Write the lock files anew, with the newest versions
	@$(COMPILE) pyproject.toml --output-file requirements.lock
	@$(COMPILE) pyproject.toml --extra dev --output-file requirements-dev.lock
	@echo "setuptools>=77" | $(COMPILE) - --output-file requirements-build.lock

clean: ## Remove what the other commands made, but no data
	rm -rf $(VENV) build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed:" \
	  "apt-get install python3-venv, or make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "making the environment in $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock requirements-build.lock pyproject.toml | $(BIN)/python
	@echo "installing what requirements.lock lists"
	@$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "installing what requirements-dev.lock lists"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run
