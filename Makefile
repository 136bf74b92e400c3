# make train | test | lint | bench | drill | mutants | fuzz: each sets up .venv by itself, from python3 and the package index alone.
PYTHON ?= python3
BIN    := .venv/bin
ARGS   ?=

.PHONY: train test test-all lint format bench drill mutants fuzz lock clean

train: .venv/ready
	$(BIN)/python src/train.py $(ARGS)

# Two workers of one thread each: more threads than cores make every one of them wait.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: .venv/ready
	$(PYTEST) $(ARGS)

test-all: .venv/ready
	$(PYTEST) -m "not gpu and not network" $(ARGS)

# Speed and memory beside those of plain loops, on two cores in under a quarter of an hour; --write fills the page.
bench: .venv/ready
	$(BIN)/python benchmarks/bench.py $(ARGS)

# Runs are killed, starved of disk and poisoned; resumed, each must equal the unbroken one.
drill: .venv/ready
	$(BIN)/python benchmarks/drill.py $(ARGS)

# The mathematics is broken in one place at a time; the tests must notice each. Hours on two cores.
mutants: .venv/ready
	$(BIN)/python benchmarks/mutants.py $(ARGS)

# Values of every kind for every key: each must be taken or refused in one line. Minutes on two cores.
fuzz: .venv/ready
	GANTRY_FUZZ=3000 $(PYTEST) tests/fuzz/test_config_fuzz.py $(ARGS)
	GANTRY_FUZZ=500 $(PYTEST) tests/fuzz --ignore=tests/fuzz/test_config_fuzz.py $(ARGS) || [ $$? = 5 ]

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/ready: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Gantry needs Python 3.11 or later: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	touch $@

lock:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet --upgrade --output-file requirements.lock

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
