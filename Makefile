# make repro   set up .venv, train and evaluate everything that changed, print the table
# make test    set up .venv, then lint, types and tests
# make bench   the pipeline with seeds 1 and 2 as DVC experiments beside HEAD, and mean and spread of all three
# make paper   the publications' settings on MVTec LOCO AD, 3 seeds (a GPU; says first what has to be fetched)
# make setup   only .venv;  make clean   delete .venv and what the tools left (artifacts and metrics stay)

PYTHON ?= python3
PROFILE ?= paper
VENV := .venv
STAMP := $(VENV)/.installed
UNFINISHED := $(VENV)/.installing

# `python` in dvc.yaml is .venv's, whatever environment make was called from.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export DVC_NO_ANALYTICS := 1
# Idle threads of torch sleep instead of spinning: no slower alone, several times faster on a machine with other work.
export OMP_WAIT_POLICY ?= PASSIVE
unexport PYTHONHOME PYTHONPATH CONDA_PREFIX

.PHONY: repro test bench paper setup clean

repro: setup
	$(VENV)/bin/dvc repro
	$(VENV)/bin/python -m stages.report.table --metrics metrics

test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest

bench: setup
	for seed in 1 2; do $(VENV)/bin/dvc exp run --force --temp --name seed-$$seed --set-param seed=$$seed || exit; done
	$(VENV)/bin/python -m stages.report.seeds HEAD seed-1 seed-2

paper: setup
	$(VENV)/bin/python -m benchmarks.paper --profile $(PROFILE)

setup: $(STAMP)

# The stamp is written last, so an installation is made again when its inputs changed, and from scratch when it was
# broken off: half a package cannot always be repaired.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, \
	$(PYTHON) is " + sys.version.split()[0] + ": install one and name it, for example `make PYTHON=python3.12 setup`")'
	@if [ -e $(UNFINISHED) ]; then echo "the last installation was broken off: starting again"; rm -rf $(VENV); fi
	@rm -f $(STAMP)
	@[ -x $(VENV)/bin/pip ] || { rm -rf $(VENV); echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@touch $(UNFINISHED)
	@echo "installing the pinned packages into $(VENV) (some minutes, 7 GB)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@rm -f $(UNFINISHED)
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build oddpart.egg-info dvc_plots
