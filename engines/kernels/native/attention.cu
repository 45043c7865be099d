// Attention in the C library: what videoscene_rt_kernels.h promises, over the kernels of attention.cu.

#include <cuda_runtime.h>

#include <cmath>

#include "../attention.cu"
#include "videoscene_rt_kernels.h"

namespace {

// docs/kernels.md says what was measured.
VSRT_ATTENTION_KERNEL(vsrt_attention_half, vsrt::Half, 128, 64, 4, 2, 2, 2)
VSRT_ATTENTION_KERNEL(vsrt_attention_bfloat, vsrt::Bfloat, 128, 64, 4, 2, 2, 2)

constexpr int64_t MOST_TOKENS = 1 << 30, MOST_BLOCKS = 0x7fffffff;
constexpr int FREE_SHARED_BYTES = 48 * 1024;  // what a block may have without being allowed to

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

template <class Shape>
cudaError_t launch(void (*kernel)(AttentionArguments), AttentionArguments &a, cudaStream_t stream) {
  const void *const function = reinterpret_cast<const void *>(kernel);
  if (Shape::SHARED_BYTES > FREE_SHARED_BYTES) {
    const cudaError_t error =
        cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::SHARED_BYTES);
    if (error != cudaSuccess) return error;
  }
  const int64_t blocks = (int64_t)a.batch * a.heads * ((a.queries + Shape::ROWS - 1) / Shape::ROWS);
  void *arguments[] = {&a};
  return cudaLaunchKernel(function, dim3((unsigned)blocks), dim3(Shape::THREADS), arguments, Shape::SHARED_BYTES, stream);
}

}  // namespace

VsrtStatus vsrt_attention_enqueue(const VsrtAttentionConfig *config, const void *query, const void *key,
                                  const void *value, void *out, void *stream) {
  if (config == nullptr) return VSRT_NULL_POINTER;
  const void *const pointers[] = {query, key, value, out};
  const VsrtStatus status = check(*config, pointers);
  if (status != VSRT_OK) return status;
  AttentionArguments a = arguments_of(*config, pointers);
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  const cudaError_t error = config->format == VSRT_FLOAT16
                                ? launch<vsrt_attention_half_shape>(vsrt_attention_half, a, on)
                                : launch<vsrt_attention_bfloat_shape>(vsrt_attention_bfloat, a, on);
  return error == cudaSuccess ? VSRT_OK : VSRT_CUDA_ERROR + (int32_t)error;
}
