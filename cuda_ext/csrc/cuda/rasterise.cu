// Rasterisation on CUDA: a warp enters each face into a depth buffer in memory, with one atomic minimum per pixel.
// Compiled without fused multiply-adds, so that images equal those of the CPU. Each kernel also compiles for the host,
// for tests without a GPU.
#include "rasterise.h"

#include "device.h"
#include "launch.h"
#include "workspace.h"

namespace fs {
namespace {

__device__ __forceinline__ void lower(uint64_t* to, uint64_t key) {
    atomicMin(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(key));
}

__global__ void __launch_bounds__(THREADS)
    begin_kernel(const __grid_constant__ RasteriseCall call, GridVertex* vertices, uint64_t* keys) {
    const int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i < call.vertices) vertices[i] = grid_vertex(call.positions + 3 * i);
    if (i < int64_t(call.height) * call.width) keys[i] = NO_FACE;
}

__global__ void __launch_bounds__(THREADS)
    draw_kernel(const __grid_constant__ RasteriseCall call, const GridVertex* vertices, uint64_t* keys) {
    const int64_t face = int64_t(blockIdx.x) * (THREADS / WARP) + threadIdx.x / WARP;
    if (face >= call.num_faces) return;
    const int64_t* corner = call.faces + 3 * face;
    const GridVertex a = vertices[corner[0]], b = vertices[corner[1]], c = vertices[corner[2]];
    if (a.inverse_depth == 0.0 || b.inverse_depth == 0.0 || c.inverse_depth == 0.0) return;
    const PixelRange columns = pixel_range(least(a.x, b.x, c.x), greatest(a.x, b.x, c.x), call.width);
    const PixelRange rows = pixel_range(least(a.y, b.y, c.y), greatest(a.y, b.y, c.y), call.height);
    const ImageTriangle triangle(a, b, c);
    if (triangle.area == 0 || columns.last < columns.first) return;
    const int64_t wide = columns.last - columns.first + 1, pixels = wide * (rows.last - rows.first + 1);
    for (int64_t i = threadIdx.x % WARP; i < pixels; i += WARP) {
        const int32_t x = columns.first + int32_t(i % wide), y = rows.first + int32_t(i / wide);
        const int64_t edge0 = triangle.edge(0, x, y), edge1 = triangle.edge(1, x, y), edge2 = triangle.edge(2, x, y);
        if (((edge0 - triangle.bias[0]) | (edge1 - triangle.bias[1]) | (edge2 - triangle.bias[2])) < 0) continue;
        const PixelHit hit(triangle, edge0, edge1, edge2);
        lower(keys + int64_t(y) * call.width + x, pixel_key(hit.depth(triangle), face));
    }
}

__global__ void __launch_bounds__(THREADS)
    write_kernel(const __grid_constant__ RasteriseCall call, const GridVertex* vertices, const uint64_t* keys) {
    const int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= int64_t(call.height) * call.width) return;
    write_pixel(call, vertices, int32_t(i % call.width), int32_t(i / call.width), keys[i]);
}

cudaError_t rasterise(const RasteriseCall& call, cudaStream_t stream, void* workspace) {
    GridVertex* vertices = static_cast<GridVertex*>(workspace);
    uint64_t* keys = reinterpret_cast<uint64_t*>(static_cast<char*>(workspace) +
                                                 align_bytes(call.vertices * int64_t(sizeof(GridVertex))));
    const int64_t pixels = int64_t(call.height) * call.width;
    const int64_t begun = pixels > call.vertices ? pixels : call.vertices;
    cudaError_t error = launch(stream, blocks_for(begun, THREADS), begin_kernel, call, vertices, keys);
    if (!error && call.num_faces > 0)
        error = launch(stream, blocks_for(call.num_faces, THREADS / WARP), draw_kernel, call, vertices, keys);
    if (!error) error = launch(stream, blocks_for(pixels, THREADS), write_kernel, call, vertices, keys);
    return error;
}

cudaError_t check(const RasteriseCall& call) {
    const bool supported =
        call.height > 0 && call.width > 0 && call.vertices >= 0 && call.num_faces >= 0 && call.num_faces <= 0x7fffffff;
    return supported ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_rasterise(const fs::RasteriseCall* call, int32_t device, void* stream, void* workspace,
                            int64_t workspace_bytes) {
    if (workspace_bytes < fs_rasterise_workspace(call)) return cudaErrorInvalidValue;
    return fs::on_device(fs::check(*call), device,
                         [&] { return fs::rasterise(*call, static_cast<cudaStream_t>(stream), workspace); });
}

FS_API int64_t fs_rasterise_workspace(const fs::RasteriseCall* call) {
    return fs::align_bytes(call->vertices * int64_t(sizeof(fs::GridVertex))) +
           int64_t(call->height) * call->width * int64_t(sizeof(uint64_t));
}
