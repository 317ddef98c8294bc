// Rasterisation of triangles: the arguments of a call, and arithmetic that both processors and plain torch do alike, so
// that their images are equal to the last bit. Edge functions (Pineda 1988) are exact, because corners lie on a fixed
// grid.
#pragma once

#include "reduced_precision.h"

namespace fs {

// Mirrored by `RasteriseCall` in fields/ops/rasterise.py. Rows are contiguous. `num_threads` is for the CPU.
struct RasteriseCall {
    int32_t height, width, num_threads;
    int64_t vertices, num_faces;
    const float* positions;  // [vertices, 3]: x, y in pixels, depth
    const int64_t* faces;    // [num_faces, 3]
    int32_t* triangles;      // [height, width]: indices of faces, -1 where there is none
    float* weights;          // [height, width, 2]: perspective-correct weights of corners 0 and 1
    float* depth;            // [height, width]: infinity where there is no face
};

constexpr int SUBPIXEL_BITS = 12;
constexpr int SUBPIXELS = 1 << SUBPIXEL_BITS;     // steps of the fixed grid per pixel
constexpr float MAX_COORDINATE = float(1 << 17);  // pixels; products of two differences then fit into int64
constexpr float NEAR_DEPTH = 1e-6f;
// Key of a pixel that no triangle covers. Others: bits of the depth, then the index of the face.
constexpr uint64_t NO_FACE = 0x7fffffffffffffffull;

// A vertex on the fixed grid.
struct GridVertex {
    int32_t x, y;
    double inverse_depth;  // 0: faces with this corner are left out
};

FS_HOST_DEVICE GridVertex grid_vertex(const float* position) {
    const float x = position[0], y = position[1], z = position[2];
    const bool usable = x < MAX_COORDINATE && -x < MAX_COORDINATE && y < MAX_COORDINATE && -y < MAX_COORDINATE &&
                        z > NEAR_DEPTH && z < __builtin_huge_valf();
    if (!usable) return {0, 0, 0.0};
    // Doubles hold these products, and their sums with a half, exactly.
    return {int32_t(__builtin_floor(double(x) * SUBPIXELS + 0.5)),
            int32_t(__builtin_floor(double(y) * SUBPIXELS + 0.5)), 1.0 / double(z)};
}

struct PixelRange {
    int32_t first, last;  // empty where last < first
};

// Pixels with centres between two coordinates of the grid, in an image of `size` pixels.
FS_HOST_DEVICE PixelRange pixel_range(int32_t low, int32_t high, int32_t size) {
    const int32_t first = (low + (SUBPIXELS / 2 - 1)) >> SUBPIXEL_BITS, last = (high - SUBPIXELS / 2) >> SUBPIXEL_BITS;
    return {first < 0 ? 0 : first, last < size ? last : size - 1};
}

FS_HOST_DEVICE int32_t least(int32_t a, int32_t b, int32_t c) {
    const int32_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}
FS_HOST_DEVICE int32_t greatest(int32_t a, int32_t b, int32_t c) { return -least(-a, -b, -c); }

// A triangle in the image. Edge i is the one opposite of corner i.
struct ImageTriangle {
    int64_t step_x[3], step_y[3];  // change of the edge functions from pixel to pixel
    int64_t origin[3];             // edge functions at the centre of pixel (0, 0)
    int64_t bias[3];               // 0 where a pixel on the edge belongs to the triangle, else 1
    int64_t area;                  // twice the area, above zero unless the triangle has none
    double inverse_depth[3];

    FS_HOST_DEVICE explicit ImageTriangle(const GridVertex& a, const GridVertex& b, const GridVertex& c) {
        const GridVertex* corners[3] = {&a, &b, &c};
        area = int64_t(b.x - a.x) * (c.y - a.y) - int64_t(b.y - a.y) * (c.x - a.x);
        const int64_t sign = area < 0 ? -1 : 1;
        area *= sign;
        for (int i = 0; i < 3; ++i) {
            const GridVertex &begin = *corners[(i + 1) % 3], &end = *corners[(i + 2) % 3];
            const int64_t dx = sign * (end.x - begin.x), dy = sign * (end.y - begin.y);
            step_x[i] = -dy * SUBPIXELS;
            step_y[i] = dx * SUBPIXELS;
            origin[i] = dx * (SUBPIXELS / 2 - begin.y) - dy * (SUBPIXELS / 2 - begin.x);
            // The top-left rule: of two triangles that share an edge, one has it.
            bias[i] = dy < 0 || (dy == 0 && dx > 0) ? 0 : 1;
            inverse_depth[i] = corners[i]->inverse_depth;
        }
    }
    FS_HOST_DEVICE int64_t edge(int i, int32_t x, int32_t y) const { return origin[i] + x * step_x[i] + y * step_y[i]; }
};

// What a pixel inside of a triangle sees: 1 / depth is linear in the image.
struct PixelHit {
    double scaled[3], total;

    FS_HOST_DEVICE PixelHit(const ImageTriangle& triangle, int64_t edge0, int64_t edge1, int64_t edge2)
        : scaled{double(edge0) * triangle.inverse_depth[0], double(edge1) * triangle.inverse_depth[1],
                 double(edge2) * triangle.inverse_depth[2]},
          total(scaled[0] + scaled[1] + scaled[2]) {}
    FS_HOST_DEVICE float depth(const ImageTriangle& triangle) const { return float(double(triangle.area) / total); }
    FS_HOST_DEVICE float weight(int corner) const { return float(scaled[corner] / total); }
};

// Keys have the order of the depths, since positive floats have the order of their bits; the index decides between
// equals.
FS_HOST_DEVICE uint64_t pixel_key(float depth, int64_t face) {
    uint32_t bits;
    __builtin_memcpy(&bits, &depth, sizeof(bits));
    return uint64_t(bits) << 32 | uint64_t(face);
}

// Writes a pixel's results from its key.
FS_HOST_DEVICE void write_pixel(const RasteriseCall& call, const GridVertex* vertices, int32_t x, int32_t y,
                                uint64_t key) {
    const int64_t pixel = int64_t(y) * call.width + x;
    if (key == NO_FACE) {
        call.triangles[pixel] = -1;
        call.weights[2 * pixel] = call.weights[2 * pixel + 1] = 0.0f;
        call.depth[pixel] = __builtin_huge_valf();
        return;
    }
    const int32_t face = int32_t(key & 0xffffffffu);
    const int64_t* corner = call.faces + 3 * int64_t(face);
    const ImageTriangle triangle(vertices[corner[0]], vertices[corner[1]], vertices[corner[2]]);
    const PixelHit hit(triangle, triangle.edge(0, x, y), triangle.edge(1, x, y), triangle.edge(2, x, y));
    call.triangles[pixel] = face;
    call.weights[2 * pixel] = hit.weight(0);
    call.weights[2 * pixel + 1] = hit.weight(1);
    call.depth[pixel] = hit.depth(triangle);
}

}  // namespace fs
