# Two commands do everything on a fresh Debian or Ubuntu machine: `make demo` and `make test`.
# Both install what they need (root or sudo) and use an engine of their own, in .rig/: a Docker
# that runs already is not touched.

SHELL := /bin/bash
VENV  := .venv
BIN   := $(VENV)/bin
# The first that runs and is new enough: a name on the PATH may be a shim without a Python behind.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
ENABLED := $(VENV)/etc/jupyter/jupyter_server_config.d/ds01_jupyter.json
APT := DEBIAN_FRONTEND=noninteractive apt-get

# Debian's packages: the engine and what builds the rig; the browser is for the tests only.
PACKAGES := docker.io iptables iproute2 debootstrap gcc libc6-dev ca-certificates
BROWSER  := chromium fonts-dejavu-core

CHAOS_KILLS ?= 1000

.DEFAULT_GOAL := help

ifneq ($(shell id -u),0)
# The engine and the stand-in images need root: the same target again, as root.
demo test install rig down chaos lint bench clean: ; sudo $(MAKE) $@
else

.PHONY: demo
demo: install rig ## build an image, run a container on a MIG slot, then open JupyterLab (DEMO_LAB=0: without)
	$(BIN)/python demo/run.py

.PHONY: test
test: install-test rig ## all tests, on the real engine and in the real browser
	DS01_REQUIRE_REAL=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: chaos
chaos: install-test rig ## kill 1,000 processes at work and see that no slot is given twice (CHAOS_KILLS, CHAOS_SEED)
	$(BIN)/python -m tests.chaos --kills $(CHAOS_KILLS) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED))

.PHONY: lint
lint: install-test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: bench
bench: install-test rig ## the figures of benchmarks/README.md, measured again
	$(BIN)/pip install -q -e '.[bench]'
	$(BIN)/python -m benchmarks

.PHONY: install
install: $(VENV)/lab.stamp

.PHONY: install-test
install-test: $(VENV)/test.stamp
	@command -v chromium >/dev/null || { $(APT) update -qq && $(APT) install -y -qq --no-install-recommends $(BROWSER); }

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv, or make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(APT) update -qq && $(APT) install -y -qq python3-venv; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

# An editable installation leaves out the file that enables the extension: it is put there by hand.
$(ENABLED): jupyter-config/jupyter_server_config.d/ds01_jupyter.json | $(BIN)/python
	install -D -m 644 $< $@

$(VENV)/lab.stamp: pyproject.toml $(ENABLED) | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[lab]'
	touch $@

$(VENV)/test.stamp: pyproject.toml $(ENABLED) | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[lab,test]'
	touch $@

.PHONY: rig
rig: install ## the private engine, the simulated NVIDIA driver and the stand-in images
	@missing=""; for program in dockerd iptables ip debootstrap gcc; do PATH="$$PATH:/usr/sbin:/sbin" command -v $$program >/dev/null || missing=1; done; \
	  if [ -n "$$missing" ]; then $(BIN)/python -m tests.rig up --install; else $(BIN)/python -m tests.rig up; fi

.PHONY: down
down: ## stop the private engine and what runs in it
	if [ -x $(BIN)/python ]; then $(BIN)/python -m tests.rig down; fi

.PHONY: clean
clean: down ## remove everything that was installed or built here
	rm -rf $(VENV) .rig test-results

endif

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12
