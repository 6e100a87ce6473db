# Everything here works on a bare Linux machine with git, make, a C/C++ compiler and Python 3.11.
#   make demo    set up, index this repository, complete a real line of it
#   make test    set up, then format, lint, types and all tests; WORKERS=2 at once
#   make test-isolated   make test in a network namespace without routes; Linux
#   make test-fast   the same with the tests that start no program and load no weights
#   make bench   the figures of docs/benchmarks.md
#   make bench-hook  how right the hook's rules are on a repository's own history
#   make bench-quality   completion and search on public repositories; needs npm besides
#   make bench-search DIRS="A B"   what each part of a search is worth, on repositories of yours
#   make bench-latency   what the warm engine costs a person who waits; make soak for 10,000 requests
#   make bench-tui   how fast the editor in the terminal is, through a real pseudo-terminal
#   make bench-robustness   thirty changes on real code, then what they cost both models; goes on where it stopped
#   make bench-fleet  one search over 100 repositories, and work spread over processes
#   make bench-trust  audits of plain and private training, with the small model; goes on where it stopped
#   make bench-federated  the figures of docs/federated.md, from the labels that are here
#   make train-embedder  the weights of models/embedder, from the packages they learn from
#   make bench-embedder  the figures of docs/embedder.md
#   make train-adapter  the adapter of a model, from the packages it learns from: an hour (the small one) or many
#   make bench-adapter  what it wins on public repositories; half an hour or more, adds to what was measured
#   make bench-repository-adapters   what adapters of public repositories are worth; hours, resumable
#   make train-ranker  the weights that rank what is looked up, and how they do on unseen repositories
#   make train-head MINUTES=60   more labels for the decision head, and the head fitted to all of them
#   make bench-head  the figures of docs/head.md, from the labels that are here
PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
WORKERS ?= 2
# Those of the fast tier wait for timers half of the time.
FAST_WORKERS ?= 4
# A file's tests stay together, since they share servers and indexes. conftest.py has the order.
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore=$(ALONE)
# Its tests become other users, who cannot enter a worker's folder, and send signals.
ALONE := tests/core/test_user_file.py
EXTRAS_LOG := .venv/extras/tests.log
FAST := not model and not process and not terminal and not slow

# Without it every worker and every program that a test starts compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup extras models demo test test-main test-extras test-isolated test-fast check bench bench-hook bench-search bench-robustness bench-latency bench-tui bench-fleet bench-federated bench-trust bench-repository-adapters soak train-embedder bench-embedder train-head bench-head train-ranker train-adapter bench-adapter wheel clean

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

test-fast: check
	$(BIN)/pytest -m "$(FAST)" $(ALONE)
	$(PYTEST) -n $(FAST_WORKERS) -m "$(FAST)"

# Ray and Flower have an environment of their own beside .venv: Flower lowers rich and others.
extras: setup
	@bash .ci/extras

# Those of Ray and Flower wait for processes more than half of the time: they run beside the others.
test: check models extras
	$(BIN)/pytest $(ALONE)
	@rm -f $(EXTRAS_LOG)
	@$(MAKE) --no-print-directory --jobs 2 test-main test-extras; status=$$?; \
		[ ! -f $(EXTRAS_LOG) ] || cat $(EXTRAS_LOG); exit $$status

test-main:
	$(PYTEST)

test-extras:
	@[ ! -x .venv/extras/bin/python ] || \
		.venv/extras/bin/python -m pytest tests/federation tests/fleet/test_ray.py >$(EXTRAS_LOG) 2>&1

test-isolated:
	bash .ci/isolated

# Repositories to measure with are made first, of what is installed here: some minutes.
bench-fleet: extras
	$$([ -x .venv/extras/bin/python ] && echo .venv/extras/bin/python || echo $(BIN)/python) -m tests.bench.fleet $(BENCH)

bench-federated: extras
	.venv/extras/bin/python -m tests.bench.federated $(BENCH)

# Other models and repositories: BENCH="--model qwen2.5-coder-1.5b --repository DIR --minutes 120"
bench-trust: setup
	@$(BIN)/codebuddy models pull smollm2-135m
	$(BIN)/python -m tests.bench.trust $(BENCH)

bench-search: setup
	$(BIN)/python -m tests.bench.search quality $(or $(DIRS),.) $(BENCH)

bench-latency: setup
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b
	$(BIN)/python -m tests.bench.latency $(BENCH)
	$(BIN)/python -m tests.bench.warm

