# `make quickstart` runs config/quickstart.yaml, and `make demo` config/config.yaml with its report. `make test` runs the
# tests, `make quick` a part of them.
# Each target first creates the environment if it is missing or older than its lock file.
PYTHON ?= python3.11
VENV ?= .venv
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := $(VENV)/bin
# Files run in parallel, in the order of tests/conftest.py. These options are not in pyproject.toml, so that `pytest FILE`
# runs in one process, where a debugger works.
PYTEST = $(BIN)/python -m pytest --numprocesses $(CORES) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
QUICK := $(addprefix tests/,losses config data evaluation workflow/test_workflow.py workflow/test_imports.py)

.PHONY: demo quickstart report test quick lint docs env lock clean

demo: env
	$(BIN)/snakemake --cores $(CORES) all
	@$(MAKE) --no-print-directory report
	@cat results/tables/main.md

quickstart: env
	$(BIN)/snakemake --cores $(CORES) --configfile config/quickstart.yaml -- all
	@cat results/tables/main.md

# Snakemake's own report; that of the results is results/report/index.html, which `all` makes.
report: env
	$(BIN)/snakemake --cores 1 --report results/report.html all

# TESTS gives pytest further arguments, such as a file or -x.
# Some tests need SLURM, a browser or LaTeX. If these are missing, root installs Debian's packages for them, and other
# users skip these tests (docs/getting_started.md). make test TESTS='-m "not slurm"' leaves SLURM's out.
test: env
	$(PYTEST) $(TESTS)

# The mathematics, the configuration, data, metrics, and dry runs of every shipped study.
quick: env
	$(PYTEST) $(QUICK)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

# The documentation, README.md and the library reference included, into site/; any warning fails it.
docs: env
	$(BIN)/mkdocs build

env: $(VENV)/.complete

$(VENV)/.complete: envs/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^pip==' envs/requirements.txt)"
	$(BIN)/python -m pip install --quiet -r envs/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# A local version such as 2.13.0+cpu would restrict the lock file to this machine's build, so its suffix is removed.
lock: env
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --allow-unsafe --strip-extras --no-annotate --no-header --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host -o envs/requirements.txt envs/requirements.in
	sed -i 's/+cpu$$//' envs/requirements.txt
	envs/conda_from_lock.sh

clean:
	rm -rf results checkpoints curves logs benchmarks site .snakemake
