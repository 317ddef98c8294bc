#include "network_passes.h"

FS_COMPILE_PASSES(fs::FS_ISA::Network<double>)
FS_COMPILE_PASSES(fs::FS_ISA::QuadraticNetwork<double>)
