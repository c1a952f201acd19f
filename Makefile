# Each target does its own set-up: a virtual environment with locked dependencies in .venv, and Debian's
# packages when they are missing and we are root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS := 5000
# Looking for tests takes seconds, and these have none that want the machine for themselves.
PROCESSES_ONLY := --ignore=tests/unit --ignore=tests/simulation

# Where it is set, each of the hundreds of processes of a test run, and each role, would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up test check simulate bench faults format docs proto clean

up: $(VENV)/.ready  ## run a cluster on this machine
	@$(BIN)/koinon up $(ARGS)

test: check $(VENV)/.conformance debian-tools  ## everything that must pass
	$(BIN)/pytest -n 3 --dist worksteal -m 'not alone and not waiting' $(ARGS)
	$(BIN)/pytest -n 2 --maxschedchunk 1 -m waiting $(PROCESSES_ONLY) $(ARGS) || [ $$? = 5 ]  # 5: ARGS selects none of them
	$(BIN)/pytest -m alone $(PROCESSES_ONLY) $(ARGS) || [ $$? = 5 ]

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

simulate: $(VENV)/.dev  ## play bad days of clusters: make simulate SEEDS=5000
	$(BIN)/python -m koinon.simulator --seeds $(SEEDS) $(ARGS)

bench: $(VENV)/.dev  ## measure; see bench/README.md
	$(BIN)/python -m bench $(ARGS)

faults: $(VENV)/.conformance debian-tools  ## as root: play twenty rounds of each fault, and tell in the documentation what they took
	$(BIN)/python -m tests.partitions $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev  ## write the pages that are taken from the code
	$(BIN)/python docs/make_diagrams.py
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_fields.py

proto: $(VENV)/.dev  ## compile proto/ after a change of it
	$(BIN)/python proto/compile.py

clean:
	rm -rf $(VENV)

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(MAKE) --no-print-directory debian-python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.ready requirements-dev.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.conformance: $(VENV)/.dev tests/conformance/requirements.txt tests/conformance/install.py
	$(BIN)/python tests/conformance/install.py
	@touch $@

# What the tests use besides Koinon: what the commands shown in the documentation call, ZooKeeper, and for root PostgreSQL and
# what makes and cuts networks. The tests that want these say so, and are skipped, for everybody else.
.PHONY: debian-tools
debian-tools:
	@command -v curl >/dev/null && command -v ps >/dev/null && command -v java >/dev/null && \
	  test -e /usr/share/java/zookeeper.jar && \
	  { [ "$$(id -u)" != 0 ] || { command -v ip >/dev/null && command -v iptables >/dev/null && \
	    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }; } || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -q && \
	    apt-get install -qy --no-install-recommends curl procps zookeeper iproute2 iptables postgresql; } || \
	  { echo "the tests need curl, ps and ZooKeeper (Debian: apt-get install curl procps zookeeper)" >&2; exit 1; }

.PHONY: debian-python
debian-python:
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || \
	  { echo "Koinon needs Python 3.11 or newer with venv (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }
	apt-get update -q && apt-get install -qy --no-install-recommends python3 python3-venv
