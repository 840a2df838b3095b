# `make repro` and `make test` work from a fresh clone: they build .venv first, once.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: repro seed-notebook frugal accurate contrast contest sweep search verdict seeds plots test test-rest test-interop test-all mutations lint docs docs-serve experiments ui bench profile record clean help

# The interpreter that builds .venv; PYTHON=... overrides the search on the PATH.
PYTHON ?=
PORT ?= 5000
DOCS_PORT ?= 8000
PLOTS ?= show
PYTEST_ARGUMENTS ?= -n auto --dist loadgroup

ROOT := $(CURDIR)
VENV := .venv
BIN := $(VENV)/bin
# What running needs, the extra `pipeline` of pyproject.toml, and beside it the packages of others; of
# several, with commas between them, in one run of pip.
INSTALLED := $(VENV)/.installed
INSTALLED_BENCH := $(VENV)/.installed-bench
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_DOCS := $(VENV)/.installed-docs
INSTALLED_INTEROP := $(VENV)/.installed-interop
INSTALLED_PLOTS := $(VENV)/.installed-plots
INSTALLED_SEARCH := $(VENV)/.installed-search
# What is imported is compiled then, which is a fifth of all that is installed, and kept: where a container
# sets this variable, each stage and test would compile it anew, which is half of its processor time.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# A kill can leave dvc.lock or DVC's list of busy files damaged, which would stop it for good.
DVC := $(BIN)/python -m stages.locks && $(BIN)/python -m dvc

# The tools find each other as in an activated environment, whichever one the caller has activated.
export VIRTUAL_ENV := $(ROOT)/$(VENV)
export PATH := $(ROOT)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

# Of the theme, an advertisement on each build is silenced.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs

##@ Run the pipeline

# An archive of the source has none. Checked before packages are installed, which takes a minute.
.git:
	@git rev-parse --git-dir > /dev/null 2>&1 || { echo "error: this folder is no git repository, which" \
	    "DVC needs: clone the project, or run here: git init && git add . && git commit -m spikejoule" >&2; exit 1; }

repro: .git $(INSTALLED)  ## run the whole pipeline: dvc repro; builds .venv (2 to 6 GB) first
	$(DVC) repro
	@$(BIN)/python -m stages.summary

# All settings of the notebook that this project grew from.
SEED_NOTEBOOK := seed=42 data.validation_size=0 encode.encoding=poisson encode.time_window=50 \
    encode.max_rate=80 model.hidden=400 model.neuron=lif model.threshold=1.0 model.decay=0.9 \
    model.reset=zero model.bias=true model.weight_bits=32 model.learned=none \
    train.batch_size=64 train.max_epochs=20 train.lr=0.003 train.weight_decay=0.00001 \
    train.grad_clip_norm=1.0 train.schedule=plateau train.plateau_factor=0.5 \
    train.plateau_patience=2 train.patience=5 train.target_accuracy=98.0 train.surrogate=constant \
    train.surrogate_slope=0.3 train.logit_scale=1.0 train.label_smoothing=0.0 \
    train.shift_pixels=0 train.rotate_degrees=0.0 train.scale_fraction=0.0 \
    train.shear_degrees=0.0 train.pruned_fraction=0 measure_inference.n_samples=4096

seed-notebook: $(INSTALLED)  ## run the seed notebook's configuration as a DVC experiment
	$(DVC) exp run --temp --force -n seed-notebook $(addprefix -S ,$(SEED_NOTEBOOK))

##@ Run many

# Fewer synaptic events: one spike a bright pixel, neurons without a leak, and few synapses. Each
# budget of events per inference has its settings. `make frugal POINTS=5000-int8 SEEDS="42 43 44"` runs
# one of them from several seeds. What early exit costs is decided on validation images. Epochs and
# conventional networks are those of `make contest LEVELS=99`: of a seed, they are trained once for all these.
BASELINE_99 := baseline.family_hidden=[400] baseline.family_pruned=[0.93,0.97] baseline.family_bits=[6]
LATENCY := encode.encoding=latency encode.time_window=20 model.decay=1.0 train.surrogate_slope=2.0 \
    train.max_epochs=120 $(BASELINE_99)
FRUGAL_2500 := $(LATENCY) encode.latency_threshold=0.4 train.pruned_fraction=0.97
FRUGAL_5000 := $(LATENCY) encode.latency_threshold=0.4 train.pruned_fraction=0.955
FRUGAL_5000-int8 := $(FRUGAL_5000) model.weight_bits=8
FRUGAL_10000 := $(LATENCY) encode.latency_threshold=0.2 train.pruned_fraction=0.87
ACCURATE_60000 := $(LATENCY) encode.latency_threshold=0.2 model.reset=subtract train.pruned_fraction=0.4
POINTS := 2500 5000 10000
# To hold beside these: the notebook's settings, validated as the others are, and one choice at a
# time in place of a default.
CONTRAST_seed := $(filter-out seed=42 data.validation_size=0,$(SEED_NOTEBOOK))
CONTRAST_pruned := train.pruned_fraction=0.9
CONTRAST_regular := encode.encoding=regular
CONTRAST_learned := model.learned=both
CONTRASTS := seed pruned regular learned
SEEDS := 42

