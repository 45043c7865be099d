// The watch over a step: how many of its latents are not finite, and the timestep that was chosen, for the host to read.

// status: int32[2] = (values that are not finite, timestep); it may be host memory that the device addresses.
// state: unsigned[2], zero before the first run; every run leaves it zero. Runs that share it follow one another.
// values: at a multiple of 16 bytes. One-dimensional blocks of a multiple of 32 threads, any number of them.
extern "C" __global__ void __launch_bounds__(256)
    vsrt_watch(const float *values, unsigned count, const int *timestep, volatile int *status, unsigned *state) {
  const unsigned first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
  const uint4 *quads = reinterpret_cast<const uint4 *>(values);
  unsigned found = 0;
  // All ones in the exponent: infinity or NaN.
#define VSRT_ODD(bits) (((bits) & 0x7f800000u) == 0x7f800000u)
#pragma unroll 4
  for (unsigned i = first; i < count / 4; i += step) {
    const uint4 q = __ldg(quads + i);
    found += VSRT_ODD(q.x) + VSRT_ODD(q.y) + VSRT_ODD(q.z) + VSRT_ODD(q.w);
  }
  const unsigned rest = count / 4 * 4 + first;
  if (rest < count) found += VSRT_ODD(__float_as_uint(values[rest]));
  for (int lanes = 16; lanes > 0; lanes /= 2) found += __shfl_down_sync(0xffffffffu, found, lanes);
  __shared__ unsigned sums[32];
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = found;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) found += sums[warp];
  if (found != 0) atomicAdd(&state[0], found);
  __threadfence();
  // The ticket counts the blocks that are done and wraps to zero at the last, which has the sum before it.
  if (atomicInc(&state[1], gridDim.x - 1) != gridDim.x - 1) return;
  __threadfence();
  status[0] = static_cast<int>(atomicExch(&state[0], 0u));
  status[1] = *timestep;
  __threadfence_system();
}
