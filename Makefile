# The environment is made once, and again when what it is made of changes.
PYTHON ?= python3
BIN := .venv/bin
# A worker a core, one thread each; what shares a fixture stays together.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadgroup
READY := .venv/.ready
EXTRAS := flows,devices,ray,tracking-server,vcc,docs,eval,dev
HOSTS := gears cpa biolord cellflow scgpt state
CORE := $(addprefix tests/,board cli contract data evaluation machine records runs splits testing tuning)
ELSEWHERE := tests/methods/flow tests/methods/scdfm tests/evaluation/metrics

.PHONY: help tracking-server setup hosts demo test test-all test-slow test-page test-elsewhere test-core coverage lint docs board clean

help:
	@echo "make demo    the environment, every method on the simulated data set, the leaderboard"
	@echo "make test    the environment, then the tests that say most, in minutes"
	@echo "make test-all    all tests: random kills, a browser, hosted packages and every document besides"
	@echo "make test-slow   the tests that make test leaves out; SHARE=2/6 for one of six shares of them"
	@echo "make test-page   what needs a browser: the page of the board (part of test-all)"
	@echo "make test-elsewhere    some tests as another processor would run them"
	@echo "make test-core    the tests of the core, without PyTorch; PYTHON=python3.13 for another Python"
	@echo "make coverage    which branches the tests take, room by room"
	@echo "make setup   the environment alone (.venv)"
	@echo "make hosts   the environments of published packages, which their tests need (9 GB in all)"
	@echo "make lint    ruff and mypy"
	@echo "make docs    build the documentation site into build/site, without a network"
	@echo "make board   publish the records of finished runs, and render the leaderboard from all that are published"
	@echo "make tracking-server   MLflow pages of the recorded runs, on this machine alone"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, not " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]"
	touch $(READY)

setup: $(READY)

hosts: setup
	for method in $(HOSTS); do $(BIN)/python -m benchmark install $$method || exit $$?; done

demo: setup
	for method in no_change train_mean additive linear main_effects grnflow_sparse_pca; do \
		$(BIN)/python -m benchmark run --method $$method || exit $$?; \
	done
	$(BIN)/python -m benchmark leaderboard --dataset simulated --split doubles

test: setup
	$(PYTEST) -m "not slow"

test-all: test test-slow

# SHARE=2/6: the third of six shares.
SHARE ?= 0/1
test-slow: setup
	$(PYTEST) -m slow --share $(SHARE)

test-page: setup
	$(PYTEST) -m slow tests/board

# As a processor without wide vectors would compute, and with more threads than cores.
test-elsewhere: setup
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=4 $(BIN)/python -m pytest -m "not slow" $(ELSEWHERE)

# Into an environment of its own; what needs PyTorch is left out.
test-core:
	$(PYTHON) -m venv build/core
	build/core/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[tracking-server,vcc,dev]"
	build/core/bin/python -m pytest -n auto --dist loadgroup -m "not slow" $(CORE)

coverage: setup
	$(PYTEST) --cov --cov-report=
	$(BIN)/python tests/project/covered.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

board: setup
	$(BIN)/python -m benchmark publish --output leaderboard/records
	$(BIN)/python -m benchmark leaderboard --records leaderboard/records --format json --output leaderboard/results.json
	$(BIN)/python -m benchmark leaderboard --records leaderboard/records --format markdown --output leaderboard/README.md
	$(BIN)/python -m benchmark leaderboard --records leaderboard/records --format html --output leaderboard/index.html

tracking-server: setup
	$(BIN)/python -m benchmark tracking-server

clean:
	rm -rf .venv build dist datasets/cache
