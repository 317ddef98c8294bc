#include "network_passes.h"

#if defined(FS_BFLOAT16)
FS_COMPILE_PASSES(fs::FS_ISA::Bfloat16Network)
#else
FS_COMPILE_PASSES(fs::FS_ISA::Network<float>)
FS_COMPILE_PASSES(fs::FS_ISA::QuadraticNetwork<float>)
#endif
