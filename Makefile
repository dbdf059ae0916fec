# imitate: show a robot a video, and it learns to do the same.
#
#   make imitate                the whole pipeline: set-up, record, embed, imitate
#   make test                   set-up and tests
#   make record PRESET=paper    presets of each command; `ARGS="--help"` lists all settings

PYTHON ?= auto
RUN    ?= runs/default
PRESET ?= default
DEVICE ?= auto
DEMO   ?=
DEMOS  ?=
ENV    :=
ARGS   ?=

# What these hold is text, in which make looks for no $(...) of its own, neither here nor where it exports them.
VARIABLES := PYTHON RUN PRESET DEVICE DEMO DEMOS ENV ARGS
GIVEN := $(strip $(foreach name,$(filter-out PYTHON,$(VARIABLES)),$(if $(filter command,$(origin $(name))),$(name))))
define NEWLINE


endef
$(foreach name,$(VARIABLES),$(eval override $(name) := $$(value $(name))))
$(foreach name,$(VARIABLES),$(if $(findstring $(NEWLINE),$($(name))),$(error $(name) has a line break in it: expected one line)))

# Each is one word to the shell, whatever it holds: in quotes, unless they are not needed. Only ARGS is a piece of the
# command line, with quotes of its own.
said = $(call quoted,$(or $($1),$(error $1 is empty: expected one word, or leave it out)))
quoted = $(if $(call plain,$1),$1,'$(subst ','\'',$1)')
plain = $(and $(filter 1,$(words x$1x)),$(if $(strip $(foreach mark,$(MARKS),$(findstring $(mark),$1))),,plain))
MARKS := ! " \# $$ & ' ( ) * ; < = > ? [ \ ] ^ ` { | } ~
same = $(and $(findstring |$1|,|$2|),$(findstring |$2|,|$1|))

BIN := .venv/bin
GO  := $(BIN)/python -m pipelines
IMITATE = $(if $(DEMOS),$(if $(ENV),$(error DEMOS=$(DEMOS) and ENV=$(ENV): expected one of the two),$(ANY)),$(WHERE))
ELSEWHERE = environment --env $(call said,ENV)
WHERE = $(if $(ENV),$(if $(call same,$(PRESET),default),$(ELSEWHERE),$(error PRESET=$(PRESET): ENV=$(ENV) is a preset of its own, leave PRESET out)),$(call said,PRESET))
ANY = $(if $(call same,$(DEMOS),all),$(if $(call same,$(PRESET),default)$(call same,$(PRESET),any),any,$(error PRESET=$(PRESET): DEMOS=all is a preset of its own, leave PRESET out)),$(error DEMOS=$(DEMOS): expected all; name one with DEMO=))
SIDE_BY_SIDE := -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
PHONY := install record embed imitate evaluate follow check-reward benchmark-imitation benchmark-environments benchmark-follow gallery bench torture report test test-fast lint format type check docs build clean help
.PHONY: $(PHONY)

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 22

