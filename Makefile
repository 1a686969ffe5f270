# Everything a newcomer types. Needs python3 (3.11 or newer), make and git; nothing else.
PYTHON ?= python3
# The accelerator to install for: cpu, cuda or tpu.
DEVICE ?= cpu
# Huge pages on Linux: a training step on CPU takes a fifth less time. Other systems ignore it.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
VENV := .venv
PARITY_VENV := .venv-parity
READERS_VENV := .venv-readers
BENCH_VENV := .venv-bench
DOCS_VENV := .venv-docs
BIN := $(VENV)/bin
RUN_REQUIREMENTS := requirements/$(DEVICE).txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: install quickstart test test-long test-parity test-readers benchmark accelerator docs lint format requirements clean
.DELETE_ON_ERROR:

install: $(VENV)/.installed-$(DEVICE)

$(VENV)/.installed-$(DEVICE): $(RUN_REQUIREMENTS) pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"nucseg_jax needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Try: make install PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r $(RUN_REQUIREMENTS)
	$(PIP) install --no-deps --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed-$(DEVICE) requirements/test.txt
	$(PIP) install --require-hashes -r requirements/test.txt
	touch $@

quickstart: install
	$(BIN)/python launch.py prepare --config=configs/quickstart.py
	$(BIN)/python launch.py train --config=configs/quickstart.py --workdir=runs/quickstart

# Three workers for two cores, since some wait for processes. The cache of compiled programs in .cache/ is shared
# between them and between runs.
test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long and not parity"

test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "long and not parity" --durations=10

# In an environment of its own: TensorFlow and PyTorch are no part of this package.
test-parity: $(PARITY_VENV)/.installed
	$(PARITY_VENV)/bin/python -m pytest -m "parity" --durations=10

$(PARITY_VENV)/.installed: pyproject.toml
	test -x $(PARITY_VENV)/bin/python || $(PYTHON) -m venv $(PARITY_VENV)
	$(PARITY_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --editable '.[test,parity]'
	touch $@

# In an environment of its own: libraries that read nuclei are no part of this package.
test-readers: $(READERS_VENV)/.installed
	$(READERS_VENV)/bin/python -m pytest -m "parity" tests/parity/test_formats.py

$(READERS_VENV)/.installed: pyproject.toml
	test -x $(READERS_VENV)/bin/python || $(PYTHON) -m venv $(READERS_VENV)
	$(READERS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --editable '.[test,readers]'
	touch $@

# In an environment of its own: the pinned JAX, and PyTorch. Takes an hour or more, and wants the machine for itself.
benchmark: $(BENCH_VENV)/.installed-$(DEVICE)
	$(BENCH_VENV)/bin/python benchmarks/versus_torch.py

# Half an hour on a bare machine with a GPU or TPU: make accelerator DEVICE=cuda
accelerator: $(BENCH_VENV)/.installed-$(DEVICE) $(BENCH_VENV)/.installed-test
	$(BENCH_VENV)/bin/python -m benchmarks.accelerator --device=$(DEVICE) $(OPTIONS)

$(BENCH_VENV)/.installed-test: $(BENCH_VENV)/.installed-$(DEVICE) requirements/test.txt
	$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/test.txt
	touch $@

$(BENCH_VENV)/.installed-$(DEVICE): $(RUN_REQUIREMENTS) pyproject.toml
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $(RUN_REQUIREMENTS)
	$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --editable '.[bench]'
	touch $@

# The site, from the pages of docs/, into build/site; in an environment of its own. A broken link or reference, or a tutorial
# with a cell that fails, ends it. Executing the tutorials takes minutes; it is done again only where they or the package changed.
docs: $(DOCS_VENV)/.installed
	$(DOCS_VENV)/bin/python -m sphinx -q -b html -n -W --keep-going docs build/site
	@echo "build/site/index.html"

$(DOCS_VENV)/.installed: pyproject.toml
	test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --editable '.[all,docs]'
	touch $@

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Needs uv. --no-emit-index-url and --no-header keep the files free of anything about the machine that made them.
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
requirements:
	$(UV_COMPILE) pyproject.toml --extra all -o requirements/cpu.txt
	$(UV_COMPILE) pyproject.toml --extra all --extra cuda -c requirements/cpu.txt -o requirements/cuda.txt
	$(UV_COMPILE) pyproject.toml --extra all --extra tpu -c requirements/cpu.txt -o requirements/tpu.txt
	$(UV_COMPILE) pyproject.toml --extra test -c requirements/cpu.txt -o requirements/test.txt

clean:
	rm -rf $(VENV) $(PARITY_VENV) $(READERS_VENV) $(BENCH_VENV) $(DOCS_VENV) .cache build *.egg-info
