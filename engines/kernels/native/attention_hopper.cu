// Attention's kernels for Hopper in the C library; compiled for sm_90a alone.

#include "attention_hopper.h"

#include "../attention_hopper.cu"
#include "attention_launch.h"

namespace {

// docs/kernels.md says what was measured.
VSRT_HOPPER_KERNEL(vsrt_hopper_attention_half, vsrt::Half, 3, 128, 4, 0)
VSRT_HOPPER_KERNEL(vsrt_hopper_attention_bfloat, vsrt::Bfloat, 3, 128, 4, 0)

}  // namespace

namespace vsrt {

cudaError_t enqueue_on_hopper(bool half, AttentionArguments &a, cudaStream_t stream) {
  return half ? launch_attention<vsrt_hopper_attention_half_shape>(vsrt_hopper_attention_half, a, stream)
              : launch_attention<vsrt_hopper_attention_bfloat_shape>(vsrt_hopper_attention_bfloat, a, stream);
}

}  // namespace vsrt
