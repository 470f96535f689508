# A thin front for `python -m pipelines.query_jobs`; every target says what it does in `make help`.
# make turns every failure into its own exit code 2: where the exit code matters (cron), call
# .venv/bin/python -m pipelines.query_jobs, as the README shows.

.DEFAULT_GOAL := help
.PHONY: help demo test load check doctor report notebook demo-org setup lint bench lock clean
.SUFFIXES:

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m pipelines.query_jobs
READ := $(if $(WAREHOUSE),--warehouse "$(WAREHOUSE)")
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet install

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

demo: $(VENV)/.loader ## record 30 days of the built-in demo org, and show what there is to see
	@$(RUN) demo

test: $(VENV)/.everything ## pass all tests
	@$(VENV)/bin/python -m pytest

load: $(VENV)/.loader ## one incremental run against the org configured in .dlt/
	@$(RUN) load

check: $(VENV)/.loader ## say what needs a person, by the warehouse, or nothing (WAREHOUSE=file)
	@$(RUN) check $(READ)

doctor: $(VENV)/.loader ## say in plain words what is wrong with the set-up, and what to do
	@$(RUN) doctor

report: $(VENV)/.loader ## write report.html: a page of pictures for a mail or a wiki (WAREHOUSE=file)
	@$(RUN) report $(READ)

notebook: $(VENV)/.everything ## open the notebook on what is recorded (WAREHOUSE=file)
	@$(VENV)/bin/marimo edit notebooks/history.py -- $(READ)

demo-org: $(VENV)/.loader ## serve the demo org on 127.0.0.1, to try a client of your own
	@$(VENV)/bin/python -m pipelines.demo_org

setup: $(VENV)/.everything ## make .venv with everything that is needed, from the locked files

lint: $(VENV)/.everything ## what CI checks besides the tests: ruff and mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

bench: $(VENV)/.everything ## how fast and how light a load is on this machine, beside others; ten minutes
	@$(VENV)/bin/python tests/benchmarks/bench.py

lock: $(VENV)/.everything ## renew the locked requirements from pyproject.toml
	@$(VENV)/bin/uv pip compile -q pyproject.toml --upgrade $(LOCK) -o requirements.txt
	@$(VENV)/bin/uv pip compile -q pyproject.toml --upgrade $(LOCK) --group dev -c requirements.txt -o requirements-dev.txt
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

clean: ## remove what can be made again; never a warehouse, a loader's file or dlt's home
	rm -rf $(VENV) $(VENV)-duckdb-1.5 build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find pipelines tests notebooks -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; this is %s. Try: make PYTHON=python3.12 ..." % sys.version.split()[0])'
	@echo "Making $(VENV) (once, about half a minute) …"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.loader: $(VENV)/.python requirements.txt pyproject.toml
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.everything: $(VENV)/.loader requirements-dev.txt
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
