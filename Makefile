# `make help` lists the targets. The environment in .venv is created on first use.
PYTHON ?= python3
BIN := .venv/bin
CONSTRAINTS := .ci/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo experiments test test-fast check bench peers clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## install everything into .venv (downloads about 3 GB)

.venv/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("anirec needs Python 3.11 to 3.13; this is " + sys.version.split()[0] + ". Choose another with: make setup PYTHON=python3.12")'
	@echo "1 of 2: creating .venv"
	$(PYTHON) -m venv .venv
	@echo "2 of 2: downloading and installing packages, about 3 GB; this takes some minutes"
	$(BIN)/python -m pip install --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

demo: setup  ## train eleven models on generated ratings, titles and posts, and compare them (about a minute)
	@echo "Training eleven models on generated ratings, titles and posts: about a minute on two cores."
	$(BIN)/anirec run -m dataset=demo_ratings model=popularity,bias,item_knn,ease,svd,svdpp
	$(BIN)/anirec run -m dataset=demo_corpus dataset.source.n_titles=600 model=mean,tfidf_ridge,fusion_ridge
	$(BIN)/anirec run -m dataset=demo_tags model=tag_median,tag_pca_ols
	$(BIN)/anirec compare outputs/demo_ratings outputs/demo_corpus outputs/demo_tags
	$(BIN)/anirec recommend "$$(ls -d outputs/demo_ratings/ease/*/ | tail -n 1)" --user 1 -k 5

experiments: setup  ## run the published studies on the available data
	for study in peerj2025_popularity cs4120_recommendation safebooru_tags anime_alchemy_svd malsugoi; do $(BIN)/anirec study $$study || exit 1; done

test: setup  ## run all tests, on two cores
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: setup  ## run unit tests and doctests, except those that are slow or need real dumps
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not real_data' tests/unit anirec

check: setup  ## check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## compare speed and memory with Surprise and scikit-learn
	$(BIN)/python -m experiments.benchmarks
	$(BIN)/python -m experiments.benchmarks.tags
	$(BIN)/python -m experiments.benchmarks.ncf
	$(BIN)/python -m experiments.benchmarks.startup

peers: setup .peers/ready  ## compare with implicit, LensKit, RecTools and Surprise
	$(BIN)/python -m experiments.benchmarks.peers --python .peers/bin/python

.peers/ready: experiments/benchmarks/peers.txt
	$(PYTHON) -m venv .peers
	.peers/bin/python -m pip install --requirement $<
	touch $@

clean:  ## remove the virtual environment
	rm -rf .venv
