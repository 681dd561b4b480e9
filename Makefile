# Works on a machine with nothing but GNU make and Python 3.11 or newer: every target makes the .venv it needs.
# The stamps below are newer than pyproject.toml once its dependencies are installed, so a second run starts at once.
.DEFAULT_GOAL := help
VENV    := .venv
PY      := $(VENV)/bin/python
RUNTIME := $(VENV)/.installed-runtime
DEV     := $(VENV)/.installed-dev
FUZZ    := $(VENV)/.installed-fuzz
# Tests start Python some two hundred times; without its bytecode each start would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
# A file stays in one worker, since what its tests share is dear; the order is that of tests/conftest.py.
PYTEST  := --dist=loadfile --no-loadscope-reorder

.PHONY: help demo test test-all lint format generate bench fuzz marathon pictures peers tools clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(RUNTIME): pyproject.toml scripts/venv.sh
	@scripts/venv.sh $(VENV) runtime

$(DEV): $(RUNTIME)
	@scripts/venv.sh $(VENV) dev

$(FUZZ): $(DEV)
	@scripts/venv.sh $(VENV) fuzz

demo: $(RUNTIME) ## run the reference backend and the sidecar together (options: ARGS="...")
	@exec $(PY) -m iris_exporter demo $(ARGS)

# Of a part of the tests one process is enough.
test: $(DEV) ## run the tests that take no long time (a part, slow ones too: ARGS="tests/core -k sse"; in one process: WORKERS=0)
	@$(PY) -m pytest --numprocesses=$(or $(WORKERS),$(if $(ARGS),0,auto)) $(PYTEST) $(or $(ARGS),-m "not slow" --hypothesis-profile=quick)

test-all: $(DEV) ## run every test, and say which took longest
	@$(PY) -m pytest --numprocesses=$(or $(WORKERS),auto) $(PYTEST) --durations=20 --durations-min=10

lint: $(DEV) ## check style, format, types, unused code and generated files
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy scripts alerts dashboards benchmarks
	$(VENV)/bin/vulture
	$(PY) scripts/generate.py --check

format: $(DEV) ## put the code into its format
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

generate: $(DEV) ## rewrite everything that is generated from the code
	$(PY) scripts/generate.py

bench: $(DEV) ## measure (options: ARGS="...")
	@$(PY) -m benchmarks $(ARGS)

fuzz: $(FUZZ) ## feed the parsers what a fuzzer thinks of (SECONDS=20 for each; a part of them: ARGS="sse")
	@$(PY) -m tests.fuzz.run --seconds $(or $(SECONDS),20) $(ARGS)

marathon: $(DEV) ## count 100,000 events through faults and kills (options: ARGS="--seed 1")
	@$(PY) -m tests.faults.run_marathon $(ARGS)

pictures: $(DEV) ## draw the pictures of the documentation (needs make tools)
	@$(PY) -m tests.dashboards.pictures $(ARGS)

peers: ## build the peers in Go that `make bench ARGS=peers` measures beside the exporter
	@for peer in go benthos; do \
		echo "building peer-$$peer ..." && (cd benchmarks/peers/$$peer && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o ../../../.tools/bin/peer-$$peer .) || exit 1; \
	done

tools: $(RUNTIME) ## install the programs that integration tests run (Prometheus, Node, ...)
	@scripts/tools.sh

clean: ## remove .venv, .tools, caches and build results
	rm -rf $(VENV) .tools .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
