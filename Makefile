# `make repro` and `make test` work from a fresh clone: they build .venv first, once.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: repro preset sweep search verdict seeds plots test test-rest test-interop test-all lint docs docs-serve ui bench profile record clean help

# The interpreter that builds .venv; PYTHON=... overrides the search on the PATH.
PYTHON ?=
PORT ?= 5000
DOCS_PORT ?= 8000
PLOTS ?= show
PYTEST_ARGUMENTS ?= -n auto --dist loadgroup

ROOT := $(CURDIR)
VENV := .venv
BIN := $(VENV)/bin
# Marks the extra `pipeline` of pyproject.toml as installed; .installed-dev and the like mark further extras.
INSTALLED := $(VENV)/.installed
# Containers often set this variable. Without bytecode files, every stage and test would compile all its imports,
# which is half of its processor time.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# A kill can damage dvc.lock or DVC's list of busy files, and DVC then refuses to run: stages.locks repairs them.
DVC := $(BIN)/python -m stages.locks && $(BIN)/python -m dvc

# Tools find each other, like in an activated environment.
export VIRTUAL_ENV := $(ROOT)/$(VENV)
export PATH := $(ROOT)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

# The variable silences an advertisement in the theme.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs

##@ Run the pipeline

# A source archive is no git repository. Checked before packages are installed, which takes a minute.
.git:
	@git rev-parse --git-dir > /dev/null 2>&1 || { echo "error: this folder is no git repository, which" \
	    "DVC needs: clone the project, or run here: git init && git add . && git commit -m spikejoule" >&2; exit 1; }

repro: .git $(INSTALLED)  ## run the whole pipeline: dvc repro; builds .venv (2 to 6 GB) first
	$(DVC) repro
	@$(BIN)/python -m stages.summary

##@ Run many

# A preset is a file in experiments/. SEEDS="42 43 44" runs each with three seeds.
SEEDS := 42
PRESET :=

