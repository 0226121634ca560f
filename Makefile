# `make demo` and `make test` need python3 (3.11), gcc, cmake and make; all else comes from wheels.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
SEED ?= 0
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup demo toy test check docs wheel clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv  # also mends one whose making was interrupted
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || docker/kenlm.sh $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/unsup-asr run demo seed=$(SEED)
	$(BIN)/unsup-asr report demo

toy: setup
	$(BIN)/unsup-asr run toy seed=$(SEED)
	$(BIN)/unsup-asr report toy

test: setup  # files side by side, 2.5 GB a process
	$(BIN)/python -m pytest -q --numprocesses auto --maxprocesses 4 --dist loadfile

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: setup  # the site, in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

wheel: setup  # built, installed beside the dependencies alone, and tried away from the repository
	tests/wheel.sh

# The environment and finished experiments stay; remove .venv and exp yourself.
clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find segmentation gan lm unsup_asr tests -name __pycache__ -type d -prune -exec rm -rf {} +
