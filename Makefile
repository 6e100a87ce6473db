# Everything here works on a bare Linux machine with git, make, a C/C++ compiler and Python 3.11.
#   make demo    set up, index this repository, complete a real line of it
#   make test    set up, then format, lint, types and all tests
#   make bench   the figures of docs/benchmarks.md
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup models demo test check bench wheel clean

setup:
	@PYTHON="$(PYTHON)" bash .ci/setup

models: setup
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b smollm2-135m

demo: setup
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b
	@bash .ci/demo

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check models
	$(BIN)/pytest

bench: setup
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b
	$(BIN)/python -m tests.bench $(BENCH)

wheel: setup
	$(BIN)/python -m build --wheel

clean:
	rm -rf .venv dist build
