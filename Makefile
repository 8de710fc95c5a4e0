# Two commands do everything on a fresh machine with Python >= 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FOR_TESTS := $(VENV)/.installed-for-tests
# No more than there are cores: some tests need the processes that they start to be quick.
TEST_WORKERS ?= 2
PYTEST := -m pytest -n $(TEST_WORKERS) --dist worksteal
# Tests start many processes, which compile the source tree anew each time when nothing is kept.
unexport PYTHONDONTWRITEBYTECODE

KILLS ?= 60

.PHONY: demo test lint types wheel-test faults kill media bench bench-quick clean

demo: $(INSTALLED)
	$(BIN)/manifest-runner run examples/quickstart.yaml

# Measured is what goes through every line; what goes through the same lines again and again would take half as long
# again if it were measured too.
UNMEASURED := tests/model tests/faults tests/media_shelf

test: $(FOR_TESTS)
	rm -f .coverage .coverage.*
	$(BIN)/coverage run $(PYTEST) $(UNMEASURED:%=--ignore %)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90
	$(BIN)/python $(PYTEST) $(UNMEASURED)

lint: $(FOR_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(FOR_TESTS)
	$(BIN)/mypy

# Every fault that we can inject, once each: a table of duplicates, lost videos and wrong totals.
faults: $(FOR_TESTS)
	$(BIN)/python tests/faults/table.py

# Real runs, killed again and again until their campaigns are done: no video twice, none lost, every total right.
kill: $(FOR_TESTS)
	$(BIN)/python -m benchmarks.kill --kills $(KILLS)

# How quick it is, figure by figure, with its goals: three quarters of an hour on a machine that does nothing else.
bench: $(FOR_TESTS)
	$(BIN)/python -m benchmarks.all

# What can be counted of it, in less than 90 seconds: calls, memory, order. Never fails for being slow.
bench-quick: $(FOR_TESTS)
	$(BIN)/python -m benchmarks.quick

# A shelf of awkward files: what each is, what was done to it, accepted or the problem. And previews to look at.
media: $(FOR_TESTS)
	$(BIN)/python tests/media_shelf/table.py
	$(BIN)/python -m benchmarks.contact_sheet build/contact-sheet.png

# The built wheel in a clean environment of its own: what users install, without the source tree beside it.
wheel-test: $(FOR_TESTS)
	rm -rf build/wheel .venv-wheel
	$(BIN)/python -m build --wheel --outdir build/wheel .
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install --quiet --disable-pip-version-check build/wheel/*.whl pytest pytest-xdist
	.venv-wheel/bin/python tests/run_against_wheel.py

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[preview]"
	@touch $(INSTALLED)

$(FOR_TESTS): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $(FOR_TESTS)

clean:
	rm -rf $(VENV) .venv-wheel build dist .coverage .coverage.* examples/out examples/.manifest-runner
