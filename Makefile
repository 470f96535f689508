# A thin wrapper around `python -m pipelines.query_jobs`; `make help` lists the targets.
# make turns every failure into exit code 2: where the exit code matters (cron), call
# .venv/bin/python -m pipelines.query_jobs directly, as README and docs/operations.md show.

.DEFAULT_GOAL := help
.PHONY: help demo demo-fleet test test-all load forward init check doctor report notebook notebook-edit demo-org setup setup-postgres setup-lake setup-engines setup-snowflake lint docs bench lock clean FORCE
.SUFFIXES:

# You can set three variables, on the command line only: other programs (Snowflake, node-gyp) use these names in the
# environment. `override` prevents `make -e` from taking them, or the others, from there.
ifneq ($(origin PYTHON),command line)
override PYTHON := python3
endif
ifneq ($(origin WAREHOUSE),command line)
override WAREHOUSE :=
endif
ifneq ($(origin SEED),command line)
override SEED := $$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')
endif
# The file name is passed to the shell in a variable: within a command, the shell would run what is in backquotes. The
# variable is not called WAREHOUSE, which could be mistaken for the setting of this name.
unexport WAREHOUSE
override FILE_TO_READ := $(value WAREHOUSE)
export FILE_TO_READ
override READ := $${FILE_TO_READ:+--warehouse="$$FILE_TO_READ"}

# You can configure where pip gets packages from, but not where it installs them or which code runs (PIP_USER,
# PYTHONPATH).
override PIP_MAY_READ := INDEX_URL EXTRA_INDEX_URL NO_INDEX FIND_LINKS TRUSTED_HOST CERT CLIENT_CERT PROXY TIMEOUT \
    DEFAULT_TIMEOUT RETRIES CACHE_DIR NO_CACHE_DIR CONFIG_FILE KEYRING_PROVIDER USE_FEATURE USE_DEPRECATED \
    ROOT_USER_ACTION
unexport $(filter-out $(addprefix PIP_,$(PIP_MAY_READ)),$(filter PIP_%,$(.VARIABLES)))
unexport PYTHONHOME PYTHONPATH PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONINSPECT PYTHONOPTIMIZE
unexport PYTHONHASHSEED # a fixed seed would make the token of `marimo run` predictable

override RUN := .venv/bin/python -m pipelines.query_jobs
override PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet
override INSTALL := $(PIP) install --no-user --target= --prefix="$$(pwd)/.venv" --require-hashes

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-23s %s\n", $$1, $$2}'

demo: .venv/.loader ## record four weeks of the built-in demo org; needs no Salesforce org
	@$(RUN) demo

demo-fleet: .venv/.loader ## record twelve days of three demo orgs in one warehouse
	@$(RUN) demo --fleet

test: .venv/.everything ## run the tests, without the slow ones
	@.venv/bin/python -m pytest -m "not slow"

test-all: .venv/.everything ## run all tests, on random data of a new seed (SEED=number repeats one)
	@seed=$(SEED) && echo "To repeat this run: make test-all SEED=$$seed" && \
	.venv/bin/python -m pytest --hypothesis-profile=random --hypothesis-seed=$$seed

load: .venv/.loader ## record what is new in the org configured in .dlt/
	@$(RUN) load

forward: .venv/.loader ## send what is new to the company's warehouse, as set under [forward] in .dlt/config.toml
	@$(RUN) forward

check: .venv/.loader ## list problems that need attention, or print nothing (WAREHOUSE=file)
	@exec $(RUN) check $(READ)

init: .venv/.loader ## enter an org's keys, try them, and show the cron line
	@exec $(RUN) init

doctor: .venv/.loader ## diagnose the set-up and suggest fixes
	@$(RUN) doctor

report: .venv/.loader ## write report.html: one page of charts, to mail or put on a wiki (WAREHOUSE=file)
	@exec $(RUN) report $(READ)

notebook: .venv/.everything ## open the charts in your browser, with filters and SQL (WAREHOUSE=file)
	@exec .venv/bin/python -m marimo run notebooks/history.py --token -- $(READ)

