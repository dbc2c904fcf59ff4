# make demo   installs, trains on the built-in corpus for a minute, prints a sample
# make test   installs and runs the tests
# make pictures   makes the pictures of the README anew, with the tests of the page
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DONE   := $(VENV)/.installed

.PHONY: demo test starter pictures

demo: $(DONE)
	$(BIN)/chargen train --minutes 1 --out checkpoints/demo --overwrite
	@echo
	$(BIN)/chargen sample --model checkpoints/demo --prompt "The " --seed 1

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
