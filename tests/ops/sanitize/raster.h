// Random calls of rasterisation; included by fuzz.cpp, whose random values it uses.
#pragma once

#include "../../../cuda_ext/csrc/cpu/rasterise.h"

namespace {

void fuzz_rasterise() {
    fs::RasteriseCall call = {};
    call.height = pick(1, 100);
    call.width = pick(1, 100);
    call.num_threads = pick(1, 5);
    call.vertices = pick(1, 80);
    call.num_faces = pick(0, 200);
    const size_t pixels = size_t(call.height) * size_t(call.width);
    auto positions = random_values<float>(size_t(call.vertices) * 3);
    const float scale = float(pick(0, 3) ? pick(1, 300) : 1 << pick(0, 24));
    for (size_t i = 0; i < positions.size(); ++i) {
        if (i % 3 < 2) positions[i] *= scale;
        if (pick(0, 200) == 0) positions[i] = pick(0, 1) ? __builtin_nanf("") : -__builtin_huge_valf();
    }
    std::vector<int64_t> faces(size_t(call.num_faces) * 3);
    for (int64_t& corner : faces) corner = pick(0, int(call.vertices) - 1);
    std::vector<int32_t> triangles(pixels);
    std::vector<float> weights(2 * pixels), depth(pixels);
    call.positions = positions.data();
    call.faces = faces.data();
    call.triangles = triangles.data();
    call.weights = weights.data();
    call.depth = depth.data();
    fs_rasterise(&call);
    note(triangles);
    note(weights);
}

}  // namespace