# An experiment for each seed and point of (settings, name, points): name-point, or with its seed. It
# takes the place of one of that name; what both share is not computed again.
experiments_of = @set -e; $(foreach seed,$(SEEDS),$(foreach point,$(3),$(call experiment_of,$(1),$(2)-$(point)$(if \
    $(filter-out 42,$(seed)),-seed-$(seed)),$(point),$(seed))))
experiment_of = $(call no_experiment,$(2)); \
    $(DVC) exp run --temp -n $(2) $(addprefix -S ,$(or $($(1)_$(3)),$(error $(2) has no settings)) seed=$(4));
no_experiment = ! git for-each-ref --format='%(refname)' refs/exps | grep -q '/$(1)$$' || \
    $(BIN)/python -m dvc exp remove -q $(1) 2> /dev/null || true

frugal: $(INSTALLED)  ## experiments at 2,500, 5,000 and 10,000 synaptic events (POINTS=... SEEDS=...)
	$(call experiments_of,FRUGAL,frugal,$(POINTS))

accurate: $(INSTALLED)  ## an experiment at 60,000 synaptic events, as accurate as they allow (SEEDS=...)
	$(call experiments_of,ACCURATE,accurate,60000)

contrast: $(INSTALLED)  ## experiments with the notebook's settings, and other choices (CONTRASTS=... SEEDS=...)
	$(call experiments_of,CONTRAST,contrast,$(CONTRASTS))

# For the verdict: spiking and conventional networks on the same images, for as many epochs, in integers of
# the same widths. The conventional ones of a seed are trained once for its runs below 99 %; they have
# biases, without which they need more at equal accuracy.
CONTEST := encode.encoding=latency encode.time_window=20 model.decay=1.0 model.reset=subtract model.bias=false \
    train.surrogate_slope=2.0 train.max_epochs=120
CONTEST_4-BITS := $(CONTEST) model.hidden=200 model.weight_bits=4 model.state_bits=16 \
    baseline.family_hidden=[100,200] baseline.family_pruned=[0.93,0.95,0.97] baseline.family_bits=[4]
CONTEST_97 := $(CONTEST_4-BITS) model.layers=[100] encode.latency_threshold=0.4 train.pruned_fraction=0.95
CONTEST_97.5 := $(CONTEST_4-BITS) encode.latency_threshold=0.4 train.pruned_fraction=0.96
CONTEST_98 := $(CONTEST_4-BITS) encode.latency_threshold=0.4 train.pruned_fraction=0.94
CONTEST_98.5 := $(CONTEST_4-BITS) encode.latency_threshold=0.2 train.pruned_fraction=0.88
CONTEST_99 := $(CONTEST) model.hidden=400 model.weight_bits=6 model.state_bits=32 encode.latency_threshold=0.2 \
    train.pruned_fraction=0.4 $(BASELINE_99)
LEVELS := 97 97.5 98 98.5 99

contest: $(INSTALLED)  ## experiments of both kinds of networks at equal accuracy, for `make verdict` (LEVELS=... SEEDS=...)
	$(call experiments_of,CONTEST,contest,$(LEVELS))

# Every combination is an experiment: what changes the cost of an inference, and what the accuracy
# for it depends on. `make sweep SWEEP="model.hidden=100,200 train.max_epochs=20"` runs another.
SWEEP := train.lr=0.003,0.006 train.surrogate=arctangent,fast_sigmoid model.hidden=100,200 \
    encode.time_window=20,40 train.max_epochs=30

