# make fit                     set everything up in .venv and fit a photograph
# make fit SOURCE=photo.jpg    fit your own;  ARGS="--seconds 10" passes anything on to fit-a-scene
# make studio                  set everything up and open the studio in the browser
# make test                    set everything up and run the tests
# make check                   formatters, linters, types and layers; no tests
# make format                  format everything
# PIP_ARGS is handed to every pip install.

PYTHON ?= python3
SOURCE ?= skimage:astronaut
ARGS ?=
PIP_ARGS ?=
PYTEST_ARGS ?=

BIN := .venv/bin
NATIVE := $(shell find cuda_ext -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' -o -name CMakeLists.txt)
CPP := $(shell find cuda_ext tests benchmarks -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')
# PIP_CONSTRAINT also reaches the environment in which the extension is built; `-c` would not.
INSTALL := PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install $(PIP_ARGS)

.PHONY: fit studio test check format cuda clean

fit: .venv/installed
	@$(BIN)/fit-a-scene fit "$(SOURCE)" $(ARGS)

studio: .venv/installed-studio
	@$(BIN)/fit-a-scene studio $(ARGS)

test: .venv/installed-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# What must hold before every commit.
check: .venv/installed-check node_modules/.installed
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	@$(BIN)/clang-format --dry-run -Werror $(CPP)
	$(BIN)/lint-imports --no-logo --no-cache
	npx biome check --error-on-warnings
	npx pyright

format: .venv/installed-check node_modules/.installed
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .
	$(BIN)/clang-format -i $(CPP)
	npx biome check --write

# The CUDA library; needs nvcc, but no GPU.
cuda: .venv/installed-test
	$(BIN)/cmake -S cuda_ext -B build/cuda -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DCMAKE_BUILD_TYPE=Release -DFIELD_STUDIO_CUDA=ON -DFIELD_STUDIO_CPU=OFF
	$(BIN)/cmake --build build/cuda

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt $(NATIVE)
	$(INSTALL) -e .
	@touch $@

.venv/installed-studio: .venv/installed
	$(INSTALL) -e '.[studio]'
	@touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) -e '.[formats,heif,volumes,zarr,scans,draco,compression,studio,onnx,poses,usd,collision,tensorboard,test,bench]'
	@touch $@

.venv/installed-check: .venv/installed-test
	$(INSTALL) -e '.[check]'
	@touch $@

node_modules/.installed: package.json package-lock.json
	@command -v npm > /dev/null || { echo "make check needs Node.js and npm: apt install nodejs npm"; exit 1; }
	npm ci --no-audit --no-fund
	@touch $@

clean:
	rm -rf .venv build node_modules
