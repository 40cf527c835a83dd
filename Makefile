# `make demo` and `make test` set up all they need on a fresh machine with Python 3.11 or later.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

SAMPLE   := tests/books/the-salt-road.epub
QUESTION := What did Rusk ask for instead of the toll?

.PHONY: demo test test-slow test-browser lint bench bench-peers readme model clean

demo: $(VENV)/runtime
	$(BIN)/squadlite ask $(SAMPLE) "$(QUESTION)"

test: $(VENV)/development
	$(BIN)/pytest

test-slow: $(VENV)/development
	$(BIN)/pytest -m slow

# Needs chromium: apt-get install chromium
test-browser: $(VENV)/browser
	$(BIN)/pytest -m browser tests/browser

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Needs ../shared: real books, their questions, the checkpoint and the data it is scored on.
RESULTS    := benchmarks/results
CHECKPOINT := ../shared/checkpoints/minilm-l6-squad2
DATA       := ../shared/data
# The default model as it was trained, before it was made smaller.
TRAINED    := build/trained.sqz

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks.codecs | tee /dev/stderr | tail -n 1 > $(RESULTS)/codecs.json
	$(BIN)/python -m benchmarks.books ../shared/books $(DATA)/book-questions \
		$(DATA)/book-questions-valid --plot docs/risk_coverage.png \
		| tee /dev/stderr | tail -n 1 > $(RESULTS)/books.json
	$(BIN)/python -m benchmarks.start_to_answer ../shared/books/silas-marner.epub \
		"How old is Eppie when she is found?" "Who is the father of Eppie?" \
		"What is the name of the inn in Raveloe?" \
		| tee /dev/stderr | tail -n 1 > $(RESULTS)/start_to_answer.json
	mkdir -p build && git show 085b062:squadlite/models/default.sqz > $(TRAINED)
	$(BIN)/python -m benchmarks.frontier $(TRAINED) \
		--data $(DATA)/cs224n-dev-v2.0.json --calibration $(DATA)/train-mix-v2.0.json \
		--calibration $(DATA)/books-train-v2.0.json --plot docs/frontier.png
	$(BIN)/python -m benchmarks.size_accuracy $(TRAINED) \
		--data $(DATA)/cs224n-dev-v2.0.json --corpus $(DATA)/train-mix-v2.0.json
	$(BIN)/squadlite eval squadlite/models/default.sqz $(DATA)/cs224n-dev-v2.0.json \
		--compute auto --json > $(RESULTS)/squad.json
	$(BIN)/python -m tools.tables --base mpnet-base \
		$(addprefix --report ,$(wildcard build/paper-mpnet/report.json)) --json \
		> $(RESULTS)/tables_mpnet.json
	$(BIN)/python -m benchmarks.growth ../shared/books $(DATA)/book-questions --ask \
		| tee /dev/stderr | tail -n 1 > $(RESULTS)/growth.json

# The same weights in other libraries, and training beside transformers'. Run it on a quiet machine.
bench-peers: $(VENV)/bench
	$(BIN)/squadlite bench squadlite/models/default.sqz --peers --threads 1,2 --length 128,384 \
		--book ../shared/books/the-time-machine.epub --question "What colour is Filby's hair?" \
		--questions $(DATA)/cs224n-dev-v2.0.json \
		--json $(RESULTS)/runtimes.json --plot docs/bench.png
	$(BIN)/python -m benchmarks.training $(CHECKPOINT) --data $(DATA)/train-mix-v2.0.json \
		| tee /dev/stderr | tail -n 1 > $(RESULTS)/training.json
	$(BIN)/python -m benchmarks.training $(CHECKPOINT) --data $(DATA)/train-mix-v2.0.json \
		--questions 400 --memory-steps 2000 --batch-size 2 --threads 1 --dropout 0.1 \
		| tee /dev/stderr | tail -n 1 > $(RESULTS)/training_memory.json

readme: $(VENV)/development
	$(BIN)/python -m benchmarks.report

# Trains a default model: an hour and a half on two cores. Needs ../shared.
model: $(VENV)/development
	$(BIN)/python -m tools.recipe recipes/books.toml
	cp build/books/default.sqz squadlite/models/default.sqz

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/runtime: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/development: $(VENV)/runtime
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/browser: $(VENV)/development
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,serve,browser]'
	touch $@

$(VENV)/bench: $(VENV)/development
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	touch $@
