# make demo      set everything up and run the main job
# make test      set everything up and run the tests
# make bench     the figures of the sandbox, beside its peers (own environment, .venv-bench)
# make proxies  the LLM proxies that model calls are compared with, each in an environment of its own (.venv-proxies)
# make soak      isolates begun, called, killed and ended for SOAK seconds in each tier: nothing may be left
# make check     format, lint, types, layers
# make lock      pin the dependencies anew, with hashes and without naming a registry
# make clean     remove the virtual environments
#
# PYTHON chooses the interpreter: make test PYTHON=python3.13
# JOBS is how many processes run the tests: make test JOBS=4
# BENCH goes to the benchmarks: make bench BENCH="--quick --only echo --check"

PYTHON ?= python3
VENV ?= .venv
BENCH ?=
JOBS ?= 2
SOAK ?= 300
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
RUN_READY := $(VENV)/ready-$(VERSION)
DEV_READY := $(VENV)/ready-dev-$(VERSION)
BENCH_READY := $(VENV)/ready-bench-$(VERSION)
SOURCES := pyproject.toml $(wildcard extensions/*/pyproject.toml)
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test soak bench figures proxies check lock clean format

demo: $(RUN_READY)
	$(BIN)/imperal-host demo

test: $(DEV_READY)
	$(BIN)/imperal-host model pull
	$(BIN)/pytest -n $(JOBS) --dist loadfile

soak: $(DEV_READY)
	SOAK_SECONDS=$(SOAK) $(BIN)/pytest -m soak tests/soak

# In an environment of their own: what the peers bring along is no part of the host's, nor of its tests'.
bench:
	@$(MAKE) --no-print-directory VENV=.venv-bench figures

figures: $(BENCH_READY)
	$(BIN)/python -m tests.benchmarks $(BENCH)

# Each has its own environment: they ask for versions that exclude one another. Whichever cannot be had is left out.
proxies:
	mkdir -p .venv-proxies/portkey
	-$(PYTHON) -m venv .venv-proxies/litellm && .venv-proxies/litellm/bin/pip install --quiet 'litellm[proxy]==1.90.0'
	-$(PYTHON) -m venv .venv-proxies/any-llm && .venv-proxies/any-llm/bin/pip install --quiet 'any-llm-sdk[gateway,openai]==1.14.0'
	-$(PYTHON) -m venv .venv-proxies/mlflow && .venv-proxies/mlflow/bin/pip install --quiet 'mlflow[gateway]==3.17.0'
	-cd .venv-proxies/portkey && npm install --silent --no-audit --no-fund @portkey-ai/gateway@1.15.2

check: $(DEV_READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/meta

format: $(DEV_READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(RUN_READY): requirements.lock $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "This Python cannot make a virtual environment; install its venv package (Debian: python3-venv)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --progress-bar on --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-build-isolation --no-index -e . $(foreach e,$(wildcard extensions/*/pyproject.toml),-e ./$(dir $(e)))
	@touch $@

$(DEV_READY): $(RUN_READY) requirements-dev.lock
	$(PIP) install --progress-bar on --require-hashes -r requirements-dev.lock
	@touch $@

$(BENCH_READY): $(RUN_READY) requirements-bench.lock
	$(PIP) install --progress-bar on --require-hashes -r requirements-bench.lock
	@touch $@

lock: $(DEV_READY)
	$(PIP) install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--extra build --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--extra build --extra dev --custom-compile-command "make lock" -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--extra build --extra bench --custom-compile-command "make lock" -c requirements.lock pyproject.toml -o requirements-bench.lock

clean:
	rm -rf $(VENV) .venv-bench .venv-proxies
