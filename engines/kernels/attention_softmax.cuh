// Softmax over scores that arrive tile by tile (arXiv 2205.14135, 2307.08691), on the fragments of a warp: 16 rows, of which a lane
// holds parts of two, g and g+8; the four lanes with the same g share a row.
#pragma once

#include "attention_ptx.cuh"

namespace vsrt {

constexpr float NOTHING = -3.0e38f;  // the score of no key: beside any other its weight is 0
constexpr unsigned WARP = 0xffffffffu;

// A row's largest score may pass its reference by this power of two before sums are rescaled: weights are then 256 at most, which
// float16 holds as exactly as 1. The reference moves seldom, and the result is the same but for rounding.
constexpr float SLACK = 8.0f;

// 2^x by arithmetic alone, for a part of the weights: the unit for powers does 16 a clock, the multipliers 128. Relative error ≤ 1.1e-4,
// less than a quarter of what rounding to float16 takes; 1 at 0; for x ≤ -125 it is 2^-125, which counts as nothing beside a weight of 1.
__device__ __forceinline__ float power_of_2_by_arithmetic(float x) {
  constexpr float ROUNDER = 12582912.0f;  // 1.5·2^23: the sum's last bits are the nearest integer
  x = ptx::larger(x, -125.0f);
  const float rounded = __fadd_rn(x, ROUNDER);
  const float f = __fsub_rn(x, __fsub_rn(rounded, ROUNDER));  // -0.5 … 0.5
  float p = __fmaf_rn(0.05500893294811249f, f, 0.2422109693288803f);
  p = __fmaf_rn(p, f, 0.6932829022407532f);
  p = __fmaf_rn(p, f, 1.0f);
  return ptx::float_of(ptx::bits_of(p) + (ptx::bits_of(rounded) << 23));
}

// One row of a lane's two. It has no initializers, for nvcc (13.0 at least) forgets them in arrays of arrays, of which it fills all but
// the first with zeros: `start` sets what a row begins with.
struct Row {
  float reference;  // close to the largest score yet, times scale·log2(e)
  float sum;        // of this lane's weights
};

// Nothing has been seen of these rows yet.
__device__ __forceinline__ void start(Row (&rows)[2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) rows[half].reference = NOTHING, rows[half].sum = 0.0f;
}

// The largest of a row's scores in this tile, in all four lanes.
template <int TILES>
__device__ __forceinline__ float largest(const float (&scores)[TILES][4], int half) {
  float most = fmaxf(scores[0][2 * half], scores[0][2 * half + 1]);
#pragma unroll
  for (int n = 1; n < TILES; ++n) most = fmaxf(most, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
  most = fmaxf(most, __shfl_xor_sync(WARP, most, 1));
  return fmaxf(most, __shfl_xor_sync(WARP, most, 2));
}

// Moves references that this tile's scores pass; the sums with them. True in the whole warp if one moved: then what was added up with the
// weights before shall be multiplied by `factors`.
template <int TILES>
__device__ __forceinline__ bool move_references(const float (&scores)[TILES][4], Row (&rows)[2], float (&factors)[2], float scale) {
  const float most[2] = {largest(scores, 0) * scale, largest(scores, 1) * scale};
  const bool moves = most[0] > rows[0].reference + SLACK || most[1] > rows[1].reference + SLACK;
  if (!__any_sync(WARP, moves)) return false;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float before = rows[half].reference;
    const bool passed = most[half] > before + SLACK;
    factors[half] = passed ? ptx::power_of_2(before - most[half]) : 1.0f;
    rows[half].reference = passed ? most[half] : before;
    rows[half].sum *= factors[half];
  }
  return true;
}

template <int TILES>
__device__ __forceinline__ void rescale(float (&out)[TILES][4], const float (&factors)[2]) {
#pragma unroll
  for (int n = 0; n < TILES; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) out[n][i] *= factors[i / 2];
}

// Scores to weights 2^(score·scale - reference), in place, and into the sums. EMULATED of every 8 are computed by arithmetic.
template <int EMULATED, int TILES>
__device__ __forceinline__ void weigh(float (&scores)[TILES][4], Row (&rows)[2], float scale) {
#pragma unroll
  for (int n = 0; n < TILES; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float x = __fmaf_rn(scores[n][i], scale, -rows[i / 2].reference);
      const bool by_arithmetic = (4 * n + i) * EMULATED % 8 < EMULATED;  // known to the compiler; spread evenly
      scores[n][i] = by_arithmetic ? power_of_2_by_arithmetic(x) : ptx::power_of_2(x);
      rows[i / 2].sum += scores[n][i];
    }
  }
}

// 1 / sum over all keys, in all four lanes.
__device__ __forceinline__ float one_over_sum(float sum) {
  sum += __shfl_xor_sync(WARP, sum, 1);
  sum += __shfl_xor_sync(WARP, sum, 2);
  return __fdiv_rn(1.0f, sum);
}

// Scores of keys that do not exist count nothing. `first`: the key of scores[0][0] in lane t = 0; `t`: lane % 4.
template <int TILES>
__device__ __forceinline__ void mask(float (&scores)[TILES][4], int first, int t, int keys) {
#pragma unroll
  for (int n = 0; n < TILES; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (first + 8 * n + 2 * t + i % 2 >= keys) scores[n][i] = NOTHING;
}

}  // namespace vsrt
