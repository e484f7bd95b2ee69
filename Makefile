# Everything here sets up .venv by itself. A target is described by the comment behind it.
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# The certificates that pip and the rest of the machine trust, a company's proxy's among them.
export UV_SYSTEM_CERTS := true

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test test-fast mutants lint site ui dashboard app serve lock clean

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/ready ## make .venv with what a run needs, in the exact versions of requirements.lock

setup-dev: .venv/dev ## add what tests need, in the versions of requirements-dev.lock

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed; say which with PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	python -m pip install --quiet --disable-pip-version-check uv
	uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	uv pip install --quiet --no-deps --no-build-isolation --editable .
	pwd -P > $@

# The scripts in .venv hold its absolute path: in a folder that was moved or copied it is made anew.
MADE_IN := $(shell cat .venv/ready 2>/dev/null)
ifneq ($(MADE_IN),)
ifneq ($(MADE_IN),$(CURDIR))
.PHONY: .venv/ready
endif
endif

# The second file holds the first one's versions too, so that this adds and replaces nothing.
.venv/dev: .venv/ready requirements-dev.lock
	uv pip install --quiet --require-hashes --compile-bytecode --requirement requirements-dev.lock
	touch $@

run: setup ## run the pipeline on the demo collection, or from now on on SOURCE=/path/to/photos
	$(if $(SOURCE),animal use "$(SOURCE)")
	dvc repro
	@animal summary

test: setup-dev ## run all tests
	python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-fast: setup-dev ## run the tests that take seconds
	python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m "not slow"

mutants: setup-dev ## look for changes that no test notices, SAMPLE=400 of them (0: all), in MODULES="split register.gate"
	uv pip install --quiet --requirement pyproject.toml --extra mutants
	python bench/mutants.py --modules $(MODULES) --sample $(or $(SAMPLE),400)

site: setup ## write docs/ as a website to site/
	uv pip install --quiet --requirement pyproject.toml --extra site
	python docs/reference.py
	zensical build

lint: setup-dev ## check style, docstrings, formatting and types
	ruff check .
	ruff format --check .
	basedpyright

ui: setup ## look at all runs, trials and versions in the browser
	mlflow ui

dashboard: setup ## look into the last search with Optuna's dashboard, STUDY=a database's URL into a shared one
	@[ "$(STUDY)" ] || ls .cache/studies/*.log >/dev/null 2>&1 || { echo 'no search yet: run `dvc repro tune` first'; exit 1; }
	uv pip install --quiet --requirement pyproject.toml --extra dashboard
	optuna-dashboard "$(or $(STUDY),$$(ls -t .cache/studies/*.log | head -n 1))"

app: setup ## open the page on port 8080: name animals in photos, correct names
	animal app --feedback data/feedback --open

serve: setup ## serve the champion on port 5001
	mlflow models serve -m models:/animal/Production --env-manager local --port 5001

COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

# The tests' versions come first: a run takes the versions that were tested, and the test tools may
# hold one back (schemathesis does).
lock: setup ## write both lock files anew, from pyproject.toml
	$(COMPILE) --upgrade --extra dev --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --upgrade --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml

define FORGET
import json, pathlib
folder = pathlib.Path("data/ingested")
for below, listed in (("files", "gathered.json"), ("clips", "clips.json")):
    listing = folder / listed
    for name in json.loads(listing.read_text()) if listing.is_file() else []:
        (folder / below / name).unlink(missing_ok=True)
    listing.unlink(missing_ok=True)
for name in ("appearance.parquet", "manifest.parquet", "collection.json"):
    (folder / name).unlink(missing_ok=True)
endef
export FORGET

clean: ## remove what the stages wrote, and the caches; MLflow's runs and DVC's cache stay
	rm -rf .cache data/split.parquet models/trained models/tuned models/final
	rm -rf reports/ingest reports/split reports/augment reports/tune reports/plots reports/predictions.csv reports/metrics.json reports/registration.json reports/index.html reports/model_card.md
# Somebody may have put photos into these folders: what no stage wrote stays.
	python3 -c "$$FORGET"
	-find data/resized data/augmented -maxdepth 1 -type f \( -name "images-*.npy" -o -name index.parquet \) -delete
	-find data/ingested data/resized data/augmented -type d -empty -delete
