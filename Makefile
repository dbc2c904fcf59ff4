# make demo   installs, trains on the built-in corpus for a minute, prints a sample
# make check  installs, then lint, types, imports and the fast tests, in less than two minutes
# make test   installs and runs all tests
# make pictures   makes the pictures of the README anew, with the tests of the page
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DONE   := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev

.PHONY: demo check lint fast test starter pictures

demo: $(DONE)
	$(BIN)/chargen train --minutes 1 --out checkpoints/demo --overwrite
	@echo
	$(BIN)/chargen sample --model checkpoints/demo --prompt "The " --seed 1

check: $(DEV)
	$(MAKE) --no-print-directory --jobs 2 lint fast

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

fast: $(DEV)
	$(BIN)/python -m pytest -q -m "not slow and not whole"

test: $(DONE)
	$(BIN)/python -m pytest

pictures: $(DONE)
	$(BIN)/python -m pytest tests/web/test_page.py
	cp tests/web/screenshots/write-light.png docs/write.png
	cp tests/web/screenshots/train.png docs/train.png
	cp tests/web/screenshots/inside-surprise.png docs/inside.png

# Trains the starter model that comes with the package, its weights in 16 bits.
starter: $(DONE)
	$(BIN)/chargen train python-docs --minutes 5 --out checkpoints/starter --overwrite
	$(BIN)/python -c 'import chargen; chargen.TextGenerator.load("checkpoints/starter").save("chargen/starter", half=True)'

# torch first, and alone: whatever depends on it then finds the pinned build in place.
$(DONE): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

$(DEV): $(DONE)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
