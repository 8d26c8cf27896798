# Every command of the house. `make help` lists them; CI runs `make test`.

PY      := .venv/bin/python
STAMP   := .venv/.installed
PROTOS  := $(sort $(wildcard proto/*.proto))

# The calls of these two are served by the gateway, so they get stubs. The virtual path makes protoc
# write imports that are right as they stand. The test of generated code gives another OUT.
SERVICE_PROTOS := proto/bank.proto proto/ledger.proto
PROTOC  := $(PY) -m grpc_tools.protoc -Ibankd/pb=proto
OUT     := .

# The first Python that is new enough and can make a virtual environment, the system's own before any on
# the PATH: distributions build it with link-time optimisation, version managers mostly do not, and a node
# spends a sixth more CPU on each transfer then. Each candidate is run, not only looked up: version
# managers leave shims that exist and refuse to start.
SYSTEM_PYTHONS := /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3
PYTHON ?= $(shell for p in $(SYSTEM_PYTHONS) python3.13 python3.12 python3.11 python3 python3.14; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help setup proto docs format check test e2e demo bench campaign faults planted clean

help:  ## list the commands
	@sed -n 's/^\([a-z0-9]*\):.*##  *\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP)  ## make .venv with the project and everything that its tests need

# pip before 25.1 knows no dependency groups, hence the upgrade first. The stamp comes last: an
# interrupted setup is simply run again.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: PYTHON_MISSING: no Python >= 3.11 with venv was found" \
		"(on Debian: apt-get install python3 python3-venv; or: make setup PYTHON=/path/to/python)" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(PY) -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

proto: $(STAMP)  ## generate bankd/pb from proto/
	rm -f $(OUT)/bankd/pb/*_pb2.py $(OUT)/bankd/pb/*_pb2.pyi $(OUT)/bankd/pb/*_pb2_grpc.py
	$(PROTOC) --python_out=$(OUT) --pyi_out=$(OUT) $(PROTOS)
	$(PROTOC) --grpc_python_out=$(OUT) $(SERVICE_PROTOS)

docs: $(STAMP)  ## generate docs/configuration.md from the config classes
	$(PY) -c 'from bankd.config.render import reference_page; print(end=reference_page())' > docs/configuration.md

format: $(STAMP)  ## rewrite the sources in the house's format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

check: $(STAMP)  ## format, lint, types, generated code, layers
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_generated_code.py tests/test_layers.py

test: check  ## every check and every test: what CI runs
	$(PY) -m pytest

e2e: $(STAMP)  ## only the tests that start real processes
	$(PY) -m pytest -m real

demo: $(STAMP)  ## three real nodes, a killed leader, and the money still right
	.venv/bin/bankd demo --tour

bench: $(STAMP)  ## the figures, as tables: the cluster, the simulator, the checkers, snapshots
	$(PY) -m bench
	$(PY) -m bench.simulator
	$(PY) -m bench.checkers
	$(PY) -m bench.image
	$(PY) -m bench.held
	$(PY) -m bench.snapshots

# Seeds are drawn unless FROM says where to begin; SEEDS and HOURS both end it, whichever comes first.
campaign: $(STAMP)  ## run simulated clusters until SEEDS=1000 or HOURS=2 are over; FROM=seed
	.venv/bin/bankd sim $(if $(FROM),--from $(FROM)) $(if $(SEEDS),--count $(SEEDS)) $(if $(HOURS),--hours $(HOURS))

faults: $(STAMP)  ## real processes under real faults for MINUTES=10, from SEED=1 on; needs root
	$(PY) -u -m tests.real $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

planted: $(STAMP)  ## search for every planted bug, and renew the table in docs/reliability.md
	$(PY) -m tests.planted --all

clean:  ## remove everything that make made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find bankd bankctl tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
