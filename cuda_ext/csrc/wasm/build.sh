#!/usr/bin/env bash
# Compile the module of the viewer: cuda_ext/csrc/wasm/evaluate.cpp to apps/web/evaluate.wasm. The digests of its sources
# and of itself go beside it, so that a test tells whether it is theirs.
# Debian: apt install clang lld wasi-libc libclang-rt-dev-wasm32
set -euo pipefail
cd "$(dirname "$0")/../../.."
source=cuda_ext/csrc/wasm
out="${1:-apps/web/evaluate.wasm}"
clang++ --target=wasm32-wasi -std=c++17 -O3 -msimd128 -DFS_ISA=wasm -I$source/std -ffp-contract=off -fno-exceptions -fno-rtti \
    -fno-math-errno -fno-trapping-math -fvisibility=hidden -Wall -nostdlib -lc -Wl,--no-entry -Wl,--strip-all \
    -Wl,--export-dynamic -Wl,--export=__heap_base -Wl,-z,stack-size=65536 -o "$out" "$source/evaluate.cpp"
chmod 644 "$out"
[ $# = 0 ] || exit 0
sha256sum "$out" "$source"/evaluate.cpp "$source"/build.sh > apps/web/evaluate.sha256
