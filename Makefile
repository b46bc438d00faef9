# A fresh machine needs nothing before these but Python 3.11: the first target that is asked for sets everything up.
#
#   make demo     watch the loop on the bundled model             make check    ruff and mypy
#   make test     the whole suite                                 make bench    the measurements of docs/log.md
#   make model SEED=0    grow the bundled model from scratch      make lock     pin the newest dependencies
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 0
PIP := $(BIN)/pip --quiet --disable-pip-version-check
.PHONY: demo test check bench model lock

# The lock pins torch without hash or index lines, so that a CPU build known to pip is taken; torch goes first, so that
# nothing else asks for a larger one.
.venv/done: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) install "$$(grep '^torch==' requirements.lock)"
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch .venv/done

demo: .venv/done
	$(BIN)/winnow demo

test: .venv/done
	$(BIN)/python -m pytest -q

check: .venv/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/done
	$(BIN)/python -m benchmarks.adaption
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.engine

model: .venv/done
	$(BIN)/python -m world --seed $(SEED)

lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet torch==2.13.0
	build/lock/bin/pip install --quiet setuptools -e '.[dev,trackers,postgres]'
	build/lock/bin/pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu//' > requirements.lock
