// How an attention kernel is launched.
#ifndef VSRT_ATTENTION_LAUNCH_H
#define VSRT_ATTENTION_LAUNCH_H

#include <cuda_runtime.h>

#include <cstdint>

namespace vsrt {

constexpr int FREE_SHARED_BYTES = 48 * 1024;  // what a block may have without being allowed to

template <class Shape, class Arguments>
cudaError_t launch_attention(void (*kernel)(Arguments), Arguments &a, cudaStream_t stream) {
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

}  // namespace vsrt

#endif
