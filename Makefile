# The front door: every target sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

DATA ?= data/corpus
MODEL ?= models/current
VERSION ?=
NEW ?=
PORT ?=
SWEEP ?= sweep
ARGS ?=

.PHONY: help setup train resume sweep evaluate verify robustness bench bench-train bench-serve compare promote rollback check \
  serve notebooks test test-notebooks million soak lint format openapi sbom audit clean

help: ## Say what the targets do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(READY) ## Make the environment in .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "expected Python 3.11 or newer, found %d.%d; run make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

train: $(READY) ## Fine-tune on DATA, publish under models/ (ARGS: flags of `asif-train fit`)
	$(BIN)/asif-train fit --data $(DATA) $(ARGS)

resume: $(READY) ## Go on with a fine-tuning that was stopped
	$(BIN)/asif-train fit --data $(DATA) --resume $(ARGS)

evaluate: $(READY) ## Judge MODEL on the test split of DATA
	$(BIN)/asif-train evaluate $(MODEL) --data $(DATA) $(ARGS)

verify: $(READY) ## Judge MODEL again: does report.json say what is found?
	$(BIN)/asif-train verify $(MODEL) --data $(DATA) $(ARGS)

robustness: $(READY) ## Put the robustness suite to MODEL, a test for each border, transform and direction
	ASIF_ROBUSTNESS_MODEL=$(MODEL) $(BIN)/python -m pytest -m robustness -rs tests/train/test_robustness.py $(ARGS)

sweep: $(READY) ## Try recipes, judge them on the validation split, and write the best to SWEEP/best.yaml; goes on where it was
	$(BIN)/asif-train sweep --data $(DATA) --out $(SWEEP) $(ARGS)

bench: bench-train bench-serve ## Both benchmarks

bench-train: $(READY) ## Time fine-tuning beside the Trainer's defaults
	$(BIN)/asif-train bench --data $(DATA) $(ARGS)

bench-serve: $(READY) ## Measure the server of MODEL beside others, about 10 min; the figures go to serve/BENCHMARK.md
	$(BIN)/python -m serve.bench --model $(MODEL) --data $(DATA) $(ARGS)

compare: $(READY) ## Put the test split of DATA to NEW, a model directory, and to the model in service
	$(BIN)/asif-train compare $(NEW) --data $(DATA) $(ARGS)

promote: $(READY) ## Put VERSION in service, if it is not worse on the test split of DATA
	$(BIN)/asif-train promote $(VERSION) --data $(DATA) $(ARGS)

rollback: $(READY) ## Put the version before in service again
	$(BIN)/asif-train rollback $(ARGS)

check: $(READY) ## Check the rows of DATA
	$(BIN)/asif-data check $(DATA) $(ARGS)

serve: $(READY) ## Serve models/current on PORT; fine-tunes first if there is no model
	@$(BIN)/asif-train current >/dev/null 2>&1 || $(BIN)/asif-train fit
	$(BIN)/asif-serve $(if $(PORT),--port $(PORT))

notebooks: $(READY) ## Run the notebooks on MODEL and keep their figures (ARGS: one notebook, or --fast to try them out)
	$(BIN)/asif-train notebooks --model $(MODEL) $(ARGS)

test: $(READY) ## The tests
	$(BIN)/python -m pytest $(ARGS)

million: $(READY) ## A million rows through import, check and tokenizing, and how much memory each takes
	$(BIN)/python -m pytest -m million -s tests/test_memory.py $(ARGS)

test-notebooks: $(READY) ## Run the notebooks on a small model: does every cell run?
	$(BIN)/python -m pytest -m notebooks tests/notebooks $(ARGS)

soak: $(READY) ## Load, faults and swaps on a server of MODEL, about 8 min (ASIF_SOAK_SECONDS, ASIF_SOAK_REQUESTS)
	ASIF_SOAK_MODEL=$(MODEL) $(BIN)/python -m pytest -m soak tests/serve/test_soak.py $(ARGS)

lint: $(READY) ## Style, types, and which room may know which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(READY) ## Mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: $(READY) ## Write serve/openapi.json again
	$(BIN)/python -c 'from pathlib import Path; from asif_serve.app import openapi_document; Path("serve/openapi.json").write_text(openapi_document(), encoding="utf-8")'

sbom: $(READY) ## List what is installed, for those who must know: dist/sbom.json (CycloneDX)
	mkdir -p dist
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --of JSON -o dist/sbom.json

audit: $(READY) ## Ask whether a pinned package has a known hole; says so where no one can be asked
	$(BIN)/python .ci/audit

clean: ## Remove the environment and caches; models stay
	rm -rf $(VENV) .bench dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
