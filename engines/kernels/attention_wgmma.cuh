// The instructions of Hopper (compute capability 9.0) that attention_hopper.cu is made of; for sm_90a alone.
//
// A product is made by a warpgroup, four warps with 64 rows: warp w has rows 16w to 16w+15, and of those a lane has what attention_ptx.cuh
// says of C and of A; the columns of C go on in steps of 8. B, and A where it is in shared memory, is named by a descriptor: rows of 128
// bytes whose chunks of 16 are exchanged by the row's number among eight, which is chunk_offset where tiles begin at multiples of 1,024.
// Products run in the background: registers and tiles that they use are left alone until they are waited for.
#pragma once

#include "attention_ptx.cuh"

#if !defined(VSRT_WARPS_ON_CPU)

namespace vsrt {
namespace ptx {

// Bits 0 to 13: address / 16; 16 to 29: not used for one column of 128 bytes; 32 to 45: from eight rows to the next eight, / 16; 62 and
// 63: 1, chunks exchanged over 128 bytes (PTX ISA, "Matrix descriptor format").
__device__ __forceinline__ unsigned long long descriptor(unsigned address) {
  return (unsigned long long)((address & 0x3ffff) >> 4) | 1ull << 16 | (unsigned long long)(1024 >> 4) << 32 | 1ull << 62;
}

#define VSRT_4(HOW, C, N) HOW(C[N][0]), HOW(C[N][1]), HOW(C[N][2]), HOW(C[N][3])
#define VSRT_32(HOW, C, N) \
  VSRT_4(HOW, C, N), VSRT_4(HOW, C, N + 1), VSRT_4(HOW, C, N + 2), VSRT_4(HOW, C, N + 3), VSRT_4(HOW, C, N + 4), VSRT_4(HOW, C, N + 5), \
      VSRT_4(HOW, C, N + 6), VSRT_4(HOW, C, N + 7)
#define VSRT_FROM_0 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define VSRT_FROM_32 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// start_product: c = a·bᵀ, add_product: c += a·bᵀ, for 16 columns of a and b, both in shared memory; 64 or 128 rows of b.
// add_weighted: c += a·b, a in registers, 16 rows of b with 64 columns.
#define VSRT_PRODUCTS(TYPE, NAME)                                                                                                     \
  __device__ __forceinline__ void start_product(TYPE, float (&c)[8][4], unsigned long long a, unsigned long long b) {                 \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." NAME "." NAME " {" VSRT_FROM_0 "}, %32, %33, 0, 1, 1, 0, 0;"           \
                 : VSRT_32("=f", c, 0)                                                                                                \
                 : "l"(a), "l"(b));                                                                                                   \
  }                                                                                                                                   \
  __device__ __forceinline__ void add_product(TYPE, float (&c)[8][4], unsigned long long a, unsigned long long b) {                   \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." NAME "." NAME " {" VSRT_FROM_0 "}, %32, %33, 1, 1, 1, 0, 0;"           \
                 : VSRT_32("+f", c, 0)                                                                                                \
                 : "l"(a), "l"(b));                                                                                                   \
  }                                                                                                                                   \
  __device__ __forceinline__ void start_product(TYPE, float (&c)[16][4], unsigned long long a, unsigned long long b) {                \
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." NAME "." NAME " {" VSRT_FROM_0 ", " VSRT_FROM_32                       \
                 "}, %64, %65, 0, 1, 1, 0, 0;"                                                                                        \
                 : VSRT_32("=f", c, 0), VSRT_32("=f", c, 8)                                                                           \
                 : "l"(a), "l"(b));                                                                                                   \
  }                                                                                                                                   \
  __device__ __forceinline__ void add_product(TYPE, float (&c)[16][4], unsigned long long a, unsigned long long b) {                  \
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." NAME "." NAME " {" VSRT_FROM_0 ", " VSRT_FROM_32                       \
                 "}, %64, %65, 1, 1, 1, 0, 0;"                                                                                        \
                 : VSRT_32("+f", c, 0), VSRT_32("+f", c, 8)                                                                           \
                 : "l"(a), "l"(b));                                                                                                   \
  }                                                                                                                                   \
  __device__ __forceinline__ void add_weighted(TYPE, float (&c)[8][4], const unsigned (&a)[4], unsigned long long b) {                \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." NAME "." NAME " {" VSRT_FROM_0                                          \
                 "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;"                                                                          \
                 : VSRT_32("+f", c, 0)                                                                                                \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                                                               \
  }
VSRT_PRODUCTS(Half, "f16")
VSRT_PRODUCTS(Bfloat, "bf16")
#undef VSRT_PRODUCTS

// Registers as they are here: what is computed before stays before, what is computed with them after stays after.
template <int TILES>
__device__ __forceinline__ void settle(float (&c)[TILES][4]) {
#pragma unroll
  for (int n = 0; n < TILES; ++n) asm volatile("" : VSRT_4("+f", c, n)::"memory");
}
template <int TILES>
__device__ __forceinline__ void settle(unsigned (&a)[TILES][4]) {
#pragma unroll
  for (int n = 0; n < TILES; ++n) asm volatile("" : VSRT_4("+r", a, n)::"memory");
}

// Before products that use registers which were written otherwise; after the products of a group; until all groups but the last N are done.
__device__ __forceinline__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N>
__device__ __forceinline__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

// What this thread wrote or copied into shared memory is what products read there from now on.
__device__ __forceinline__ void show_to_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Barriers in shared memory, 8 bytes each. Each time `count` threads have arrived a phase ends; phases are numbered 0, 1, 0, 1, …
__device__ __forceinline__ void make_barrier(unsigned at, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(count) : "memory");
}
__device__ __forceinline__ void arrive(unsigned at) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
}
__device__ __forceinline__ void wait_for_phase(unsigned at, int phase) {
  asm volatile(
      "{\n.reg .pred done;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra DONE;\nbra AGAIN;\nDONE:\n}" ::"r"(at),
      "r"(phase)
      : "memory");
}

// The 128 threads of a warpgroup meet; `number` 1 to 15.
__device__ __forceinline__ void sync_warpgroup(int number) { asm volatile("bar.sync %0, 128;" ::"r"(number) : "memory"); }

// A warpgroup gives registers to the others, or takes them.
template <int REGISTERS>
__device__ __forceinline__ void keep_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
template <int REGISTERS>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

}  // namespace ptx
}  // namespace vsrt

#endif
