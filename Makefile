# imitate: show a robot a video, and it learns to do the same.
#
#   make imitate                the whole pipeline: set-up, record, embed, imitate
#   make test                   set-up and tests
#   make record PRESET=paper    presets of each command; `ARGS="--help"` lists all settings

PYTHON ?= python3.11
RUN    ?= runs/default
PRESET ?= default
DEVICE ?= auto
DEMO   ?=
DEMOS  ?=
ARGS   ?=

BIN := .venv/bin
GO  := $(BIN)/python -m pipelines
IMITATE = $(if $(DEMOS),$(ANY),$(PRESET))
ANY = $(if $(filter all,$(DEMOS)),$(if $(filter default any,$(PRESET)),any,$(error PRESET=$(PRESET): DEMOS=all is a preset of its own, leave PRESET out)),$(error DEMOS=$(DEMOS): expected all; name one with DEMO=))
SIDE_BY_SIDE := -n auto --dist loadfile --no-loadscope-reorder
IF_DEMO := $(if $(DEMO),--demo "$(DEMO)")

.DEFAULT_GOAL := help
.PHONY: install record embed imitate evaluate follow check-reward benchmark-imitation benchmark-follow gallery bench torture report test test-fast lint format type check build clean help

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

.venv/installed: setup.cfg constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "imitate: $(PYTHON) not found: install Python 3.11, or say make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "imitate: $(PYTHON) is $$($(PYTHON) -V), but the pinned versions are for Python 3.11, and PyBullet has no wheels for 3.12 and later: install Python 3.11 and say make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[pipelines,dev]'
	@touch $@

install: .venv/installed ## make .venv from the pinned versions

record: install ## film the robot's babbling [RUN= PRESET= ARGS=]
	$(GO) record $(PRESET) --run $(RUN) $(ARGS)

embed: install ## train the encoder on it [RUN= PRESET= DEVICE= ARGS=]
	$(GO) embed $(PRESET) --run $(RUN) --device $(DEVICE) $(ARGS)

imitate: install ## learn to follow a demonstration, or any [DEMO= DEMOS=all RUN= PRESET= DEVICE= ARGS=]
	$(GO) imitate $(IMITATE) --run $(RUN) --device $(DEVICE) $(IF_DEMO) $(ARGS)

evaluate: install ## run a saved policy again [DEMO= RUN= ARGS=]
	$(GO) evaluate --run $(RUN) --device $(DEVICE) $(if $(DEMO),--demos "$(DEMO)") $(ARGS)

follow: install ## show a video, and the robot follows at once: no learning [DEMO= RUN= DEVICE= ARGS=]
	$(GO) follow --run $(RUN) --device $(DEVICE) $(IF_DEMO) $(ARGS)

check-reward: install ## does the learned reward rank poses as the truth does? [RUN= DEVICE= ARGS=]
	$(GO) check_reward --run $(RUN) --device $(DEVICE) $(ARGS)

benchmark-imitation: install ## five held-out demonstrations, several methods and seeds [RUN= PRESET= ARGS=]
	$(GO) benchmark_imitation $(PRESET) --run $(RUN) $(ARGS)

benchmark-follow: install ## a hundred demonstrations that nothing has seen, followed at once [RUN= PRESET= ARGS=]
	$(GO) benchmark_follow $(PRESET) --run $(RUN) $(ARGS)

gallery: install ## twenty demonstrations that nothing has seen, on one page beside the robot [RUN= ARGS=]
	$(GO) benchmark_follow gallery --run $(RUN) $(ARGS)

bench: install ## how fast: each stage beside its limit, into results/bench.json [RUN= PRESET= DEVICE= ARGS=]
	$(GO) bench $(PRESET) --run $(RUN) --device $(DEVICE) $(if $(filter default,$(PRESET)),--out results/bench.json) $(ARGS)

torture: install ## killed, damaged, lied to, worn out: what must be 0, into results/torture.json [RUN= PRESET= ARGS=]
	$(GO) torture $(PRESET) --run $(RUN) $(if $(filter default,$(PRESET)),--out results/torture.json) $(ARGS)

report: install ## the run on one page that opens offline, report.html [RUN= ARGS=]
	$(GO) report --run $(RUN) $(ARGS)

test: install ## all tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-fast: install ## the tests that train and install nothing
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow" $(ARGS)

lint: install ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install ## put into style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: install ## types
	$(BIN)/mypy

check: lint type test ## everything that must be green

build: install ## wheel and source distribution, in dist/
	$(BIN)/python -m build --quiet

clean: ## remove what was built; runs stay
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
