# Needs Python 3.11+, make and pip, and nothing else. `make demo` shows what it does, `make test` that it works.

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11 python,\
  $(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
BIN := .venv/bin
PHOTO ?= 

.PHONY: help demo test slow lint docs dist bench browser clean

help:
	@echo 'make demo   depth and refocusing of a real photograph, into out/ (PHOTO=your.jpg for one of yours)'
	@echo 'make test   the tests, a few minutes; make slow: those that take long: trainings, many visitors, spoiled files'
	@echo 'make lint   style, format, types and layers'
	@echo 'make docs   the documentation as a site, into docs/_build; warnings are errors'
	@echo 'make dist   wheel and sdist of the last commit, into dist/, checked in an empty environment'
	@echo 'make browser  finds or installs the browser that the tests of the app open; without one they are skipped'
	@echo 'make bench  the speed and memory figures of the README'
	@echo 'make clean  removes out/ and caches; PYTHON=python3.12 chooses another Python'

# torch first and alone: what follows then finds it installed and never fetches a second build of it. pip decides which build:
# to choose (the one without CUDA is 2 GB smaller), set PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS as torch's install page says.
.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo 'cyclopean needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python3'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install pip; }
	$(BIN)/python -m pip install -c constraints.txt torch
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@

.venv: .venv/.installed

demo: .venv/.installed
	@$(BIN)/python examples/demo.py --out out $(PHOTO)

# One thread for each process: two of several threads each would wait for each other. Files start in order of their folders,
# of which the first are the longest. What is compiled is kept: tests start many processes.
test slow: export PYTHONDONTWRITEBYTECODE =
TOGETHER = OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
ALONE = $(BIN)/pytest $$(grep -rl --include='*.py' 'mark\.alone' tests)

test: .venv/.installed
	$(TOGETHER) -m 'not slow and not alone'
	$(ALONE) -m 'alone and not slow'

slow: .venv/.installed
	$(TOGETHER) -m 'slow and not alone'
	$(ALONE) -m 'alone and slow'

lint: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.installed
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build

dist: .venv/.installed
	@$(BIN)/python .ci/dist.py

browser: .venv/.installed
	@.ci/browser

bench: .venv/.installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf out docs/_build docs/commands.md .pytest_cache .mypy_cache .ruff_cache
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
