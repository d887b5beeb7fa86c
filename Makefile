# Two commands on a fresh clone: `make demo` and `make test`. Both set up .venv first, with the versions of
# constraints.txt; `pip install .` alone takes the ranges of pyproject.toml.
PYTHON ?= python3
BIN := .venv/bin
# .venv keeps its Python until PYTHON= names another one.
INSTALL := "$(PYTHON)" tools/install.py $(if $(filter file,$(origin PYTHON)),,--this-python)
# Networks of the tests are tiny: a worker of one thread per core is quicker than threads that wait for each other.
# The processes that tests start would otherwise compile our modules anew, each of them.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
export PIP_REQUIRE_VIRTUALENV = 1

.PHONY: demo test test-all test-stacks check docs release-check install install-demo install-docs install-release gpu-bundle clean

demo: install-demo
	$(BIN)/lsu-seg demo $(ARGS)

test: install check
	$(PYTEST) $(ARGS)

# With what repeats a behaviour at a larger size, or with all of its examples.
test-all: install check
	$(PYTEST) -m "slow or not slow" --hypothesis-profile full $(ARGS)

# A part of the tests on every Python and on the OpenMMLab originals, each in an environment in work/stacks.
test-stacks: install
	$(BIN)/python tools/stacks.py $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lsu-onto validate --strict taxonomies
	$(BIN)/lsu-onto check-maps --strict taxonomies
	$(BIN)/python tools/check_constraints.py

# The documentation as a website in `site`, from installed packages alone; it opens from disk, too.
docs: install-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	$(BIN)/python tools/website/check.py site

# Whether a release could be made of this commit; its files are in `dist` then (docs/releasing.md).
release-check: install-release
	$(BIN)/python tools/release_check.py

# What tools/gpu_check.py needs on a machine with a GPU and without network.
gpu-bundle: install
	$(BIN)/python tools/gpu_bundle.py $(ARGS)

install:
	@$(INSTALL) dev

install-demo:
	@$(INSTALL) demo

install-docs:
	@$(INSTALL) docs

install-release:
	@$(INSTALL) release

clean:
	rm -rf .venv .gpu-bundle work site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
