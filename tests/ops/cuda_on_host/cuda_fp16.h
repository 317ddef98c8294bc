// Half precision for the host.
#pragma once

#include <cmath>

struct __half {
    _Float16 number;
};
inline float __half2float(__half number) { return float(number.number); }
inline __half __float2half(float number) { return {_Float16(number)}; }
