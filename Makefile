# `make demo` runs the embedded default end to end, `make test` runs all tests, `make quick` some of them in a minute.
# Each creates the environment first if it is missing or older than its lock.
PYTHON ?= python3.11
VENV ?= .venv
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := $(VENV)/bin

# Test files are shared out among processes in the order in which they are collected (tests/conftest.py). Not in
# pyproject.toml, so that `pytest FILE` runs in one process, where a debugger and `-s` work.
PARALLEL := -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
QUICK := $(addprefix tests/,losses config data evaluation workflow/test_workflow.py workflow/test_project.py)

.PHONY: demo report test quick lint env lock clean

demo: env
	$(BIN)/snakemake --cores $(CORES) all
	@$(MAKE) --no-print-directory report
	@cat results/tables/main.md

report: env
	$(BIN)/snakemake --cores 1 --report results/report.html all

# Some tests run on a SLURM cluster of their own. Where it is missing, root has Debian's packages installed, and others
# skip them; make test TESTS='-m "not slurm"' leaves them out.
test: env
	$(BIN)/python -m pytest $(PARALLEL) $(TESTS)

# The mathematics, the configuration, data, metrics, and dry runs of every shipped study; no training.
quick: env
	$(BIN)/python -m pytest $(PARALLEL) $(QUICK)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

env: $(VENV)/.complete

$(VENV)/.complete: envs/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^pip==' envs/requirements.txt)"
	$(BIN)/python -m pip install --quiet -r envs/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# A local version such as 2.13.0+cpu would tie the lock to this machine's build.
lock: env
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --allow-unsafe --strip-extras --no-annotate --no-header --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host -o envs/requirements.txt envs/requirements.in
	sed -i 's/+cpu$$//' envs/requirements.txt
	envs/conda_from_lock.sh

clean:
	rm -rf results checkpoints logs benchmarks .snakemake
