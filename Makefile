# make demo    trains a talking face from the sample video and films it saying something new: no cluster, no GPU
# make up      the platform on this machine, until Ctrl-C
# make test    the tests;  make test-slow: those at full length;  make test-apiserver: on a real kube-apiserver
# make lint;   make bench;  make images: the container images, by buildah, podman or docker
# make manifests   the chart's schema and manifests/, anew
# make weights [NAME…]   optional pretrained files;  make lock: new versions of all dependencies
.DEFAULT_GOAL := help
.PHONY: help setup dev demo up doctor weights images manifests test test-slow test-apiserver test-cluster lint format bench lock licences readme sample clean

VENV   := .venv
PYTHON := $(VENV)/bin/python
UV      = $(shell command -v uv || echo $(VENV)/bin/uv)
SPEAKING := kokoro g2p-en
# Those that need no words; the docstrings of the others say what they measure.
BENCHES := media geneface eval speech api
EXTRAS := api controller geneface eval speech local dev

help:
	@sed -n 's/^# //p' Makefile

# A virtual environment by uv; without uv, by the first Python 3.11 or 3.12 found, which then installs uv into it.
$(PYTHON):
	@if command -v uv >/dev/null; then uv venv --quiet --allow-existing --python '>=3.11,<3.13' $(VENV); else \
	    for python in python3.12 python3.11 python3; do \
	        $$python -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && break; python=; \
	    done; \
	    [ -n "$$python" ] || { echo 'uv, or Python 3.11 or 3.12 with venv, is needed'; exit 1; }; \
	    $$python -m venv $(VENV) && $(PYTHON) -m pip install --quiet --disable-pip-version-check uv; fi

$(VENV)/.%: requirements/%.txt pyproject.toml | $(PYTHON)
	@echo 'Installing what requirements/$*.txt locks …'
	@$(UV) pip install --quiet --python $(PYTHON) --require-hashes -r requirements/$*.txt
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --editable .
	@touch $@

# Other people's code that tests and benchmarks run beside ours: data to Python, never a dependency, never shipped.
$(VENV)/reference: requirements/reference.txt | $(PYTHON)
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --require-hashes --target $@ -r $<
	@touch $@

setup: $(VENV)/.local
dev: $(VENV)/.dev

# VIDEO=me.mp4 and AUDIO=hello.wav: one's own files. TEXT="…", Chinese or English, instead of AUDIO: what is said.
demo: setup
	@$(PYTHON) -m steps.weights inception >/dev/null || echo 'The demo goes on without FID.'
	@$(if $(TEXT),$(PYTHON) -m steps.weights $(SPEAKING) >/dev/null || echo 'The weights that read a text out could not be fetched.')
	@$(PYTHON) -m local demo $(if $(VIDEO),--video "$(VIDEO)") $(if $(AUDIO),--audio "$(AUDIO)") $(if $(TEXT),--text "$$TEXT")

up: setup
	@exec $(PYTHON) -m local up

doctor: setup
	@$(PYTHON) -m local doctor

weights: setup
	@$(PYTHON) -m steps.weights $(filter-out $@,$(MAKECMDGOALS))

test: dev $(VENV)/reference
	@OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m pytest -m "not slow and not apiserver and not cluster" -n auto --dist loadfile

test-slow: dev $(VENV)/reference
	@OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m pytest -m slow --timeout 1800

# Needs etcd, kube-apiserver and kube-controller-manager: see CONTRIBUTING.md.
test-apiserver: dev
	@$(PYTHON) -m pytest tests/apiserver -m "apiserver and not slow" --timeout 180

# KUBECONFIG names the cluster, LOAD="…" what brings images into it; IMAGES_TAG=… where they are there already. TESTS="…": some.
test-cluster: dev
	@LOAD="$(LOAD)" $(PYTHON) -m pytest $(or $(TESTS),tests/cluster) -m cluster -rs --timeout 5400

images:
	@images/build

manifests: dev
	@$(PYTHON) charts/settings.py
	@$(PYTHON) manifests/render.py

lint: dev
	@$(PYTHON) -m ruff check
	@$(PYTHON) -m ruff format --check
	@$(PYTHON) -m mypy
	@$(VENV)/bin/lint-imports --no-cache

format: dev
	@$(PYTHON) -m ruff check --fix --quiet
	@$(PYTHON) -m ruff format

bench: dev
	@for bench in $(BENCHES); do echo "== $$bench"; $(PYTHON) benchmarks/$${bench}_speed.py || exit 1; done

# `dev`, which holds all the others, says which version they take.
lock: | $(PYTHON)
	@for extra in dev $(filter-out dev,$(EXTRAS)); do echo "requirements/$$extra.txt"; \
	    constraint=; [ $$extra = dev ] || constraint='--constraint requirements/dev.txt'; \
	    $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	        --custom-compile-command 'make lock' $$constraint --extra $$extra pyproject.toml --output-file requirements/$$extra.txt || exit 1; done
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-deps \
	    --custom-compile-command 'make lock' --group reference --output-file requirements/reference.txt

readme: dev
	@$(PYTHON) -m tests.readme

licences: dev
	@$(PYTHON) -m tests.licences

sample: dev
	@$(PYTHON) -m samples.make

clean:
	rm -rf $(VENV) .local build *.egg-info

ifneq ($(filter weights,$(MAKECMDGOALS)),)
# The goals after `weights` are names of weights.
$(eval $(filter-out weights,$(MAKECMDGOALS)):;@:)
endif
