# make demo: graft, train and measure on the embedded default.  make test: the tests.  Without make: README.md.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

.PHONY: demo test lint
demo: .venv/ready
	$(BIN)/python tutorial_train.py --config models/train_tiny.yaml

test: .venv/ready
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pytest -q --durations=10

.venv/ready: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv \
		&& $(BIN)/python -m uv pip install --quiet --python $(BIN)/python -r requirements.txt -r requirements-dev.txt \
		|| $(BIN)/python -m pip install --quiet -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -c "open('.venv/ready', 'w').close()"
