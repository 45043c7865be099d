# The project's habits. `make demo` and `make test` install what they need into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out/demo
MINUTES ?= 10
SEED ?= $(shell date +%s)
HZ ?= 2
# Real photographs, where they lie beside the checkout; without them the demo and the tests say what they do instead.
VSRT_DATA ?= $(abspath $(wildcard ../shared/data))
export VSRT_DATA

.PHONY: help install demo test test-slow audit fuzz soak native lint format clean

help:
	@sed -n 's/^## //p' Makefile

## install    create .venv and install the project with everything that export, tests and demo need
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "export needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[cpu,export,tensorrt-rtx,dev]'
	@touch $@

## demo       export the preset `tiny`, run one step on a real scene, write videos, contact sheet and report to out/demo
demo: $(VENV)/.installed
	$(BIN)/vsrt demo --out $(OUT)

## test       the test suite (minutes, no GPU)
test: $(VENV)/.installed
	$(BIN)/pytest -n 2 --dist worksteal -m 'not slow'

## test-slow  what needs more minutes or gigabytes, a soak of 30 minutes, and the audit
test-slow: $(VENV)/.installed
	$(BIN)/pytest -m slow
	$(MAKE) soak MINUTES=30
	$(BIN)/python -m tests.audit

## audit      known vulnerabilities of what is installed; it needs the network, and says so where there is none (exit code 3)
audit: $(VENV)/.installed
	$(BIN)/python -m tests.audit

## fuzz       feed the readers with what no writer wrote: make fuzz MINUTES=10
fuzz: $(VENV)/.installed
	@mkdir -p build
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED) --out build/fuzz.json

## soak       run `tiny` on the CPU at a fixed rate, on a machine left alone: make soak MINUTES=60 HZ=2
soak: $(VENV)/.installed
	@mkdir -p build && rm -rf build/soak.bundle
	$(BIN)/vsrt export --preset tiny --out build/soak.bundle
	$(BIN)/python -m videoscene_rt.bench.soak build/soak.bundle --minutes $(MINUTES) --rate $(HZ) --out build/soak.json

## native     the kernels for C and C++ in build/native, and their tests (CUDA where nvcc is found; docs/kernels.md)
native:
	cmake -S . -B build/native
	cmake --build build/native
	ctest --test-dir build/native --output-on-failure

## lint       ruff and mypy
lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/typing && mkdir -p build/typing/videoscene_rt
	@ln -s $(abspath runtime)/* $(abspath engines) $(abspath export) $(abspath bench) build/typing/videoscene_rt/
	MYPYPATH=build/typing $(BIN)/mypy
	@# the runtime and the engines keep to Python 3.10 (JetPack's); NumPy's stubs are looser there, so Any may be returned
	MYPYPATH=build/typing $(BIN)/mypy --python-version 3.10 --no-warn-return-any -p videoscene_rt.engines \
	  -p videoscene_rt.cli -p videoscene_rt.chain -p videoscene_rt.scenes -p videoscene_rt.pictures -p videoscene_rt.examples -m videoscene_rt

## format     let ruff mend what it can
format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build out .pytest_cache .mypy_cache .ruff_cache .hypothesis
