# The two commands of the README are `make demo` and `make test`; both set themselves up in .venv.
VENV ?= .venv
PY := $(VENV)/bin/python
DEMO ?= demo
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_CONSTRAINT = $(CURDIR)/constraints.txt

.PHONY: demo test lint types contracts unit closures bench constraints clean

$(VENV)/.run: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(PY) -m pip install -q -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PY) -m pip install -q -e '.[dask,dev]'
	touch $@

demo: $(VENV)/.run
	$(VENV)/bin/vison-etl demo --out $(DEMO)

test: lint types contracts unit

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy

contracts: $(VENV)/.dev
	$(VENV)/bin/lint-imports

unit: $(VENV)/.dev
	$(PY) -m pytest -n 2 --dist loadscope

closures: $(VENV)/.dev
	$(PY) -m pytest -n 2 --dist loadscope -m lengthy

bench: $(VENV)/.dev
	$(PY) -m benchmarks

constraints: $(VENV)/.dev
	$(PY) -m pip freeze --exclude-editable | LC_ALL=C sort -f > constraints.txt

clean:
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
