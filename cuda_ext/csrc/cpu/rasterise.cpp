// Rasterisation on the CPU. The image is cut into bands of whole rows, each with the list of its faces and a depth
// buffer that stays in the cache. Threads take bands, so none shares a pixel with another. Meshes from photographs have
// triangles of about a pixel, for which bands of 32 rows keep the lists shorter than square tiles would.
#include "rasterise.h"

#include "parallel.h"

namespace fs::FS_ISA {
namespace {

constexpr int BAND_ROWS = 32;
constexpr int VERTICES_PER_TASK = 4096;  // vertices that a thread takes at a time
constexpr uint16_t NO_BAND = 0xffff;

enum { vertex_slot = 0, span_slot = 1, list_slot = 2, count_slot = 3, buffer_slot = 4 };

// Bands that a face's pixels lie in.
struct BandSpan {
    uint16_t first, last;  // first = NO_BAND: none
};

struct Bands {
    int count;
    int64_t* begin;  // [count + 1]: where each band's list begins
    int32_t* list;   // faces of each band
};

BandSpan band_span(const RasteriseCall& call, const GridVertex& a, const GridVertex& b, const GridVertex& c) {
    if (a.inverse_depth == 0.0 || b.inverse_depth == 0.0 || c.inverse_depth == 0.0) return {NO_BAND, 0};
    const PixelRange x = pixel_range(least(a.x, b.x, c.x), greatest(a.x, b.x, c.x), call.width);
    const PixelRange y = pixel_range(least(a.y, b.y, c.y), greatest(a.y, b.y, c.y), call.height);
    if (x.last < x.first || y.last < y.first) return {NO_BAND, 0};
    return {uint16_t(y.first / BAND_ROWS), uint16_t(y.last / BAND_ROWS)};
}

GridVertex* to_grid(const RasteriseCall& call) {
    GridVertex* vertices =
        static_cast<GridVertex*>(scratch(vertex_slot, size_t(call.vertices + 1) * sizeof(GridVertex)));
    const int tasks = int((call.vertices + VERTICES_PER_TASK - 1) / VERTICES_PER_TASK);
    parallel_for(tasks, call.num_threads, [&](int task) {
        const int64_t first = int64_t(task) * VERTICES_PER_TASK;
        const int64_t last = first + VERTICES_PER_TASK < call.vertices ? first + VERTICES_PER_TASK : call.vertices;
        for (int64_t v = first; v < last; ++v) vertices[v] = grid_vertex(call.positions + 3 * v);
    });
    return vertices;
}

// Sorts the faces into bands, in ascending order within each, whatever the number of threads.
Bands sort_into_bands(const RasteriseCall& call, const GridVertex* vertices) {
    Bands bands;
    bands.count = (call.height + BAND_ROWS - 1) / BAND_ROWS;
    const int threads = call.num_threads;
    BandSpan* spans = static_cast<BandSpan*>(scratch(span_slot, size_t(call.num_faces + 1) * sizeof(BandSpan)));
    // Where each thread's faces of each band go, and behind that the bands' beginnings.
    const size_t counters = size_t(threads) * size_t(bands.count);
    int64_t* at = static_cast<int64_t*>(scratch(count_slot, (counters + size_t(bands.count) + 1) * sizeof(int64_t)));
    bands.begin = at + counters;
    parallel(threads, [&](int thread) {
        int64_t* counts = at + int64_t(thread) * bands.count;
        for (int band = 0; band < bands.count; ++band) counts[band] = 0;
        const Range range = range_of(call.num_faces, threads, thread);
        for (int64_t f = range.first; f < range.last; ++f) {
            const int64_t* corner = call.faces + 3 * f;
            spans[f] = band_span(call, vertices[corner[0]], vertices[corner[1]], vertices[corner[2]]);
            if (spans[f].first == NO_BAND) continue;
            for (int band = spans[f].first; band <= spans[f].last; ++band) ++counts[band];
        }
    });
    int64_t total = 0;
    for (int band = 0; band < bands.count; ++band) {
        bands.begin[band] = total;
        for (int thread = 0; thread < threads; ++thread) {
            int64_t& counter = at[int64_t(thread) * bands.count + band];
            const int64_t count = counter;
            counter = total;
            total += count;
        }
    }
    bands.begin[bands.count] = total;
    bands.list = static_cast<int32_t*>(scratch(list_slot, size_t(total + 1) * sizeof(int32_t)));
    parallel(threads, [&](int thread) {
        int64_t* to = at + int64_t(thread) * bands.count;
        const Range range = range_of(call.num_faces, threads, thread);
        for (int64_t f = range.first; f < range.last; ++f) {
            if (spans[f].first == NO_BAND) continue;
            for (int band = spans[f].first; band <= spans[f].last; ++band) bands.list[to[band]++] = int32_t(f);
        }
    });
    return bands;
}

// Enters a face into the depth buffer of rows first_row .. last_row.
void draw(const RasteriseCall& call, const GridVertex* vertices, int32_t face, int32_t first_row, int32_t last_row,
          uint64_t* buffer) {
    const int64_t* corner = call.faces + 3 * int64_t(face);
    const GridVertex &a = vertices[corner[0]], &b = vertices[corner[1]], &c = vertices[corner[2]];
    const PixelRange columns = pixel_range(least(a.x, b.x, c.x), greatest(a.x, b.x, c.x), call.width);
    PixelRange rows = pixel_range(least(a.y, b.y, c.y), greatest(a.y, b.y, c.y), call.height);
    rows = {rows.first > first_row ? rows.first : first_row, rows.last < last_row ? rows.last : last_row};
    const ImageTriangle triangle(a, b, c);
    if (triangle.area == 0) return;
    for (int32_t y = rows.first; y <= rows.last; ++y) {
        int64_t edge0 = triangle.edge(0, columns.first, y), edge1 = triangle.edge(1, columns.first, y),
                edge2 = triangle.edge(2, columns.first, y);
        uint64_t* keys = buffer + int64_t(y - first_row) * call.width;
        for (int32_t x = columns.first; x <= columns.last; ++x) {
            // All are at least their bias if no difference has its sign bit set.
            if (((edge0 - triangle.bias[0]) | (edge1 - triangle.bias[1]) | (edge2 - triangle.bias[2])) >= 0) {
                const PixelHit hit(triangle, edge0, edge1, edge2);
                const uint64_t key = pixel_key(hit.depth(triangle), face);
                if (key < keys[x]) keys[x] = key;
            }
            edge0 += triangle.step_x[0];
            edge1 += triangle.step_x[1];
            edge2 += triangle.step_x[2];
        }
    }
}

}  // namespace

void rasterise(const RasteriseCall& call) {
    const GridVertex* vertices = to_grid(call);
    const Bands bands = sort_into_bands(call, vertices);
    parallel_for(bands.count, call.num_threads, [&](int band) {
        const int32_t first_row = band * BAND_ROWS;
        const int32_t last_row = (first_row + BAND_ROWS < call.height ? first_row + BAND_ROWS : call.height) - 1;
        const int64_t pixels = int64_t(last_row - first_row + 1) * call.width;
        uint64_t* buffer = static_cast<uint64_t*>(scratch(buffer_slot, size_t(pixels) * sizeof(uint64_t)));
        for (int64_t i = 0; i < pixels; ++i) buffer[i] = NO_FACE;
        for (int64_t i = bands.begin[band]; i < bands.begin[band + 1]; ++i)
            draw(call, vertices, bands.list[i], first_row, last_row, buffer);
        for (int64_t i = 0; i < pixels; ++i)
            write_pixel(call, vertices, int32_t(i % call.width), first_row + int32_t(i / call.width), buffer[i]);
    });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_rasterise(const fs::RasteriseCall* call) { FS_CALL(rasterise, *call); }
#endif
