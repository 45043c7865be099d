// The instructions that attention.cu is made of, one function each. tests/engines/kernels/native/warps_on_cpu.h has the same functions in C++.
//
// How a warp's lanes hold a matrix, with g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix fragments for mma.m16n8k16"):
//
//   A, 16×16, 4 registers of two values   a[0]: row g,   columns 2t, 2t+1      a[2]: row g,   columns 2t+8, 2t+9
//                                         a[1]: row g+8, columns 2t, 2t+1      a[3]: row g+8, columns 2t+8, 2t+9
//   B, 16×8, 2 registers of two values    b0: rows 2t, 2t+1 of column g        b1: rows 2t+8, 2t+9 of column g
//   C, 16×8, 4 floats                     c[0], c[1]: row g, columns 2t, 2t+1  c[2], c[3]: row g+8, columns 2t, 2t+1
//
// So the C of two neighbouring products, rounded in pairs, is the A of the next one: c[0..3] of columns 0 to 7 are a[0], a[1], those of
// columns 8 to 15 are a[2], a[3]. The lower half of a register is the value with the lower index.
#pragma once

#if !defined(VSRT_WARPS_ON_CPU)

namespace vsrt {

// The two formats of the inputs and the output.
struct Half {};
struct Bfloat {};

namespace ptx {

// Where the block's dynamic shared memory begins, as an address in shared memory; a multiple of 1,024.
__device__ __forceinline__ unsigned shared_memory() {
  extern __shared__ __align__(1024) unsigned char memory[];
  return static_cast<unsigned>(__cvta_generic_to_shared(memory));
}

// Sixteen bytes from global to shared memory, in the background; zeros where `real` is false, and then nothing is read.
__device__ __forceinline__ void copy_16(unsigned to, const void *from, bool real) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(real ? 16 : 0) : "memory");
}

// What this thread has copied since the last call is a group.
__device__ __forceinline__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all of this thread's groups but the last N are there.
template <int N>
__device__ __forceinline__ void wait_for_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Four 8×8 matrices of 16-bit values. Lanes 8m to 8m+7 name the rows of matrix m, sixteen bytes each; a lane gets of each matrix row g,
// columns 2t and 2t+1.
__device__ __forceinline__ void load_4(unsigned (&to)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row));
}

// The same, transposed: a lane gets of each matrix rows 2t and 2t+1 of column g.
__device__ __forceinline__ void load_4_transposed(unsigned (&to)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row));
}

// c += a·b, products exact, sums in float32.
__device__ __forceinline__ void multiply(Half, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void multiply(Bfloat, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two floats rounded to nearest even, `low` in the lower half.
__device__ __forceinline__ unsigned pack(Half, float low, float high) {
  unsigned both;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
__device__ __forceinline__ unsigned pack(Bfloat, float low, float high) {
  unsigned both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}

// 2^x, to within 2 units in the last place; 0 for -∞.
__device__ __forceinline__ float power_of_2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The larger one; NaN where one is NaN, which fmaxf would lose.
__device__ __forceinline__ float larger(float a, float b) {
  float c;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(c) : "f"(a), "f"(b));
  return c;
}

__device__ __forceinline__ unsigned bits_of(float x) { return __float_as_uint(x); }
__device__ __forceinline__ float float_of(unsigned bits) { return __uint_as_float(bits); }

}  // namespace ptx
}  // namespace vsrt

#endif
