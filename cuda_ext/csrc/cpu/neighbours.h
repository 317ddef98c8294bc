// Nearest neighbours on the CPU.
#pragma once

#include "../common/neighbours.h"
#include "isa.h"

FS_DECLARE(void nearest(const NearestCall& call))
