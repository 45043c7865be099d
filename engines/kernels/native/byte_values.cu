#include "byte_values.h"

namespace {

constexpr unsigned THREADS = 256, MOST_BLOCKS = 4096;

__global__ void __launch_bounds__(THREADS) to_bytes(const float *values, uint8_t *bytes, size_t count) {
  for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += (size_t)gridDim.x * THREADS)
    bytes[i] = (uint8_t)fminf(fmaxf(values[i], 0.0f), 255.0f);  // fmaxf takes the number where the other one is NaN
}

__global__ void __launch_bounds__(THREADS) to_values(const uint8_t *bytes, float *values, size_t count) {
  for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += (size_t)gridDim.x * THREADS)
    values[i] = (float)bytes[i];
}

template <class From, class To>
cudaError_t launch(void (*kernel)(const From *, To *, size_t), const From *from, To *to, size_t count,
                   cudaStream_t stream) {
  const size_t blocks = (count + THREADS - 1) / THREADS;
  void *arguments[] = {&from, &to, &count};
  return cudaLaunchKernel(reinterpret_cast<const void *>(kernel), dim3(blocks < MOST_BLOCKS ? blocks : MOST_BLOCKS),
                          dim3(THREADS), arguments, 0, stream);
}

}  // namespace

namespace vsrt {

cudaError_t bytes_of_values(const float *values, uint8_t *bytes, size_t count, cudaStream_t stream) {
  return launch(to_bytes, values, bytes, count, stream);
}

cudaError_t values_of_bytes(const uint8_t *bytes, float *values, size_t count, cudaStream_t stream) {
  return launch(to_values, bytes, values, count, stream);
}

}  // namespace vsrt
