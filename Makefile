# anirec: `make help` lists what there is. Everything is set up in .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
CONSTRAINTS := .ci/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo experiments test test-fast check bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## a virtual environment with everything, in .venv (once; downloads about 3 GB)

.venv/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("anirec needs Python 3.11 to 3.13; this is " + sys.version.split()[0] + ". Name another: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

demo: setup  ## twelve models on generated ratings, titles and posts, then their comparison
	$(BIN)/anirec run -m dataset=demo_ratings model=popularity,bias,item_knn,ease,svd,svdpp
	$(BIN)/anirec run -m dataset=demo_corpus dataset.source.n_titles=600 model=mean,tfidf_ridge,fusion_synopsis,fusion
	$(BIN)/anirec run -m dataset=demo_tags model=tag_median,tag_pca_ols
	$(BIN)/anirec compare outputs/demo_ratings outputs/demo_corpus outputs/demo_tags

experiments: setup  ## the published studies, on whatever data is there
	for study in peerj2025_popularity cs4120_recommendation safebooru_tags anime_alchemy_svd malsugoi; do $(BIN)/anirec study $$study || exit 1; done

test: setup  ## all tests, on two cores
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: setup  ## unit tests and doctests, without those that are slow or read real dumps
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not real_data' tests/unit anirec

check: setup  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## speed and memory beside Surprise and scikit-learn, measured in one run
	$(BIN)/python -m experiments.benchmarks
	$(BIN)/python -m experiments.benchmarks.tags
	$(BIN)/python -m experiments.benchmarks.ncf

clean:  ## remove the virtual environment
	rm -rf .venv
