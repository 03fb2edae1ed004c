# Everything is run from here; `make` shows what there is. A fresh machine needs Python 3.11 and, for the tests,
# Docker or Java with Maven, Alertmanager and Chromium. What is installed comes from the locks in requirements/, by hash, into .venv.

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
MLFLOW_VENV := .venv-mlflow
BIN := $(VENV)/bin
# A stamp is named after what it was made from: another lock or another build recipe is another stamp.
stamp = $(1)/.stamp-$(2)-$(shell cat requirements/$(2).txt pyproject.toml | cksum | cut -d' ' -f1)
RUN_STAMP := $(call stamp,$(VENV),run)
DEV_STAMP := $(call stamp,$(VENV),dev)
BENCH_STAMP := $(call stamp,$(BENCH_VENV),bench)
MLFLOW_STAMP := $(call stamp,$(MLFLOW_VENV),mlflow-server)
# What is never imported need not be compiled, and most of what comes with the locks is not.
PIP_FLAGS := --quiet --disable-pip-version-check --no-input --no-compile

# $(call locked,VENV,LOCK): what the lock says, by hash.
define locked
	@test -n "$(PYTHON)" || { echo "make: Driftline needs Python 3.11, and neither python3.11 nor python3 is one. Install it (Debian 12: apt-get install python3.11-venv) or say PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1) || { rm -rf $(1); echo "make: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3.11-venv" >&2; exit 2; }
	@echo "make: installing requirements/$(2).txt into $(1)" >&2
	@$(1)/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements/$(2).txt
endef

# $(call install,VENV,LOCK,CONTAINED): the lock, then the project itself, built by the locked build backend.
# CONTAINED is a lock that this one holds all of, so that it need not be gone through again.
define install
	$(call locked,$(1),$(2))
	@$(1)/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --no-index -e .
	@rm -f $(foreach lock,$(2) $(3),$(1)/.stamp-$(lock)-*)
	@touch $(foreach lock,$(2) $(3),$(call stamp,$(1),$(lock)))
endef

# Tests on brokers mostly wait, so the others run beside them; those of tidiness `check` has run already.
# Either failing fails it; an end by hand ends both.
BROKER_TESTS := tests/faults tests/kafka tests/transport
define both
echo "make: $(BROKER_TESTS) run beside the others; what they say comes at the end"; log=$$(mktemp); \
$(BIN)/pytest $(BROKER_TESTS) >"$$log" 2>&1 & pid=$$!; trap 'kill $$pid 2>/dev/null' INT TERM; \
rest=0; $(BIN)/pytest $(addprefix --ignore=,$(BROKER_TESTS) tests/tidy) || rest=$$?; \
brokers=0; wait $$pid || brokers=$$?; cat "$$log"; rm -f "$$log"; exit $$((rest + brokers))
endef

.PHONY: help setup demo test check soak bench mlflow-server lock clean

help: ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV_STAMP) ## install everything for work on Driftline into .venv

demo: $(RUN_STAMP) ## a day of traffic with known drifts, monitored; no broker needed
	@$(BIN)/driftline demo

test: broker-way alertmanager-way browser-way ## everything: the checks, then all tests, those on a real broker included
	@$(MAKE) --no-print-directory -j2 check mlflow-server
	@$(BIN)/python -m streams.loops
	@$(both)

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

.PHONY: alertmanager-way
alertmanager-way:
	@if ! command -v prometheus-alertmanager alertmanager >/dev/null; then \
		echo "make: the tests on a real Alertmanager need prometheus-alertmanager or alertmanager on the PATH (Debian: RUNLEVEL=1 apt-get install prometheus-alertmanager, which does not start it)" >&2; exit 2; fi

.PHONY: browser-way
browser-way:
	@if ! command -v chromium chromium-browser google-chrome chromium-headless-shell >/dev/null; then \
		echo "make: the tests of the report need Chromium (Debian: apt-get install chromium)" >&2; exit 2; fi

mlflow-server: $(MLFLOW_STAMP) ## install a real MLflow server, for the tests, into .venv-mlflow

soak: export MINUTES ?= 60
soak: $(DEV_STAMP) ## an hour at full rate, then every fault at length
	$(BIN)/python -m load soak --minutes "$$MINUTES" --json
	$(BIN)/pytest tests/faults --faults=long

bench: $(DEV_STAMP) $(BENCH_STAMP) ## measure the worker beside its peers on one real broker
	$(BIN)/python -m load throughput --json

# The recipe of a lock: exact pins, every file's hash, and no address of any index.
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options
LOCK := $(COMPILE) --build-deps-for=editable

lock: export CUSTOM_COMPILE_COMMAND := make lock
lock: $(DEV_STAMP) ## write the locks anew from pyproject.toml
	$(LOCK) --output-file requirements/run.txt pyproject.toml
	$(LOCK) --constraint requirements/run.txt --extra dev --output-file requirements/dev.txt pyproject.toml
	$(LOCK) --constraint requirements/run.txt --extra bench --output-file requirements/bench.txt pyproject.toml
	$(COMPILE) --output-file requirements/mlflow-server.txt requirements/mlflow-server.in

clean: ## remove what was made: environments, caches, the broker's jars
	rm -rf $(VENV) $(BENCH_VENV) $(MLFLOW_VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info

$(RUN_STAMP): ; $(call install,$(VENV),run)
$(DEV_STAMP): ; $(call install,$(VENV),dev,run)
$(BENCH_STAMP): ; $(call install,$(BENCH_VENV),bench)
$(MLFLOW_STAMP):
	$(call locked,$(MLFLOW_VENV),mlflow-server)
	@rm -f $(MLFLOW_VENV)/.stamp-* && touch $@
