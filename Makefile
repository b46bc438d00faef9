# Five words cover daily work: demo, test, check, bench, docs. A fresh machine needs nothing before them but Python 3.11.
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 0
.PHONY: demo test check bench docs model lock

# The lock pins torch without hash or index lines, so that a CPU build found by pip's own configuration is taken.
.venv/done: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch .venv/done

demo: .venv/done
	$(BIN)/winnow demo

test: .venv/done
	$(BIN)/python -m pytest -q

check: .venv/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
