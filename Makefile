# Two commands on a fresh clone: `make demo` and `make test`. Both set up .venv first, with the versions of
# constraints.txt; `pip install .` alone takes the ranges of pyproject.toml.
PYTHON ?= python3
BIN := .venv/bin
# .venv keeps its Python until PYTHON= names another one.
INSTALL := "$(PYTHON)" tools/install.py $(if $(filter file,$(origin PYTHON)),,--this-python)
export PIP_REQUIRE_VIRTUALENV = 1

.PHONY: demo test check install install-demo clean

demo: install-demo
	$(BIN)/lsu-seg demo $(ARGS)

test: install check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lsu-onto validate --strict taxonomies
	$(BIN)/python tools/check_constraints.py

install:
	@$(INSTALL) dev

install-demo:
	@$(INSTALL) demo

clean:
	rm -rf .venv work .pytest_cache .mypy_cache .ruff_cache .hypothesis
