// Adam's update of one tensor, in place.
#pragma once

#include "../common/adam.h"
#include "isa.h"

FS_DECLARE(void adam(const AdamCall& call))
