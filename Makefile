# make repro   run the pipeline; only what changed runs again
# make test    the tests            make check   style, types, import rules
# make docs    docs/api from the docstrings   make pictures   those of docs/, after make repro
# make bench   the measurements     make .venv/.installed   only the environment
# make bench-recorded RECORDED=FOLDER   those on tables of recorded results
# make dist    dist/: the wheel and the source, which bring what a project shares with this one
STAMP := .venv/.installed
SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# The first of these that runs and is Python 3.11, 3.12 or 3.13; or choose: make PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && { command -v $$python; break; }; done)

# The stages call `python`, and DVC's queue calls `dvc`: both are those of .venv.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: repro test check docs pictures bench bench-peers bench-recorded dist

repro: $(STAMP)
	dvc repro

test: $(STAMP)
	pytest -q -n auto --dist loadfile

check: $(STAMP)
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-logo

docs: $(STAMP)
	python docs/generate_api.py

pictures: $(STAMP)
	python docs/pictures.py

bench: $(STAMP)
	python benchmarks/run.py
	python benchmarks/calls.py
	python benchmarks/in_flight.py
	python benchmarks/gateway.py
	python benchmarks/start.py
	python benchmarks/report.py
	python benchmarks/page.py
	python benchmarks/pareto.py
	python benchmarks/coverage.py
	python benchmarks/racing.py
	python benchmarks/instructions.py 3
	python benchmarks/growth.py
	python benchmarks/local_model.py 1

bench-peers: $(STAMP)
	python benchmarks/peers/run.py

bench-recorded: $(STAMP)
	python benchmarks/recorded/run.py --data '$(or $(RECORDED),$(error name the tables: make bench-recorded RECORDED=FOLDER))'

dist: $(STAMP)
	rm -rf dist
	hatchling build

$(STAMP): requirements.lock
	@'$(PYTHON)' -c '$(SUPPORTED)' 2>/dev/null || { \
	  echo "error: Python 3.11, 3.12 or 3.13 is needed (python3: $$(python3 --version 2>&1)); make PYTHON=/path/to/python" >&2; \
	  exit 1; }
	@echo "installing into .venv (about a minute)" >&2
	'$(PYTHON)' -m venv .venv
	.venv/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@