# 10,000 requests: memory, orphans, wrong answers. Some minutes.
soak: setup
	CODEBUDDY_INDEX_EMBEDDER=none $(BIN)/python -m tests.bench.soak_engine

# BENCH="--minutes 60" is the time of each measurement with a model; the next call goes on.
bench-robustness: setup
	$(BIN)/python -m tests.bench.robustness codebuddy $(DIRS)
	$(BIN)/codebuddy eval --robustness --retrieval-only
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b smollm2-135m
	for model in smollm2-135m qwen2.5-coder-1.5b; do for folder in $(or $(DIRS),.); do \
		$(BIN)/codebuddy -C $$folder eval --robustness --model $$model --tasks 40 $(or $(BENCH),--minutes 60) || exit 1; \
		$(BIN)/codebuddy -C $$folder eval --sensitivity --model $$model --tasks 40 $(or $(BENCH),--minutes 60) || exit 1; \
	done; done
	$(BIN)/python -m tests.bench.robust_rows collect $(or $(DIRS),.)

bench-tui: setup
	$(BIN)/python -m tests.bench.tui $(BENCH)

bench: setup
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b
	$(BIN)/python -m tests.bench $(BENCH)

# Low priority: it takes the better part of an hour. Each stage goes on where it was stopped.
train-embedder: setup
	nice -n 15 $(BIN)/python -m codebuddy.training.embedder fetch
	nice -n 15 $(BIN)/python -m codebuddy.training.embedder pairs
	nice -n 15 $(BIN)/python -m codebuddy.training.embedder train
	nice -n 15 $(BIN)/python -m codebuddy.training.embedder tune

bench-embedder: setup
	$(BIN)/python -m codebuddy.training.embedder fetch --held-out
	$(BIN)/python -m codebuddy.training.embedder bench

# Hours for the default model (ADAPTER_OPTIONS="--steps 400 --rate 3e-4"), an hour for the small one. Each stage goes on where it was
# stopped. What it makes lies in WORK; the shipped one and its card are in models/adapter.
MODEL ?= smollm2-135m
ADAPTER_OPTIONS ?= --per-package 12 --rank 16 --rate 1e-3 --groups 4 --steps 180
train-adapter: setup
	for stage in fetch cut train; do \
		$(BIN)/python -m codebuddy.training.adapter $$stage --work $(or $(WORK),$(HOME)/.cache/codebuddy/adapter-$(MODEL)) \
			--base "$$($(BIN)/codebuddy models pull $(MODEL))" $(ADAPTER_OPTIONS) || exit 1; \
	done

# What the adapter wins on public repositories, task by task; rows are added to tests/bench/adapters.jsonl.
bench-adapter: setup
	@$(BIN)/codebuddy models pull $(MODEL)
	$(BIN)/python -m tests.bench.lookups measure --against base --model $(MODEL) --rows tests/bench/adapters.jsonl $(BENCH)

# Goes on where it was stopped. The small model, some minutes each: BENCH="--model smollm2-135m --minutes 5"
bench-repository-adapters: setup
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b
	$(BIN)/python -m tests.bench.repository_adapters $(BENCH)

train-ranker: setup
	$(BIN)/python -m tests.bench.quality_corpora head >/dev/null
	$(BIN)/python -m codebuddy.training.ranker \
		$$($(BIN)/python -m tests.bench.quality_corpora head | cut -d ' ' -f 3)

train-head: setup
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b
	$(BIN)/python -m tests.bench.quality_corpora head >/dev/null
	$(BIN)/python -m codebuddy.training.head label --minutes $(or $(MINUTES),600) \
		$$($(BIN)/python -m tests.bench.quality_corpora head | cut -d ' ' -f 3)
	$(BIN)/python -m codebuddy.training.head fit

bench-head: setup
	$(BIN)/python -m codebuddy.training.head report docs/head.md

# An hour of it: make bench-quality BENCH="--minutes 60"; the next call goes on.
bench-quality: setup
	@$(BIN)/codebuddy models pull qwen2.5-coder-1.5b
	$(BIN)/python -m tests.bench.quality $(BENCH)

# BENCH="--repository DIR... --commits N --minutes M" replays other repositories; a further call
# goes on where it stopped, and begins anew once dist/bench-hook.jsonl is deleted.
bench-hook: setup
	@mkdir -p dist
	$(BIN)/python -m tests.bench.hook replay $(BENCH) --out dist/bench-hook.jsonl
	$(BIN)/python -m tests.bench.hook report dist/bench-hook.jsonl

wheel: setup
	$(BIN)/python -m build --wheel

clean:
	rm -rf .venv dist build
