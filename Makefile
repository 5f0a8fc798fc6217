# Every development task has one name, here. `make` alone lists them; .ci/run calls the same names.

# The Python that makes .venv. Everything else runs inside .venv.
PYTHON ?= python3
BIN := .venv/bin
# More words for the commands behind `serve`, `localdiscord`, `bench` and others: make serve ARGS="--port 8080".
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check static unit bench bench-peers bench-scale chaos-quick chaos chaos-sabotage chaos-cluster judges system javascript lock sbom container serve localdiscord lifecycle clean dev run
MAKEFLAGS += --no-print-directory
# Tests start Python some thousand times. Modules are compiled once, whatever the surroundings say.
unexport PYTHONDONTWRITEBYTECODE

# Each line below is one plain command, without shell syntax: make then runs it directly, and a signal that make
# passes on reaches the command itself.

help: ## list these names
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: run ## install what is missing, then show everything on this machine alone (KEEP=1: go on running)
	@$(BIN)/python tools/demo.py

# What is installed from three places, and what is checked meanwhile, do not need each other.
test: dev ## everything: checks, the crash matrix in short, all tests
	@$(MAKE) --jobs 3 system judges static javascript
	@$(BIN)/python -m chaos quick
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile

check: dev static unit ## the fast part: linters, types, floors, unit tests

bench: dev ## measure this machine
	@$(BIN)/python -m bench $(ARGS)

bench-peers: dev ## run pikarelay side by side with two libraries that do its work for Midjourney
	@$(BIN)/python tools/peers.py
	@$(BIN)/python -m bench.peers $(ARGS)

bench-scale: dev ## measure several nodes on one PostgreSQL database
	@$(BIN)/python -m bench.scale $(ARGS)

chaos-quick: dev system ## kill, cut and confuse a running server for some minutes, and judge it from outside
	@$(BIN)/python -m chaos quick $(ARGS)

chaos: dev system ## the same in full: takes hours
	@$(BIN)/python -m chaos full $(ARGS)

chaos-sabotage: dev system ## break promises on purpose, and see that the matrix notices each
	@$(BIN)/python -m chaos sabotage $(ARGS)

chaos-cluster: dev ## kill, stop and cut off nodes of a cluster on PostgreSQL for some minutes, and judge it from outside
	@$(BIN)/python -m chaos.cluster $(ARGS)

judges: dev ## make the environments of the third-party Discord libraries that judge localdiscord
	@$(BIN)/python tools/judges.py

system: dev ## install the Debian packages that tests need (chromium, PHP, strace), as root
	@$(BIN)/python tools/system_packages.py

javascript: dev ## install the JavaScript packages that tests run
	@$(BIN)/python tools/javascript.py

serve: export PIKARELAY_NODE_ALLOW_ROOT ?= true
serve: run ## run pikarelay (ARGS="--port 8080 ...")
	@$(BIN)/pikarelay serve $(ARGS)

localdiscord: run ## run a Discord for this machine alone (ARGS="--port 8190 ...")
	@$(BIN)/localdiscord serve $(ARGS)

lock: dev ## pin all requirements again, with hashes
	@$(BIN)/python tools/lock.py $(ARGS)

sbom: dev ## list what a server is made of, with hashes, in dist/pikarelay.cdx.json (CycloneDX)
	@$(BIN)/python tools/sbom.py

container: dev ## build the container image with podman, docker or buildah, and try it
	@$(BIN)/python tools/container.py $(ARGS)

lifecycle: dev ## draw docs/job-lifecycle.md from the table of transitions
	@$(BIN)/python tools/lifecycle_diagram.py

clean: ## remove everything that is made here, .venv included
	rm -rf .venv .venvs demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

run:
	@$(PYTHON) tools/bootstrap.py demo

dev:
	@$(PYTHON) tools/bootstrap.py dev

static: dev
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/mypy --no-error-summary tools
	@$(BIN)/lint-imports --no-logo

unit: dev
	@$(BIN)/python -m pytest -q tests/unit tests/localdiscord