# Each way in which a Python, or a network, will not do ends in one line. `installed` is written last: what came to no
# end is begun anew. Where PyBullet has no wheel, it is compiled with NumPy at hand, without which its pictures are tuples.
OTHER := install Python 3.11, 3.12 or 3.13, or say make PYTHON=/path/to/python3.11
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
.venv/installed: setup.cfg constraints.txt pyproject.toml
	@python=$(call said,PYTHON); \
	[ "$$python" != auto ] || for python in python3.11 python3.12 python3.13 python3.11; do "$$python" -V >/dev/null 2>&1 && break; done; \
	fail() { printf 'imitate: %s\n' "$$1" >&2; exit 2; }; \
	run() { answer=$$(exec 2>&1 </dev/null; "$$@"; exit $$?); }; \
	why() { printf '%s\n' "$${answer:-it says nothing}" | LC_ALL=C tr -cd '[:print:]\n' | grep . | head -n 1 | cut -c 1-200; }; \
	command -v "$$python" >/dev/null 2>&1 || [ -e "$$python" ] || fail "$$python not found: $(OTHER)"; \
	run "$$python" -V || fail "$$python is there, but does not run ($$(why)): $(OTHER)"; \
	case $$answer in \
	  *"Python 3.11."*) version=3.11 ;; \
	  *"Python 3.12."*) version=3.12 ;; \
	  *"Python 3.13."*) version=3.13 ;; \
	  *"Python "[0-9]*) fail "$$python is $$(why), but the pinned versions are for 3.11 to 3.13: $(OTHER)" ;; \
	  *) fail "$$python is there, but is no Python ($$(why)): $(OTHER)" ;; \
	esac; \
	run "$$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" || \
	  fail "$$python is there, but does not run ($$(why)): $(OTHER)"; \
	echo "making .venv with $$python"; \
	run "$$python" -m venv --clear .venv && run $(BIN)/python -m pip --version || { \
	  rm -rf .venv; \
	  fail "$$python can't make .venv ($$(why)): on Debian and Ubuntu install python$$version-venv, or say make PYTHON=/path/to/python3.11"; }; \
	kept=$${XDG_CACHE_HOME:-$$HOME/.cache}/imitate-video; \
	bullet() { run $(PIP) --only-binary pybullet --find-links "$$kept" pybullet; }; \
	compiled() { \
	  case $$answer in *"No matching distribution"*pybullet*) ;; *) return 1 ;; esac; \
	  command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	    fail "PyBullet has no wheel for this Python $$version and must be compiled, but there is no C++ compiler: on Debian and Ubuntu install g++ and python$$version-dev, on macOS say xcode-select --install, or take Python 3.11"; \
	  echo "compiling PyBullet, which has no wheel for this Python $$version: some 10 minutes, once; it is kept in $$kept"; \
	  trap 'rm -rf "$$kept/new-$$$$"' EXIT; \
	  mkdir -p "$$kept" && run $(PIP) numpy setuptools && run $(BIN)/python -m pip wheel --quiet --disable-pip-version-check \
	    --no-cache-dir --no-deps --no-build-isolation -c constraints.txt -w "$$kept/new-$$$$" pybullet && \
	    mv "$$kept/new-$$$$"/*.whl "$$kept"; }; \
	echo "installing what constraints.txt pins, which takes minutes"; \
	run $(PIP) torch && { bullet || { compiled && bullet; }; } && run $(PIP) -e '.[dev,docs]' || { \
	  printf '%s\n' "$$answer" >.venv/pip.log; answer=$$(grep -i '^ *error' .venv/pip.log || tail .venv/pip.log); \
	  fail "pip can't install ($$(why)): .venv/pip.log has the rest; mend that, or the network, and make starts over"; }
	@touch $@

install: .venv/installed ## make .venv from the pinned versions [PYTHON=]

record: install ## film the robot's babbling, or another environment's play [ENV= RUN= PRESET= ARGS=]
	$(GO) record $(WHERE) --run $(call said,RUN) $(ARGS)

embed: install ## train the encoder on it [RUN= PRESET= DEVICE= ARGS=]
	$(GO) embed $(call said,PRESET) --run $(call said,RUN) --device $(call said,DEVICE) $(ARGS)

imitate: install ## learn to follow a demonstration, or any [DEMO= DEMOS=all ENV= RUN= PRESET= DEVICE= ARGS=]
	$(GO) imitate $(IMITATE) --run $(call said,RUN) --device $(call said,DEVICE) $(if $(DEMO),--demo $(call said,DEMO)) $(ARGS)

evaluate: install ## run a saved policy again [DEMO= RUN= DEVICE= ARGS=]
	$(GO) evaluate --run $(call said,RUN) --device $(call said,DEVICE) $(if $(DEMO),--demos $(call said,DEMO)) $(ARGS)

follow: install ## show a video, and the robot follows at once: no learning [DEMO= RUN= DEVICE= ARGS=]
	$(GO) follow --run $(call said,RUN) --device $(call said,DEVICE) $(if $(DEMO),--demo $(call said,DEMO)) $(ARGS)

check-reward: install ## does the learned reward rank poses as the truth does? [ENV= DEMO= RUN= DEVICE= ARGS=]
	$(GO) check-reward $(if $(ENV),$(ELSEWHERE)) --run $(call said,RUN) --device $(call said,DEVICE) $(if $(DEMO),--demo $(call said,DEMO)) $(ARGS)

benchmark-imitation: install ## five held-out demonstrations, several methods and seeds [RUN= PRESET= ARGS=]
	$(GO) benchmark-imitation $(call said,PRESET) --run $(call said,RUN) $(ARGS)

benchmark-environments: install ## other people's environments learn from a video, five seeds [RUN= ARGS=]
	$(GO) benchmark-environments --run $(call said,RUN) $(ARGS)

benchmark-follow: install ## a hundred demonstrations that nothing has seen, followed at once [RUN= PRESET= ARGS=]
	$(GO) benchmark-follow $(call said,PRESET) --run $(call said,RUN) $(ARGS)

gallery: install ## twenty demonstrations that nothing has seen, on one page beside the robot [RUN= ARGS=]
	$(GO) benchmark-follow gallery --run $(call said,RUN) $(ARGS)

bench: install ## how fast: each stage beside its limit, into results/bench.csv [RUN= PRESET= DEVICE= ARGS=]
	$(GO) bench $(call said,PRESET) --run $(call said,RUN) --device $(call said,DEVICE) $(if $(call same,$(PRESET),default),--out results/bench.csv) $(ARGS)

torture: install ## killed, damaged, lied to, worn out: what must be 0, into results/torture.csv [RUN= PRESET= ARGS=]
	$(GO) torture $(call said,PRESET) --run $(call said,RUN) $(if $(call same,$(PRESET),default),--out results/torture.csv) $(ARGS)

report: install ## the run on one page that opens offline, report.html [RUN= ARGS=]
	$(GO) report --run $(call said,RUN) $(ARGS)

test: install ## all tests [ARGS=]
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-fast: install ## the quick tests: without those that train, install, or take longer [ARGS=]
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow" $(ARGS)

lint: install ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install ## put into style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: install ## types
	$(BIN)/mypy

check: lint type test ## everything that must be green [ARGS=]

docs: install ## these pages as a site, in build/docs
	$(BIN)/python -m sphinx -W --keep-going --quiet --fresh-env --write-all docs build/docs

build: install ## wheel and source distribution, in dist/
	$(BIN)/python -m build --quiet

clean: ## remove what was built; runs stay
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What a goal takes stands in brackets behind it. What it would not look at is refused.
GOALS := $(filter $(PHONY),$(MAKECMDGOALS))
TAKEN := $(if $(and $(GIVEN),$(GOALS)),$(shell sed -nE '$(foreach goal,$(GOALS),s/^$(goal):.*\[(.*)\]$$/\1/p;)' Makefile))
$(foreach name,$(GIVEN),$(if $(GOALS),$(if $(filter $(name)=%,$(TAKEN)),,$(error make $(GOALS) takes no $(name): expected $(or $(TAKEN),no variable)))))