notebook-edit: .venv/.everything ## open the notebook in an editor, with its code (WAREHOUSE=file)
	@exec .venv/bin/python -m marimo edit notebooks/history.py --skip-update-check -- $(READ)

demo-org: .venv/.loader ## serve the demo org on 127.0.0.1, to try your own client
	@.venv/bin/python -m pipelines.demo_org

setup: ## install everything into .venv, at locked versions
	@test "$$(cat .venv/.python 2> /dev/null)" = "$$(pwd -P)" || rm -f .venv/.python
	@$(MAKE) --no-print-directory .venv/.everything

setup-postgres: .venv/.loader ## install what `forward` to Postgres needs
	@$(INSTALL) -r requirements-forward-postgres.txt

setup-lake: .venv/.loader ## install what `forward` to a lake needs: S3 and Delta
	@$(INSTALL) -r requirements-forward-lake.txt

setup-engines: .venv/.everything ## install what the tests of `forward` need, apart from Debian's Postgres and Java
	@$(INSTALL) -r tests/requirements-engines.txt

setup-snowflake: .venv/.everything ## install the Snowflake emulator into .venv-snowflake, for the tests of views
	@.venv/bin/python -m venv .venv-snowflake
	@.venv-snowflake/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements-snowflake.txt

lint: .venv/.everything ## run ruff, mypy and the import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/python -m mypy
	@.venv/bin/python -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-cache --no-logo

docs: .venv/.loader ## generate docs/tables.md from the code
	@.venv/bin/python -m pipelines.warehouse.tables_page

bench: .venv/.everything ## compare speed and memory with other loaders; takes ten minutes
	@.venv/bin/python tests/benchmarks/bench.py

lock: .venv/.everything ## update the locked requirements from pyproject.toml
	@.venv/bin/uv pip compile -q pyproject.toml --upgrade $(LOCK) -o requirements.txt
	@.venv/bin/uv pip compile -q pyproject.toml --upgrade $(LOCK) --group dev -c requirements.txt -o requirements-dev.txt
	@for place in postgres lake; do .venv/bin/uv pip compile -q pyproject.toml --upgrade $(LOCK) \
	--extra forward-$$place -c requirements.txt -o requirements-forward-$$place.txt || exit 1; done
	@.venv/bin/uv pip compile -q pyproject.toml --upgrade $(LOCK) --all-extras --group engines -c requirements-dev.txt \
	-c requirements-forward-postgres.txt -c requirements-forward-lake.txt -o tests/requirements-engines.txt
	@.venv/bin/uv pip compile -q --upgrade $(LOCK) --group snowflake -o tests/requirements-snowflake.txt
override LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

clean: ## remove .venv, caches and builds; never a database
	rm -rf .venv .venv-duckdb-1.5 .venv-newest .venv-snowflake build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find pipelines tests notebooks \( -name __pycache__ -o -name __marimo__ \) -prune -exec rm -rf {} +

# .venv still works after its folder was copied or moved: it finds the code by a relative path, and no target calls a
# script in it, which would start the Python at the old path. It is rebuilt if its Python does not run, and by
# `make setup` if it was created elsewhere, because its scripts and `activate` contain that path.
.venv/.python: FORCE
	@test -e $@ && .venv/bin/python -c 'import pip' 2> /dev/null || { \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; this is %s. Try: make PYTHON=python3.12 ..." % sys.version.split()[0])' && \
	echo "Creating .venv (once, about half a minute) …" && $(PYTHON) -m venv --clear .venv && pwd -P > $@; }

# Depends on the Makefile, because earlier versions installed the code by an absolute path.
.venv/.loader: .venv/.python requirements.txt Makefile
	@$(INSTALL) -r requirements.txt
	@$(PIP) --quiet uninstall --yes salesforce-bulk-query-jobs
	@.venv/bin/python -c 'import os, pathlib, sysconfig; site = sysconfig.get_path("purelib"); pathlib.Path(site, "this_project.pth").write_text(os.path.relpath(".", site))'
	@.venv/bin/python -m compileall -q pipelines # a run by a user who may not write here would compile it each time
	@touch $@

.venv/.everything: .venv/.loader requirements-dev.txt
	@$(INSTALL) -r requirements-dev.txt
	@touch $@
