// As much of CUDA as splat.cu uses, on CPU threads: a thread for each of a block, barriers, shared memory, one block after the other.
// With it a C++ compiler runs the kernels themselves, and its sanitizers watch them.
#ifndef VSRT_CUDA_ON_CPU_H
#define VSRT_CUDA_ON_CPU_H

#include <atomic>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#define __CUDACC__
#define __host__
#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static  // there is one block at a time
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

struct Index {
  unsigned x;
};
struct alignas(16) ulonglong2 {
  unsigned long long x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

inline thread_local Index threadIdx, blockIdx;
inline Index gridDim, blockDim;
inline std::unique_ptr<std::barrier<>> of_block;
inline std::vector<std::unique_ptr<std::barrier<>>> of_warp;

inline void __syncthreads() { of_block->arrive_and_wait(); }
inline void __syncwarp() { of_warp[threadIdx.x / 32]->arrive_and_wait(); }
inline ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <class T>
T __ldg(const T *from) {
  return *from;
}
template <class T>
void __stcs(T *to, T value) {
  *to = value;
}
inline void atomicMin(unsigned long long *at, unsigned long long value) {
  std::atomic_ref<unsigned long long> there(*at);
  unsigned long long present = there.load(std::memory_order_relaxed);
  while (value < present && !there.compare_exchange_weak(present, value, std::memory_order_relaxed)) {
  }
}

template <class Kernel, class... Arguments>
void launch_on_cpu(Kernel kernel, unsigned blocks, unsigned threads, Arguments... arguments) {
  gridDim = {blocks}, blockDim = {threads};
  of_block = std::make_unique<std::barrier<>>(threads);
  of_warp.clear();
  for (unsigned warp = 0; warp < threads / 32; ++warp) of_warp.push_back(std::make_unique<std::barrier<>>(32));
  std::barrier<> next_block(threads);
  std::vector<std::jthread> running;
  for (unsigned thread = 0; thread < threads; ++thread)
    running.emplace_back([&, thread] {
      threadIdx = {thread};
      for (unsigned block = 0; block < blocks; ++block) {
        blockIdx = {block};
        kernel(arguments...);
        next_block.arrive_and_wait();
      }
    });
}

#endif
