.DEFAULT_GOAL := help
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := data/demo/shop.toml
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help report test quick proof lab bench format lint lock clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*##/\1:/p' Makefile | awk -F: '{printf "  make %-8s %s\n", $$1, $$2}'

report: $(VENV)/.ready $(DEMO)  ## install, simulate the demo shop, run every notebook, print the report's path
	@$(BIN)/cdp weekly --shop $(DEMO)

test: $(VENV)/.ready-test  ## the whole test suite
	$(BIN)/ruff check .
	$(BIN)/pytest -n 2 -m "not proof"

quick: $(VENV)/.ready-test  ## a short run: a small demo week and the fast tests
	$(BIN)/cdp simulate --out data/quick --customers 2000 --weeks 30 --seed 7
	$(BIN)/cdp weekly --shop data/quick/shop.toml --out reports/quick
	$(BIN)/pytest -n 2 -m "not proof and not spark and not browser and not slow"

proof: $(VENV)/.ready-test  ## the long simulations that hold the error rates, and the long Spark tests
	$(BIN)/pytest -n 2 -m proof

lab: $(VENV)/.ready $(DEMO)  ## JupyterLab on the notebooks, kernel ready
	$(BIN)/jupyter lab notebooks $(LAB)

bench: $(VENV)/.ready-test  ## speed and quality beside peers
	$(BIN)/python benchmarks/run.py --sizes 1,10,100

format: $(VENV)/.ready-test  ## format the code and normalise the notebooks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/format_notebooks.py

lock: $(VENV)/.ready-test  ## write constraints.txt anew from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --quiet \
	  --upgrade --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --output-file constraints.txt

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) data/demo data/quick reports/*

$(VENV)/.ready: pyproject.toml constraints.txt tools/setup.sh
	@sh tools/setup.sh $(VENV)
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	@sh tools/setup.sh $(VENV) "[test]"
	@touch $@

$(DEMO): | $(VENV)/.ready
	@$(BIN)/cdp simulate --out data/demo --customers 20000 --weeks 52 --seed 7
