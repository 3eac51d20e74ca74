# make demo: graft, train and measure on the embedded default.  Without make: README.md.
# make tryon: the same for try-on.
# make check: in a minute or so, while you change code.  make test: everything, before you hand it on.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

# a process for each core; each takes 1 to 2 GiB of memory
PROCESSES := -n logical --maxprocesses 8
# what needs no training, server or browser
QUICK := $(addprefix tests/,test_layout.py test_environment.py annotator/imaterialist jobs ldm pictures) \
	$(addprefix --ignore=tests/jobs/,test_processes.py test_processes_ends.py)

.PHONY: demo tryon check test lint
demo: .venv/ready
	$(BIN)/python tutorial_train.py --config models/train_tiny.yaml

tryon: .venv/ready
	$(BIN)/python tutorial_train.py --config models/train_tryon_tiny.yaml

check: lint
	$(BIN)/python -m pytest -q $(PROCESSES) $(QUICK)

test: lint
	$(BIN)/python -m pytest -q $(PROCESSES) --durations=10

lint: .venv/ready
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

.venv/ready: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv \
		&& $(BIN)/python -m uv pip install --quiet --python $(BIN)/python -r requirements.txt -r requirements-dev.txt \
		|| $(BIN)/python -m pip install --quiet -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -c "open('.venv/ready', 'w').close()"
