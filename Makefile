# Works from a fresh clone: every target sets up what it needs in .venv and uses it again after that.
# Variables: PYTHON (interpreters to try), VENV, MINISCENES_ROOT (data of the training), DEMO_DIR, TRAIN_DIR.

PYTHON ?= python3.11 python3 python
VENV ?= .venv
MINISCENES_ROOT ?= data/miniscenes
DEMO_DIR ?= work_dirs/demo
TRAIN_DIR ?= work_dirs/train-demo
TRAIN_CONFIG := configs/visionllm/visionllm-tiny_miniscenes-det.py
MAX_LINES := 400
export MINISCENES_ROOT

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# What is installed depends on these files. A change of one, or a copied .venv, installs again.
INSTALLED := requirements/constraints.txt setup.py visionllm_mm/compat/ops_finder.py
STAMP := $(VENV)/.stamp-$(shell { cat $(INSTALLED); pwd; } | cksum | cut -d ' ' -f 1)
# The pins of requirements/constraints.txt exist for Python 3.11 and newer.
PYTHON_FITS := -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
# Without its compiled ops, mmcv's deformable attention runs on the CPU only.
OPS_ARE_BUILT := 'import sys, torch, mmcv._ext; sys.exit(hasattr(mmcv._ext, "__stand_in__"))'
HIDE_GPU_WITHOUT_OPS := $(BIN)/python -c $(OPS_ARE_BUILT) 2>/dev/null || export CUDA_VISIBLE_DEVICES=

.PHONY: help install install-ops demo train-demo web docs test test-all lint lint-lines clean

help:
	@echo "make install      environment in $(VENV); with a CUDA GPU also mmcv's compiled ops"
	@echo "make install-ops  compile mmcv's ops (10 minutes; for Mask R-CNN and for GPUs)"
	@echo "make demo         ask the released models about three rendered scenes and a photograph; their answers beside the truth"
	@echo "make web          a page in the browser to ask it about your own pictures"
	@echo "make train-demo   make MiniScenes, train the small detector, evaluate it, draw predictions"
	@echo "make docs         build the documentation into work_dirs/site"
	@echo "make test         the quick tests"
	@echo "make test-all     all tests, with the slow ones and those that need mmcv's ops"
	@echo "make lint         ruff, its formatting, arguments in docstrings, no file of more than $(MAX_LINES) lines"
	@echo "make clean        remove build products and caches; keeps $(VENV), data and work_dirs"

$(STAMP):
	@if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    for python in $(PYTHON) none; do $$python $(PYTHON_FITS) 2>/dev/null && break; done; \
	    if [ "$$python" = none ]; then \
	        echo "make: no Python 3.11 or newer with venv among: $(PYTHON)." \
	            "Name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; \
	    fi; \
	    echo "==> creating $(VENV) with $$($$python --version)"; \
	    $$python -m venv --clear $(VENV); \
	fi
	@echo "==> installing mmcv without its compiled ops"
	@# Past pip's cache, which has one place for the builds of mmcv with and without ops.
	@$(PIP) install -qq --no-cache-dir --no-deps -c requirements/constraints.txt onedl-mmcv
	@echo "==> installing the packages of requirements/constraints.txt (one to two minutes)"
	@$(PIP) install -qq -c requirements/constraints.txt -e '.[all]'
	@rm -f $(VENV)/.stamp-* && touch $@

install: $(STAMP)
	@if nvidia-smi -L >/dev/null 2>&1 && \
	    $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
	    $(MAKE) --no-print-directory install-ops || \
	        echo "==> going on without ops: everything runs on the CPU with CUDA_VISIBLE_DEVICES="; \
	fi

install-ops: $(STAMP)
	@echo "==> compiled ops of mmcv"
	@$(BIN)/python tools/install_ops.py

demo: $(STAMP)
	@echo "==> every task on three rendered scenes and trees of a photograph, answered by the released models"
	@CUDA_VISIBLE_DEVICES= $(BIN)/python tools/demo.py --out-dir $(DEMO_DIR)
	@echo "==> open $(DEMO_DIR)/report.html; 'make web' asks your own pictures, 'make train-demo' trains a model (9 minutes)"

web: $(STAMP)
	@CUDA_VISIBLE_DEVICES= $(BIN)/python tools/web_demo.py

train-demo: install
	@echo "==> MiniScenes in $(MINISCENES_ROOT)"
	@$(BIN)/python tools/prepare_miniscenes.py --out $(MINISCENES_ROOT)
	@echo "==> training $(TRAIN_CONFIG) in $(TRAIN_DIR); a stopped training goes on"
	@$(HIDE_GPU_WITHOUT_OPS); \
	    $(BIN)/python tools/train.py $(TRAIN_CONFIG) --work-dir $(TRAIN_DIR) --resume
	@echo "==> evaluating it and drawing its predictions"
	@$(HIDE_GPU_WITHOUT_OPS); \
	    checkpoint=$$(ls -t $(TRAIN_DIR)/best_*.pth 2>/dev/null | head -n 1); \
	    $(BIN)/python tools/test.py $(TRAIN_CONFIG) $${checkpoint:-$$(cat $(TRAIN_DIR)/last_checkpoint)} \
	        --work-dir $(TRAIN_DIR)/test --show-dir $(TRAIN_DIR)/predictions
	@echo "==> the COCO table is above, the pictures are in $(TRAIN_DIR)/predictions"

docs: $(STAMP)
	@echo "==> the documentation, with mkdocs"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "==> open work_dirs/site/index.html; to search in it, serve it: $(BIN)/python -m http.server -d work_dirs/site"

test: install
	@echo "==> quick tests"
	@$(BIN)/python -m pytest -q

test-all: install-ops
	@echo "==> all tests"
	@$(BIN)/python -m pytest -q -rs -m ""

lint: $(STAMP)
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> arguments in docstrings"
	@$(BIN)/flake8 visionllm_mm tools
	@$(MAKE) --no-print-directory lint-lines

# Apart, for pre-commit: needs no environment.
lint-lines:
	@echo "==> files of more than $(MAX_LINES) lines"
	@find visionllm_mm tools -name '*.py' -not -path '*/.mim/*' -exec wc -l {} \; | \
	    awk '$$1 > $(MAX_LINES) { print $$2 ": " $$1 " lines, at most $(MAX_LINES)"; bad = 1 } END { exit bad }'

clean:
	@echo "==> removing build products and caches"
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache visionllm_mm/.mim
	@find visionllm_mm tools tests configs -name __pycache__ -type d -prune -exec rm -rf {} +
