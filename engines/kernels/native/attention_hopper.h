// Attention on Hopper, which is compiled apart from the rest, for sm_90a alone.
#ifndef VSRT_ATTENTION_HOPPER_H
#define VSRT_ATTENTION_HOPPER_H

#include <cuda_runtime_api.h>

struct AttentionArguments;

namespace vsrt {

// In libraries that are built with VSRT_HOPPER; for compute capability 9.0.
cudaError_t enqueue_on_hopper(bool half, AttentionArguments &arguments, cudaStream_t stream);

}  // namespace vsrt

#endif
