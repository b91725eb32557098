# Every target sets up what it needs first. `make help` lists them; CONTRIBUTING.md says how to work.

STACK ?= local
# What is given is data: taken as it is written, never expanded or run, checked by toolchain/require before use.
override STACK := $(value STACK)
override MODEL := $(value MODEL)
override RELEASE := $(value RELEASE)
override COMMIT := $(value COMMIT)
override FORCE := $(value FORCE)
override UNTIL := $(value UNTIL)
override NAME := $(value NAME)
override KIND := $(value KIND)
override OFFLINE := $(value OFFLINE)
export STACK MODEL RELEASE COMMIT FORCE UNTIL NAME KIND OFFLINE

.DEFAULT_GOAL := help
.PHONY: help up preview policy scan promote release changed expectations rebuild card new-model status logs down clean test check bench demo lock cluster cluster-down airflow kubeflow
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || sed -n 's/^\([a-z-]*\):.* ## /  make \1  /p' Makefile
	@echo '  STACK=local, dev, staging or prod chooses the stack of up, preview, scan, promote, status, logs and down (local unless given).'

up: ## set up what is missing, then bring the stack to what its config says
	@toolchain/require up STACK
	@exec toolchain/run python -m pipelines up --stack "$$STACK"

preview: ## [OFFLINE=1]: show what `make up` would change, with the evidence; offline it asks no account, cluster or network
	@toolchain/require preview STACK OFFLINE
	@exec toolchain/run python -m pipelines preview --stack "$$STACK" $${OFFLINE:+--offline}

policy: ## [OFFLINE=1]: the same, held against the rules of what no stack may do; dev, staging and prod always are
	@toolchain/require policy STACK OFFLINE
	@exec toolchain/run python -m pipelines preview --policy --stack "$$STACK" $${OFFLINE:+--offline}

scan: ## what checkov, kube-score and parliament find in all that the stack declares, offline; each finding is mended or waived
	@toolchain/require scan STACK
	@exec toolchain/run python -m pipelines scan --stack "$$STACK"

promote: ## MODEL=iris RELEASE=2 [COMMIT=1]: edit the number, preview, up; put the number back if it aborts
	@toolchain/require promote MODEL RELEASE COMMIT STACK
	@exec toolchain/run python -m pipelines promote "$$MODEL" "$$RELEASE" --stack "$$STACK" $${COMMIT:+--commit}

release: ## MODEL=iris [FORCE=1] [UNTIL=YYYY-MM-DD]: make a new release with the pipeline
	@toolchain/require release MODEL FORCE UNTIL STACK
	@exec toolchain/run --without-engine python -m pipelines release "$$MODEL" --stack "$$STACK" $${FORCE:+--force} $${UNTIL:+--until "$$UNTIL"}

changed: ## [MODEL=iris]: which models need a release, and why: new data, new code, a new environment
	@toolchain/require changed STACK $${MODEL:+MODEL}
	@exec toolchain/run --without-engine python -m pipelines changed --stack "$$STACK" $${MODEL:+"$$MODEL"}

expectations: ## MODEL=iris [UNTIL=YYYY-MM-DD]: what data must be like, made anew from the data of now; read it, then commit it
	@toolchain/require expectations MODEL UNTIL
	@exec toolchain/run --without-engine python -m pipelines expectations "$$MODEL" $${UNTIL:+--until "$$UNTIL"}

rebuild: ## MODEL=iris RELEASE=3: make a release again from its snapshot and commit, and compare
	@toolchain/require rebuild MODEL RELEASE STACK
	@exec toolchain/run --without-engine python -m pipelines rebuild "$$MODEL" "$$RELEASE" --stack "$$STACK"

card: ## MODEL=iris RELEASE=2: where the page with all evidence of a release lies
	@toolchain/require card MODEL RELEASE STACK
	@exec toolchain/run --without-engine python -m pipelines card "$$MODEL" "$$RELEASE" --stack "$$STACK"

new-model: ## NAME=churn [KIND=tabular|text|regression]: a model folder that can be released at once
	@toolchain/require new-model NAME KIND
	@exec toolchain/run --without-engine python -m pipelines new-model "$$NAME" $${KIND:+"$$KIND"}

status: ## what serves, with how much traffic, and how healthy it is
	@toolchain/require status STACK
	@exec toolchain/run --without-engine python -m pipelines status --stack "$$STACK"

logs: ## [MODEL=iris]: the last lines of what runs
	@toolchain/require logs STACK $${MODEL:+MODEL}
	@exec toolchain/run --without-engine python -m pipelines logs --stack "$$STACK" $${MODEL:+"$$MODEL"}

down: ## stop everything of the stack; releases and config stay
	@toolchain/require down STACK
	@exec toolchain/run python -m pipelines down --stack "$$STACK"

cluster: ## a real one-node Kubernetes cluster on this machine (Linux, root), for STACK=cluster
	@exec toolchain/run --without-engine python -m toolchain.cluster up

cluster-down: ## end that cluster; nothing of it is left
	@exec toolchain/run --without-engine python -m toolchain.cluster down

airflow: ## Airflow on this machine, with a DAG for each model that makes its releases
	@exec toolchain/run --without-engine python -m toolchain.orchestrators airflow standalone

kubeflow: ## MODEL=iris [UNTIL=YYYY-MM-DD]: make a release as a Kubeflow pipeline, on this machine
	@toolchain/require kubeflow MODEL UNTIL STACK
	@exec toolchain/run --without-engine python -m toolchain.orchestrators kubeflow run "$$MODEL" --stack "$$STACK" $${UNTIL:+--until "$$UNTIL"}

clean: ## down, then remove all that was made in this folder: .local (releases too), .venv, caches
	@if [ -d .local ]; then toolchain/run python -m pipelines down --stack local; fi
	@if [ -d .cluster ]; then toolchain/run --without-engine python -m toolchain.cluster down; fi
	@rm -rf .local .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

test: ## every test, phase by phase
	@exec toolchain/run python -m toolchain.phases

check: ## what must hold before a commit: ruff, mypy --strict, the repository's contracts
	@exec toolchain/run --without-engine python -m toolchain.check

bench: ## measure speed and memory, as ratios; PARTS=cluster: promotions in the running cluster
	@exec toolchain/run python -m tests.bench $(PARTS)

demo: ## the journey from a first release to a promotion and a return, narrated
	@exec toolchain/run python -m pipelines demo

lock: ## pin the requirements anew from their .in files
	@exec toolchain/run --without-engine python -m toolchain.pins
