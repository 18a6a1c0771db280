# make repro   set up .venv, train and evaluate everything that changed, print the table
# make test    set up .venv, then lint, types and tests
# make test-slow   what takes longer: trainings killed and repeated bit by bit, damaged files, the real DAG (CI runs it, too)
# make serve   set up .venv with Prefect, then a local server, a worker and the deployments (Ctrl-C ends them)
# make test-proofs   the real DAG with what is off by default: methods on CLIP, foundation models, the published settings
# make test-studies   the tests of benchmarks/studies, which settled questions of the past
# make test-faults   the tests that kill, restart, fill and unplug what flows run on
# make bench   the pipeline with seeds 1 and 2 as DVC experiments next to HEAD, and mean and spread of all three
# make bench-cost   what the default run costs stage by stage, from a clone in which nothing is cached
# make bench-predict   what a verdict costs with each exported bundle: milliseconds, pictures a second, start, memory;
#              next to anomalib's exported models after `make setup-baselines`
# make bench-store   how many verdicts a second the store takes, and how soon `oddpart history` answers with a million
# make ablation   three seeds of four global students as DVC experiments on the sample products, and every branch alone
# make gpu   everything that has never run on a GPU: random weights, generated images, one table, under 10 minutes
#            (without a GPU the same checks with tiny networks on the CPU)
# make paper   the publications' settings on MVTec LOCO AD, 3 seeds (a GPU; says first what has to be fetched);
#              VARIANT=thesis runs AeCSAD's thesis where it differs from CSAD's code; PROFILE=modern runs DINOv3's
#              features with students, components and fusion
# make medical FOLDER=/data/medical   SIR's four settings on the medical data sets that lie there (says first what to fetch)
# make setup-baselines   .venv-baselines with anomalib, for `python -m benchmarks.peers` (another 7 GB)
# make docs    what is generated of the documents: the table in README.md, docs/configuration.md
# make setup   only .venv;  make clean   delete .venv, .venv-baselines and what the tools left (artifacts and metrics stay)

PYTHON ?= python3
PROFILE ?= paper
VENV := .venv
BASELINES := .venv-baselines
STAMP := $(VENV)/.installed
FLOWS_STAMP := $(VENV)/.installed-flows
UNFINISHED := $(VENV)/.installing
comma := ,
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# `python` in dvc.yaml is .venv's, whatever environment make was called from.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export DVC_NO_ANALYTICS := 1
# Idle threads of torch sleep instead of spinning: no slower alone, several times faster on a machine with other work.
export OMP_WAIT_POLICY ?= PASSIVE
unexport PYTHONHOME PYTHONPATH CONDA_PREFIX
# Containers set it; then every process compiles again what `pip --no-compile` below leaves to the first import.
unexport PYTHONDONTWRITEBYTECODE

# Two processes of one thread: several threads for small tensors cost a quarter more processor time. In the order of
# tests/conftest.py.
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: repro test test-slow test-proofs test-studies test-faults serve bench bench-cost bench-predict bench-store ablation gpu paper medical docs \
    setup setup-flows setup-baselines clean

repro: setup
	@$(VENV)/bin/python -m commands doctor --data
	$(VENV)/bin/dvc repro
	$(VENV)/bin/python -m commands table --metrics metrics

serve: setup-flows
	$(VENV)/bin/python -m flows.serve

test: setup-flows
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PYTEST)

test-slow: setup-flows
	$(PYTEST) -m slow

test-proofs: setup-flows
	$(VENV)/bin/python -m pytest -m proof

test-studies: setup-flows
	$(PYTEST) -m study

test-faults: setup-flows
	$(VENV)/bin/python -m pytest -m faults --reruns 1  # they wait for servers and workers: a busy machine gets a second try

bench: setup
	$(VENV)/bin/python -m benchmarks.bench seeds

bench-cost: setup
	$(VENV)/bin/python -m benchmarks.cost.default_run

bench-predict: setup
	$(VENV)/bin/python -m benchmarks.predict artifacts/export
	@# anomalib's models on the same pictures, where `make setup-baselines` was run
	@if [ -x $(BASELINES)/bin/python ]; then for bundle in artifacts/export/*/oddpart; do \
	    $(BASELINES)/bin/python -m benchmarks.peers.exported $$bundle; done; fi

bench-store: setup
	$(VENV)/bin/python -m benchmarks.store

ablation: setup
	$(VENV)/bin/python -m benchmarks.bench ablation

gpu: setup
	$(VENV)/bin/python -m benchmarks.gpu

paper: setup
	$(VENV)/bin/python -m benchmarks.recipes.paper --profile $(PROFILE) $(if $(VARIANT),--variant $(VARIANT))

medical: setup
	$(if $(FOLDER),,$(error name the folder with the data sets: make medical FOLDER=/data/medical))
	$(VENV)/bin/python -m benchmarks.recipes.medical --folder '$(FOLDER)' --profile $(PROFILE)

docs: setup
	$(VENV)/bin/python -m commands.configuration --write
	$(VENV)/bin/python -m commands.readme --table metrics/table.md --readme README.md

setup-baselines:
	@[ -x $(BASELINES)/bin/pip ] || $(PYTHON) -m venv $(BASELINES)
	$(BASELINES)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[baselines]'

setup: $(STAMP)

setup-flows: $(FLOWS_STAMP)

# The stamp is written last, so an installation is made again when its inputs changed, and from scratch when it was
# interrupted: half a package cannot always be repaired. Bytecode is left to the first import: compiling all 7 GB takes
# two minutes, most of it for modules that nothing here imports.
define install
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, \
	$(PYTHON) is " + sys.version.split()[0] + ": install one and name it, for example `make PYTHON=python3.12 setup`")'
	@if [ -e $(UNFINISHED) ]; then echo "the last installation was interrupted: starting again"; rm -rf $(VENV); fi
	@rm -f $(STAMP) $(FLOWS_STAMP)
	@[ -x $(VENV)/bin/pip ] || { rm -rf $(VENV); echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@touch $(UNFINISHED)
	@echo "installing the pinned packages into $(VENV) (some minutes, 7 GB)"
	@$(PIP_INSTALL) -e '.[$(1)]'
	@# its metadata ask for opencv-python, which would overwrite opencv-python-headless and needs libGL
	@$(PIP_INSTALL) --no-deps groundingdino-py
	@rm -f $(UNFINISHED)
endef

$(STAMP): pyproject.toml constraints.txt
	$(call install,dev)
	@touch $@

# With Prefect and what its tests need, which `make repro` does not wait for.
$(FLOWS_STAMP): pyproject.toml constraints.txt
	$(call install,dev$(comma)flows$(comma)flows-test)
	@touch $(STAMP) $@

clean:
	rm -rf $(VENV) $(BASELINES) .mypy_cache .pytest_cache .ruff_cache .hypothesis build oddpart.egg-info dvc_plots
