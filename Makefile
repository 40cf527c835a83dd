# `make demo` and `make test` set up all they need on a fresh machine with Python 3.11 or later.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

SAMPLE   := tests/books/the-salt-road.epub
QUESTION := Who keeps the lighthouse?

.PHONY: demo test test-slow lint bench clean

demo: $(VENV)/runtime
	$(BIN)/squadlite ask $(SAMPLE) "$(QUESTION)"

test: $(VENV)/development
	$(BIN)/pytest

test-slow: $(VENV)/development
	$(BIN)/pytest -m slow

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/development
	$(BIN)/python -m benchmarks.codecs
	$(BIN)/python -m benchmarks.books ../shared/books ../shared/data/book-questions
	$(BIN)/python -m benchmarks.start_to_answer $(SAMPLE) "$(QUESTION)"

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/runtime: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/development: $(VENV)/runtime
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
