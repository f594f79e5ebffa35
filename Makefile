# make track                      people tracked in a rendered demo clip
# make track VIDEO=my.mp4         in a video of your own (DETECTIONS=det.txt for others' detections)
# make test                       the tests (EXTRAS=dev,torch: those of the networks too)
# make check                      the linter and the type checker

PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEMO := runs/synth/demo
EXTRAS := dev

.PHONY: track test check clean

track: .venv/base
ifdef VIDEO
	$(BIN)/mot track "$(VIDEO)" $(if $(DETECTIONS),--detections "$(DETECTIONS)") --overwrite
else
	$(BIN)/mot synth --scene crowd --size 960x540 --frames 300 -o $(DEMO).mp4 --overwrite
	$(BIN)/mot track $(DEMO).mp4 --overwrite
endif

test: .venv/$(EXTRAS)
	$(BIN)/python -m pytest -n auto

check: .venv/$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and was not found"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/base: .venv/bin/python pyproject.toml
	$(PIP) -e .
	@touch $@

.venv/$(EXTRAS): .venv/bin/python pyproject.toml
	$(PIP) -e '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf .venv build dist runs *.egg-info
