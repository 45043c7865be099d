// softmax(Q·Kᵀ·scale)·V for heads of 64 channels: what the kernels for every GPU and those for Hopper share.
#pragma once

#include "attention_softmax.cuh"

// Plain data, passed by value; pointers first, so that every compiler and ctypes lay it out alike. Strides in values, multiples of 8.
struct AttentionArguments {
  const void *query, *key, *value;                       // [batch,heads,queries or keys,64], at multiples of 16 bytes
  void *out;                                             // [batch,heads,queries,64]
  long long query_batch, query_head, query_token;        // strides; the 64 channels lie beside each other
  long long key_batch, key_head, key_token;
  long long value_batch, value_head, value_token;
  long long out_batch, out_head, out_token;
  int batch, heads, queries, keys;                       // each at least 1
  float scale;                                           // of the scores, times log2(e); positive
};
static_assert(sizeof(AttentionArguments) == 16 * 8 + 5 * 4 + 4, "the host lays it out alike: no gap but at the end");

namespace vsrt {

constexpr int DIM = 64, ROW_BYTES = 2 * DIM, CHUNKS = ROW_BYTES / 16;

// Where a chunk of 16 bytes lies in a tile of K or V: row by row, the chunks of a row exchanged by its number. The eight chunks of a row
// (as copies write them) and the same chunk of eight rows (as ldmatrix reads them) each cover all 32 banks once.
__host__ __device__ constexpr int chunk_offset(int row, int chunk) { return row * ROW_BYTES + (chunk ^ (row & 7)) * 16; }

__host__ __device__ constexpr bool banks_once(bool by_row) {
  for (int fixed = 0; fixed < 8; ++fixed) {
    unsigned banks = 0;
    for (int moving = 0; moving < 8; ++moving)
      banks |= 0xfu << (by_row ? chunk_offset(fixed, moving) : chunk_offset(moving, fixed)) / 4 % 32;
    if (banks != 0xffffffffu) return false;
  }
  return true;
}
static_assert(banks_once(true) && banks_once(false), "no two threads of a phase share a bank");

// A thread's share of the tiles of K or V, which THREADS threads copy: one chunk of every ROWS_A_PASS-th row.
template <int KEYS, int THREADS>
struct Copier {
  static constexpr int ROWS_A_PASS = THREADS / CHUNKS, PASSES = KEYS / ROWS_A_PASS;
  static_assert(KEYS == PASSES * ROWS_A_PASS && ROWS_A_PASS % 8 == 0, "the threads copy a tile in whole passes");


  const unsigned short *from;  // this thread's chunk in row `row` of the head
  long long token;
  int row;
  unsigned to;  // in a stage's tile

  // first: the tile to begin with.
  __device__ __forceinline__ Copier(const void *tensor, long long head_offset, long long stride, int thread, int first = 0)
      : from(static_cast<const unsigned short *>(tensor) + head_offset + (first * KEYS + thread / CHUNKS) * stride + thread % CHUNKS * 8),
        token(stride),
        row(first * KEYS + thread / CHUNKS),
        to(chunk_offset(thread / CHUNKS, thread % CHUNKS)) {}

  // The next tile to `base`, then on by `tiles`; rows from `keys` on are zeros.
  __device__ __forceinline__ void next(unsigned base, int keys, int tiles = 1) {
#pragma unroll
    for (int pass = 0; pass < PASSES; ++pass) {
      const bool real = row + pass * ROWS_A_PASS < keys;
      ptx::copy_16(base + to + pass * ROWS_A_PASS * ROW_BYTES, from + pass * ROWS_A_PASS * token, real);
    }
    row += tiles * KEYS;
    from += tiles * KEYS * token;
  }
};

// A band's 16 rows from `first` on, of which this lane has parts of g and g+8: divided by the sums, rounded, written where there are queries.
template <class Type>
__device__ __forceinline__ void store_band(Type type, const AttentionArguments &a, int batch, int head, int first,
                                           const float (&out)[DIM / 8][4], const Row (&rows)[2]) {
  const int lane = threadIdx.x % 32;
  unsigned short *outs = static_cast<unsigned short *>(a.out) + batch * a.out_batch + head * a.out_head + lane % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = first + lane / 4 + 8 * half;
    const float factor = one_over_sum(rows[half].sum);
    if (row >= a.queries) continue;
#pragma unroll
    for (int n = 0; n < DIM / 8; ++n)
      *reinterpret_cast<unsigned *>(outs + row * a.out_token + 8 * n) =
          ptx::pack(type, out[n][2 * half] * factor, out[n][2 * half + 1] * factor);
  }
}

}  // namespace vsrt
