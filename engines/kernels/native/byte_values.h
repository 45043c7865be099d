// TensorRT's plug-ins take no UINT8 tensors: bytes travel as float32 values, and these kernels carry them over.
#ifndef VSRT_BYTE_VALUES_H
#define VSRT_BYTE_VALUES_H

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace vsrt {

// Values are cut off below 0 and above 255, fractions dropped; NaN becomes 0.
cudaError_t bytes_of_values(const float *values, uint8_t *bytes, size_t count, cudaStream_t stream);
cudaError_t values_of_bytes(const uint8_t *bytes, float *values, size_t count, cudaStream_t stream);

}  // namespace vsrt

#endif
