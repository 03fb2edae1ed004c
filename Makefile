# Everything is run from here; `make` shows what there is. A fresh machine needs Python 3.11 and, for the tests on a real
# broker, Docker or Java with Maven. What is installed comes from the locks in requirements/, by hash, into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# python3.11 where it goes by that name, python3 where that is 3.11, nothing otherwise.
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && command -v "$$p" && break; done)
VENV := .venv
BENCH_VENV := .venv-bench
BIN := $(VENV)/bin
# A stamp is named after what it was made from: another lock or another build recipe is another stamp.
stamp = $(1)/.stamp-$(2)-$(shell cat requirements/$(2).txt pyproject.toml | cksum | cut -d' ' -f1)
RUN_STAMP := $(call stamp,$(VENV),run)
DEV_STAMP := $(call stamp,$(VENV),dev)
BENCH_STAMP := $(call stamp,$(BENCH_VENV),bench)
PIP_FLAGS := --quiet --disable-pip-version-check --no-input

# $(call install,VENV,LOCK,CONTAINED): the lock by hash, then the project itself, built by the locked build backend.
# CONTAINED is a lock that this one holds all of, so that it need not be gone through again.
define install
	@test -n "$(PYTHON)" || { echo "make: Driftline needs Python 3.11, and neither python3.11 nor python3 is one. Install it (Debian 12: apt-get install python3.11-venv) or say PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1) || { rm -rf $(1); echo "make: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3.11-venv" >&2; exit 2; }
	@echo "make: installing requirements/$(2).txt into $(1)" >&2
	@$(1)/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements/$(2).txt
	@$(1)/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --no-index -e .
	@rm -f $(foreach lock,$(2) $(3),$(1)/.stamp-$(lock)-*)
	@touch $(foreach lock,$(2) $(3),$(call stamp,$(1),$(lock)))
endef

.PHONY: help setup demo test check soak bench lock clean

help: ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV_STAMP) ## install everything for work on Driftline into .venv

demo: $(RUN_STAMP) ## a day of traffic with known drifts, monitored; no broker needed
	@$(BIN)/driftline demo

test: broker-way check ## everything: the checks, then all tests, those on a real broker included
	$(BIN)/pytest

check: $(DEV_STAMP) ## format, lint, types, layers, examples in the documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q --doctest-modules schemas detectors streams load tests/tidy

.PHONY: broker-way
# Better one line now than a failure after minutes of tests.
broker-way:
	@if [ -z "$${KAFKA_BOOTSTRAP:-}" ] && ! docker info >/dev/null 2>&1 && ! { command -v java && command -v mvn; } >/dev/null; then \
		echo "make: the tests on a real broker need Docker running, or Java 17 with Maven (Debian: apt-get install openjdk-17-jre-headless maven), or KAFKA_BOOTSTRAP=host:port" >&2; exit 2; fi

soak: export MINUTES ?= 60
soak: $(DEV_STAMP) ## an hour at full rate, then every fault at length
	$(BIN)/python -m load soak --minutes "$$MINUTES" --json
	$(BIN)/pytest tests/faults --faults=long

bench: $(DEV_STAMP) $(BENCH_STAMP) ## measure the worker beside its peers on one real broker
	$(BIN)/python -m load throughput --json

# The recipe of a lock: exact pins, every file's hash, and no address of any index.
LOCK := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --build-deps-for=editable \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

lock: export CUSTOM_COMPILE_COMMAND := make lock
lock: $(DEV_STAMP) ## write the locks anew from pyproject.toml
	$(LOCK) --output-file requirements/run.txt pyproject.toml
	$(LOCK) --constraint requirements/run.txt --extra dev --output-file requirements/dev.txt pyproject.toml
	$(LOCK) --constraint requirements/run.txt --extra bench --output-file requirements/bench.txt pyproject.toml

clean: ## remove what was made: environments, caches, the broker's jars
	rm -rf $(VENV) $(BENCH_VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info

$(RUN_STAMP): ; $(call install,$(VENV),run)
$(DEV_STAMP): ; $(call install,$(VENV),dev,run)
$(BENCH_STAMP): ; $(call install,$(BENCH_VENV),bench)