preset: $(INSTALLED)  ## run presets from experiments/ as DVC experiments (PRESET="frugal-5000 contest-98" SEEDS="42 43")
	@test -n '$(PRESET)' || { echo 'error: name a preset, such as make preset PRESET=frugal-5000; there are' \
	    $(basename $(notdir $(wildcard experiments/*.yaml))) | fold -s -w 100 >&2; exit 2; }
	$(BIN)/python -m stages.presets --seeds $(SEEDS) -- $(PRESET)

# Every combination of these values is an experiment.
# `make sweep SWEEP="model.hidden=100,200 train.max_epochs=20"` runs another grid.
SWEEP := train.lr=0.003,0.006 train.surrogate=arctangent,fast_sigmoid model.hidden=100,200 \
    encode.time_window=20,40 train.max_epochs=30

# A killed worker leaves its task "Running", and DVC waits for it forever: kill the task until DVC has recorded that it
# failed.
sweep: $(INSTALLED)  ## run a grid of experiments through DVC's queue, then `make seeds` (SWEEP=...)
	@if $(DVC) queue status | grep -q 'Worker status: 0 active, 0 idle'; then \
	    while tasks=$$($(BIN)/python -m dvc queue status | awk '$$NF == "Running" {print $$1}') && [ -n "$$tasks" ]; do \
	        $(BIN)/python -m dvc queue kill --force $$tasks || exit 1; done; fi
	$(DVC) exp run --queue $(addprefix -S ,$(SWEEP))
	-$(BIN)/python -m stages.group sweep $(SWEEP) -- $(BIN)/python -m dvc exp run --run-all --jobs 1
	$(MAKE) seeds

# Options that override search.yaml: `make search SEARCH="--workers 8 --trials 200"`.
SEARCH ?=

search: $(INSTALLED)-search  ## search parameters for a Pareto front of accuracy and energy (SEARCH=...)
	$(DVC) repro prepare
	$(BIN)/spikejoule search $(INTO_TABLE) $(SEARCH)

##@ See results

# The targets print a table; `make seeds TABLE=seeds.csv` also writes it.
TABLE :=
INTO_TABLE = $(if $(TABLE),--table '$(TABLE)')

verdict: $(INSTALLED)  ## which side needs less energy at equal accuracy, with your runs (TABLE=...)
	$(BIN)/python -m studies.verdict judge $(INTO_TABLE)

seeds: $(INSTALLED)  ## accuracy against synaptic events, your runs averaged over seeds (TABLE=...)
	$(BIN)/spikejoule seeds $(INTO_TABLE)

plots: $(INSTALLED)-plots  ## DVC's charts on a page that works offline (PLOTS="diff main" compares)
	@mkdir -p .cache
	$(BIN)/python -c 'import vl_convert; print("(() => {", vl_convert.javascript_bundle(), "})();")' \
	    > .cache/vega.js
	$(DVC) plots $(PLOTS)

# The address of the runs: the one that MLflow's server prints opens an empty page.
RUNS_PAGE = http://127.0.0.1:$(PORT)/\#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=overview

ui: $(INSTALLED)  ## open the MLflow UI on this project's store and print the address of its runs (PORT=...)
	@echo 'The runs, in a moment:'; echo '$(RUNS_PAGE)'
	@PYTHONWARNINGS=ignore:starlette.middleware.wsgi MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/python -m mlflow ui --host 127.0.0.1 \
	    --port "$(PORT)" --workers 1 --uvicorn-opts '--log-level warning' \
	    --backend-store-uri sqlite:///mlflow.db --default-artifact-root mlartifacts

##@ Check and develop

test: $(INSTALLED)-dev  ## run the quick tests (PYTEST_ARGUMENTS="-n 0 tests/data" for some of them)
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGUMENTS)

test-rest: $(INSTALLED)-dev $(INSTALLED)-search  ## run the slow tests: servers, the pipeline again, training at full size
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGUMENTS)

# Documentation pages that use other simulators.
OTHERS_PAGES := hand-a-network-to-another-simulator price-any-nir-graph price-a-snntorch-model train-your-model-by-events

test-interop: $(INSTALLED)-dev $(INSTALLED)-interop  ## compare spikes and counts with other simulators and estimators
	$(BIN)/python -m pytest $(PYTEST_ARGUMENTS) tests/interop tests/encoding/test_encoders.py tests/docs/test_printed.py \
	    $(foreach page,$(OTHERS_PAGES),'tests/docs/test_pages.py::test_page[$(page)]')

test-all: $(INSTALLED)-dev $(INSTALLED)-interop $(INSTALLED)-search  ## run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGUMENTS)

lint: $(INSTALLED)-dev  ## the pre-commit hooks: ruff, mypy, tsc, the direction of imports
	git ls-files -z --cached --others --exclude-standard \
	    | xargs -0 $(BIN)/pre-commit run --show-diff-on-failure --files

docs: $(INSTALLED)-docs  ## build the documentation: build/site/index.html
	$(MKDOCS) build --strict

docs-serve: $(INSTALLED)-docs  ## the documentation at http://127.0.0.1:8000, rebuilt on changes (DOCS_PORT=...)
	$(MKDOCS) serve --dev-addr 127.0.0.1:$(DOCS_PORT)

# Both print tables; `make bench profile OUTPUT=DIRECTORY` also writes them.
OUTPUT :=
BENCHMARK = PYTHONPATH="$(ROOT)/src:$(ROOT)" $(BIN)/python -m benchmarks
into_file = $(if $(OUTPUT),--output '$(OUTPUT)/$(1).json')

bench: $(INSTALLED)-bench  ## compare the speed with the original notebook's loop and other simulators (OUTPUT=...)
	$(BENCHMARK) speed $(call into_file,benchmark)
	$(BENCHMARK) growth $(call into_file,growth)
	$(BENCHMARK) graphs $(call into_file,graphs)
	$(BENCHMARK) pricing $(call into_file,pricing)
	$(BENCHMARK) accelerate $(call into_file,accelerate)
	$(BENCHMARK) track $(call into_file,track)

profile: $(INSTALLED)  ## measure where the event engine spends its training time (OUTPUT=...)
	$(BENCHMARK) profile $(call into_file,profile)

# Networks recorded earlier stay. The tables are for MNIST, whatever this clone has run.
record: $(INSTALLED)  ## for maintainers: replace the tables of studies/verdict and everything generated from them
	$(BIN)/python -m studies.verdict record

clean:  ## remove .venv and the tools' caches; results stay
	rm -rf $(VENV) build src/*.egg-info .hypothesis .import_linter_cache .grimp_cache .mypy_cache .pytest_cache .ruff_cache
	find src stages studies tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## show this list
	@awk -F ':.*## ' -v width="$${COLUMNS:-100}" 'BEGIN { if (width > 100 || width < 1) width = 100 } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { \
	        line = sprintf("  make %-13s", $$1); count = split($$2, words, " "); \
	        for (i = 1; i <= count; i++) { \
	            if (i > 1 && length(line) + 1 + length(words[i]) > width) { print line; line = sprintf("%20s", "") } \
	            line = line " " words[i] } \
	        print line }' Makefile

$(INSTALLED): pyproject.toml constraints.txt
	@set -eu; \
	if ! $(BIN)/python -c '$(SUITABLE)' 2>/dev/null; then \
	    if [ -n "$(PYTHON)" ]; then candidates="$(PYTHON)"; \
	    else candidates="python3 python3.11 python3.12 python3.13 python"; fi; \
	    found=; \
	    for candidate in $$candidates; do \
	        if "$$candidate" -c '$(SUITABLE)' 2>/dev/null; then found=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "error: Python 3.11, 3.12 or 3.13 with the modules venv and ensurepip is needed" \
	             "(Debian: apt install python3-venv), but none of these is one: $$candidates." >&2; \
	        exit 1; \
	    fi; \
	    "$$found" -m venv --clear $(VENV); \
	fi
	$(PIP) -e '.[pipeline]'
	@touch $@

# Sinabs pins an older nir than it needs, so it is installed without its dependencies; only pbr is missing then.
COMMA := ,
$(INSTALLED)-%: $(INSTALLED)
	$(PIP) -e '.[$*]'
	$(if $(findstring interop,$*),$(PIP) --no-deps 'sinabs>=3.1' pbr)
	@touch $@ $(addprefix $(INSTALLED)-,$(subst $(COMMA), ,$*))