# `exp run --run-all` would wait forever for a task that a killed worker left "Running": the first stop ends
# its processes, the second one records that it failed. Each also leaves an order for the absent worker to stop,
# which the next one would obey after one task.
sweep: $(INSTALLED)  ## run a grid of experiments through DVC's queue, then `make seeds` (SWEEP=...)
	@if $(DVC) queue status | grep -q 'Worker status: 0 active, 0 idle'; then \
	    $(BIN)/python -m dvc queue stop --kill && $(BIN)/python -m dvc queue stop --kill; \
	    rm -f .dvc/tmp/exps/celery/broker/in/*.pidbox.msg; fi
	$(DVC) exp run --queue $(addprefix -S ,$(SWEEP))
	-$(DVC) exp run --run-all --jobs 1
	$(MAKE) seeds

# What search.yaml says. `make search SEARCH="--workers 8 --trials 200"` says it otherwise.
SEARCH ?=

search: $(INSTALLED_SEARCH)  ## search parameters for a Pareto front of accuracy and energy (SEARCH=...)
	$(DVC) repro prepare
	$(BIN)/spikejoule search $(INTO_TABLE) $(SEARCH)

##@ See what came out

# The targets print; `make seeds TABLE=seeds.csv` writes the table, too.
TABLE :=
INTO_TABLE = $(if $(TABLE),--table '$(TABLE)')

verdict: $(INSTALLED)  ## who needs less energy at equal accuracy, of recorded networks and your runs (TABLE=...)
	$(BIN)/spikejoule verdict $(INTO_TABLE)

seeds: $(INSTALLED)  ## accuracy against synaptic events, means over seeds of your runs (TABLE=...)
	$(BIN)/spikejoule seeds $(INTO_TABLE)

plots: $(INSTALLED_PLOTS)  ## DVC's charts as a page that needs no network (PLOTS="diff main" compares)
	@mkdir -p .cache
	$(BIN)/python -c 'import vl_convert; print("(() => {", vl_convert.javascript_bundle(), "})();")' \
	    > .cache/vega.js
	$(DVC) plots $(PLOTS)

experiments: $(INSTALLED)  ## DVC's experiments, 80 characters wide: figures, and parameters that differ
	@$(BIN)/python -m stages.locks && $(BIN)/python -m stages.experiments

# MLflow's server would print its plain address last, which opens a page without runs.
RUNS_PAGE = http://127.0.0.1:$(PORT)/\#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=overview

ui: $(INSTALLED)  ## open the MLflow UI on this project's store and print the address of its runs (PORT=...)
	@echo 'The runs, in a moment: $(RUNS_PAGE)'
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/python -m mlflow ui --host 127.0.0.1 \
	    --port "$(PORT)" --workers 1 --uvicorn-opts '--log-level warning' \
	    --backend-store-uri sqlite:///mlflow.db --default-artifact-root mlartifacts

##@ Check and develop

test: $(INSTALLED_DEV)  ## run the quick tests (PYTEST_ARGUMENTS="-n 0 tests/data" for some of them)
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGUMENTS)

test-rest: $(INSTALLED_DEV) $(INSTALLED_SEARCH)  ## run the slow tests: servers, the pipeline again, training at full size
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGUMENTS)

# The pages of the documentation that use other simulators.
OTHERS_PAGES := hand-a-network-to-another-simulator price-any-nir-graph price-a-snntorch-model

test-interop: $(INSTALLED_DEV) $(INSTALLED_INTEROP)  ## compare spikes and counts with other simulators and estimators
	$(BIN)/python -m pytest $(PYTEST_ARGUMENTS) tests/interop tests/encoding/test_encoders.py \
	    $(foreach page,$(OTHERS_PAGES),'tests/docs/test_pages.py::test_page[$(page)]')

test-all: $(INSTALLED_DEV) $(INSTALLED_INTEROP) $(INSTALLED_SEARCH)  ## run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGUMENTS)

mutations: $(INSTALLED_DEV)  ## break kernels, counts and prices on purpose: tests must notice each
	$(BIN)/python -m mutmut run
	$(BIN)/python -m mutmut results
	$(BIN)/python -m tests.tools.mutations

lint: $(INSTALLED_DEV)  ## the pre-commit hooks: ruff, mypy, the direction of imports
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

docs: $(INSTALLED_DOCS)  ## build the documentation: build/site/index.html
	$(MKDOCS) build --strict

docs-serve: $(INSTALLED_DOCS)  ## the documentation at http://127.0.0.1:8000, rebuilt on changes (DOCS_PORT=...)
	$(MKDOCS) serve --dev-addr 127.0.0.1:$(DOCS_PORT)

# Both print their tables; `make bench profile OUTPUT=DIRECTORY` writes them there, too.
OUTPUT :=
BENCHMARK = PYTHONPATH="$(ROOT)/src:$(ROOT)" $(BIN)/python -m benchmarks
into_file = $(if $(OUTPUT),--output '$(OUTPUT)/$(1).json')

bench: $(INSTALLED_BENCH)  ## measure the speed beside the seed's loop and other simulators (OUTPUT=...)
	$(BENCHMARK) speed $(call into_file,benchmark)
	$(BENCHMARK) graphs $(call into_file,graphs)
	$(BENCHMARK) busy $(call into_file,busy)

profile: $(INSTALLED)  ## measure where the event engine's time of training goes (OUTPUT=...)
	$(BENCHMARK) profile $(call into_file,profile)

# The networks that are recorded already stay. The tables are of MNIST, whatever this clone has run.
record: $(INSTALLED)  ## for maintainers: replace the recorded tables in metrics/, and pages and pictures made from them
	$(BIN)/spikejoule verdict --data mnist --table metrics/verdict.csv --fronts metrics/fronts.csv
	$(BIN)/spikejoule seeds --data mnist --table metrics/seeds.csv
	$(BIN)/python -m docs.site.conventional
	$(BIN)/python -m docs.site.verdict
	$(BIN)/python -m docs.site.outcome

clean:  ## remove .venv and the tools' caches; results stay
	rm -rf $(VENV) build mutants src/*.egg-info .hypothesis .import_linter_cache .grimp_cache .mypy_cache .pytest_cache .ruff_cache
	find src stages tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## show this list
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

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

# Sinabs asks for an older nir, which it does not need; pbr is all that it lacks then.
COMMA := ,
$(VENV)/.installed-%: $(INSTALLED)
	$(PIP) -e '.[$*]'
	$(if $(findstring interop,$*),$(PIP) --no-deps 'sinabs>=3.1' pbr)
	@touch $@ $(addprefix $(VENV)/.installed-,$(subst $(COMMA), ,$*))
