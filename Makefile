# The first target is the default. Variables: STACK, RUNG, PYTHON; the others are in `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
STACK ?= local
RUNG ?=

# What a person names on the command line (make up TTS_API_PORT=7580) is for the programs that run below.
export TTS_LOCAL_DIR TTS_API_PORT TTS_S3_PORT TTS_SUBNET TTS_VPC_RANGE TTS_PLUGIN_DIR TTS_MIN_FREE_GB TTS_DEBIAN_MIRROR

BOOTSTRAP := $(PYTHON) -m toolchain.bootstrap
IN_ENVIRONMENT := .local/venv/bin/python -m

.PHONY: up
up: ## Bring a stack up on the local cloud, with its first verified backup (STACK=local, RUNG=single)
	@$(BOOTSTRAP)
	@$(IN_ENVIRONMENT) toolchain.local up --stack $(STACK) $(if $(RUNG),--rung $(RUNG))

.PHONY: preview
preview: ## Show what `make up` would change on a stack
	@$(BOOTSTRAP)
	@$(IN_ENVIRONMENT) toolchain.local preview --stack $(STACK) $(if $(RUNG),--rung $(RUNG))

.PHONY: shell
shell: ## Open a shell in which plain `pulumi` and `tts` work on the local cloud
	@$(IN_ENVIRONMENT) toolchain.local shell

.PHONY: down
down: ## Remove the local cloud, its hosts and buckets, and its Pulumi state
	@$(BOOTSTRAP) --python >/dev/null
	@$(IN_ENVIRONMENT) toolchain.local down

.PHONY: bootstrap
bootstrap: ## Find, install or build what is missing, and nothing more
	@$(BOOTSTRAP)

.PHONY: test
test: ## Run every check and every test, on a local cloud of their own (ARGS="-k word" for some)
	@$(BOOTSTRAP) --tests
	@$(IN_ENVIRONMENT) toolchain.check $(if $(ARGS),-- $(ARGS))

.PHONY: rehearse
rehearse: ## Lose a host and rebuild it, go up to balanced and down with everything killed once, switch stacks: over an hour
	@$(MAKE) test ARGS="-m rehearsal"

.PHONY: bench
bench: ## Measure the running stack `local` and two of its own, and write docs/reference/performance.md (an hour)
	@$(IN_ENVIRONMENT) bench.walking
	@$(IN_ENVIRONMENT) bench.backups
	@$(IN_ENVIRONMENT) bench.climb

.PHONY: lint
lint: ## Run the checks that need no run: ruff, pyright, shellcheck, shfmt
	@$(BOOTSTRAP) --python --lint >/dev/null
	@$(IN_ENVIRONMENT) toolchain.check --lint-only

.PHONY: fmt
fmt: ## Format Python and shell files
	@$(BOOTSTRAP) --python --lint >/dev/null
	@$(IN_ENVIRONMENT) toolchain.check --format

.PHONY: clean
clean: ## Remove .local: local cloud, Pulumi state, environment, logs
	@if [ -d .local ]; then $(BOOTSTRAP) --python >/dev/null && $(IN_ENVIRONMENT) toolchain.local clean; fi

.PHONY: clean-all
clean-all: ## Remove .local and the user's cache of built tools and images
	@$(BOOTSTRAP) --python >/dev/null
	@$(IN_ENVIRONMENT) toolchain.local clean-all

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
