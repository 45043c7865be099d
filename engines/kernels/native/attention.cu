// Attention in the C library: what videoscene_rt_kernels.h promises, over the kernels of attention.cu.

#include <cuda_runtime.h>

#include <cmath>

#include "../attention.cu"
#include "attention_hopper.h"
#include "attention_launch.h"
#include "videoscene_rt_kernels.h"

namespace {

// docs/kernels.md says what was measured.
VSRT_ATTENTION_KERNEL(vsrt_attention_half, vsrt::Half, 128, 64, 4, 2, 0, 2)
VSRT_ATTENTION_KERNEL(vsrt_attention_bfloat, vsrt::Bfloat, 128, 64, 4, 2, 0, 2)

constexpr int64_t MOST_TOKENS = 1 << 30, MOST_BLOCKS = 0x7fffffff;

VsrtStatus check(const VsrtAttentionConfig &c, const void *const (&pointers)[4]) {
  for (const void *pointer : pointers) {
    if (pointer == nullptr) return VSRT_NULL_POINTER;
    if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0) return VSRT_BAD_ALIGNMENT;
  }
  for (const int64_t *strides : {c.query_strides, c.key_strides, c.value_strides, c.out_strides})
    for (int i = 0; i < 3; ++i)
      if (strides[i] % 8 != 0) return VSRT_BAD_ALIGNMENT;
  if (c.batch < 1 || c.heads < 1 || c.queries < 1 || c.keys < 1) return VSRT_BAD_SIZE;
  if (c.queries > MOST_TOKENS || c.keys > MOST_TOKENS) return VSRT_BAD_SIZE;
  if (c.format != VSRT_FLOAT16 && c.format != VSRT_BFLOAT16) return VSRT_BAD_SIZE;
  if (!(c.scale > 0.0f) || !std::isfinite(c.scale)) return VSRT_BAD_SIZE;
  const double blocks = (double)c.batch * c.heads * (c.queries / 16 + 1);  // whatever the shape, not more
  return blocks > (double)MOST_BLOCKS ? VSRT_BAD_SIZE : VSRT_OK;
}

AttentionArguments arguments_of(const VsrtAttentionConfig &c, const void *const (&pointers)[4]) {
  AttentionArguments a{};
  a.query = pointers[0], a.key = pointers[1], a.value = pointers[2], a.out = const_cast<void *>(pointers[3]);
  a.query_batch = c.query_strides[0], a.query_head = c.query_strides[1], a.query_token = c.query_strides[2];
  a.key_batch = c.key_strides[0], a.key_head = c.key_strides[1], a.key_token = c.key_strides[2];
  a.value_batch = c.value_strides[0], a.value_head = c.value_strides[1], a.value_token = c.value_strides[2];
  a.out_batch = c.out_strides[0], a.out_head = c.out_strides[1], a.out_token = c.out_strides[2];
  a.batch = c.batch, a.heads = c.heads, a.queries = c.queries, a.keys = c.keys;
  a.scale = (float)(c.scale * 1.4426950408889634);
  return a;
}

cudaError_t attend(bool half, AttentionArguments &a, cudaStream_t stream) {
#if defined(VSRT_HOPPER)
  int device = 0, major = 0, minor = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  if (error != cudaSuccess) return error;
  if (major == 9 && minor == 0) return vsrt::enqueue_on_hopper(half, a, stream);
#endif
  return half ? vsrt::launch_attention<vsrt_attention_half_shape>(vsrt_attention_half, a, stream)
              : vsrt::launch_attention<vsrt_attention_bfloat_shape>(vsrt_attention_bfloat, a, stream);
}

}  // namespace

VsrtStatus vsrt_attention_enqueue(const VsrtAttentionConfig *config, const void *query, const void *key,
                                  const void *value, void *out, void *stream) {
  if (config == nullptr) return VSRT_NULL_POINTER;
  const void *const pointers[] = {query, key, value, out};
  const VsrtStatus status = check(*config, pointers);
  if (status != VSRT_OK) return status;
  AttentionArguments a = arguments_of(*config, pointers);
  const cudaError_t error = attend(config->format == VSRT_FLOAT16, a, static_cast<cudaStream_t>(stream));
  return error == cudaSuccess ? VSRT_OK : VSRT_CUDA_ERROR + (int32_t)error;
}
