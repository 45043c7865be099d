// As much of CUDA as splat.cu uses, on CPU threads: a thread for each of a block, barriers, shared memory, one block after the other.
// With it a C++ compiler runs the kernels themselves, and its sanitizers watch them.
#ifndef VSRT_CUDA_ON_CPU_H
#define VSRT_CUDA_ON_CPU_H

#include <atomic>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
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

// Threads that stay from one launch to the next: to start a block's hundreds takes longer than most kernels here.
class Crew {
 public:
  explicit Crew(unsigned threads) : size(threads), begin_(threads + 1), end_(threads + 1) {
    for (unsigned thread = 0; thread < threads; ++thread)
      members_.emplace_back([this, thread] {
        for (begin_.arrive_and_wait(); work_; begin_.arrive_and_wait()) {
          work_(thread);
          end_.arrive_and_wait();
        }
      });
  }
  ~Crew() {
    work_ = nullptr;
    begin_.arrive_and_wait();
  }
  void run(std::function<void(unsigned)> work) {
    work_ = std::move(work);
    begin_.arrive_and_wait();
    end_.arrive_and_wait();
  }
  const unsigned size;

 private:
  std::barrier<> begin_, end_;
  std::function<void(unsigned)> work_;
  std::vector<std::jthread> members_;  // the first to go: they use the rest
};

// One block after the other, by a crew whose threads may have run kernels before.
template <class Kernel, class... Arguments>
void launch_with(Crew &crew, Kernel kernel, unsigned blocks, Arguments... arguments) {
  gridDim = {blocks}, blockDim = {crew.size};
  of_block = std::make_unique<std::barrier<>>(crew.size);
  of_warp.clear();
  for (unsigned warp = 0; warp < crew.size / 32; ++warp) of_warp.push_back(std::make_unique<std::barrier<>>(32));
  std::barrier<> next_block(crew.size);
  crew.run([&](unsigned thread) {
    threadIdx = {thread};
    for (unsigned block = 0; block < blocks; ++block) {
      blockIdx = {block};
      kernel(arguments...);
      next_block.arrive_and_wait();
    }
  });
}

template <class Kernel, class... Arguments>
void launch_on_cpu(Kernel kernel, unsigned blocks, unsigned threads, Arguments... arguments) {
  static std::unique_ptr<Crew> crew;
  if (!crew || crew->size != threads) crew = std::make_unique<Crew>(threads);
  launch_with(*crew, kernel, blocks, arguments...);
}

#endif
