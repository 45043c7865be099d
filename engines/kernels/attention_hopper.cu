// softmax(Q·Kᵀ·scale)·V for heads of 64 channels on Hopper: the same arguments and arithmetic as attention.cu, with a warpgroup's products.
//
// After FlashAttention-3 (arXiv 2407.08608): one warpgroup copies tiles of K and V, the others have 64 queries each. While a tile's scores
// become weights, the product of the last tile's weights with its values runs in the background. For sm_90a alone. docs/kernels.md says more.

#include "attention_common.cuh"
#include "attention_wgmma.cuh"

namespace vsrt {

// CONSUMERS warpgroups with 64 queries each; KEYS keys a tile, 64 or 128; STAGES tiles of K and V in shared memory; EMULATED of 8 powers
// computed by arithmetic.
template <class Type_, int CONSUMERS_, int KEYS_, int STAGES_, int EMULATED_>
struct HopperShape {
  typedef Type_ Type;
  static constexpr int CONSUMERS = CONSUMERS_, KEYS = KEYS_, STAGES = STAGES_, EMULATED = EMULATED_;
  static constexpr int ROWS = 64 * CONSUMERS, THREADS = 128 * (CONSUMERS + 1), COPIERS = 64;
  static constexpr int TILE_BYTES = KEYS * ROW_BYTES, QUERY_BYTES = 64 * ROW_BYTES, STAGE_BYTES = 2 * TILE_BYTES;
  static constexpr int SHARED_BYTES = CONSUMERS * QUERY_BYTES + STAGES * STAGE_BYTES + 2 * STAGES * 8;
  static constexpr int KEPT = CONSUMERS == 3 ? 32 : 40, TAKEN = CONSUMERS == 3 ? 160 : 232;  // registers; 512 for one thread of each
  static_assert((CONSUMERS == 2 || CONSUMERS == 3) && (KEYS == 64 || KEYS == 128) && STAGES >= 3, "no such kernel");
};

// The producer's two halves copy tile after tile, in turns.
template <class Shape>
__device__ __forceinline__ void copy_tiles(const AttentionArguments &a, int batch, int head, int tiles, unsigned stages, unsigned full,
                                           unsigned empty) {
  const int turn = threadIdx.x / Shape::COPIERS, thread = threadIdx.x % Shape::COPIERS;
  Copier<Shape::KEYS, Shape::COPIERS> keys(a.key, batch * a.key_batch + head * a.key_head, a.key_token, thread, turn);
  Copier<Shape::KEYS, Shape::COPIERS> values(a.value, batch * a.value_batch + head * a.value_head, a.value_token, thread, turn);
  for (int tile = turn; tile < tiles; tile += 2) {
    const int stage = tile % Shape::STAGES, use = tile / Shape::STAGES;
    if (use > 0) ptx::wait_for_phase(empty + 8 * stage, (use - 1) % 2);
    const unsigned at = stages + stage * Shape::STAGE_BYTES;
    keys.next(at, a.keys, 2);
    values.next(at + Shape::TILE_BYTES, a.keys, 2);
    ptx::end_group();
    ptx::wait_for_groups<0>();
    ptx::show_to_products();
    ptx::arrive(full + 8 * stage);
  }
}

// 64 queries' way through the tiles.
template <class Shape>
struct Consumer {
  const typename Shape::Type type{};
  const AttentionArguments &a;
  const unsigned queries, stages, full, empty;  // addresses in shared memory
  float scores[Shape::KEYS / 8][4], out[DIM / 8][4] = {};
  unsigned weights[Shape::KEYS / 16][4];
  Row rows[2];

  __device__ __forceinline__ Consumer(const AttentionArguments &arguments, unsigned queries_, unsigned stages_, unsigned full_, unsigned empty_)
      : a(arguments), queries(queries_), stages(stages_), full(full_), empty(empty_) {
    start(rows);
  }

  __device__ __forceinline__ unsigned stage_of(int tile) const { return stages + tile % Shape::STAGES * Shape::STAGE_BYTES; }

  // Into `scores`, in the background.
  __device__ __forceinline__ void multiply_queries(int tile) {
    ptx::wait_for_phase(full + 8 * (tile % Shape::STAGES), tile / Shape::STAGES % 2);
    ptx::begin_products();
    const unsigned keys = stage_of(tile);
    ptx::start_product(type, scores, ptx::descriptor(queries), ptx::descriptor(keys));
#pragma unroll
    for (int k = 1; k < DIM / 16; ++k) ptx::add_product(type, scores, ptx::descriptor(queries + 32 * k), ptx::descriptor(keys + 32 * k));
    ptx::end_products();
  }

  // `weights` into `out`, in the background.
  __device__ __forceinline__ void multiply_values(int tile) {
    const unsigned values = stage_of(tile) + Shape::TILE_BYTES;
#pragma unroll
    for (int k = 0; k < Shape::KEYS / 16; ++k) ptx::add_weighted(type, out, weights[k], ptx::descriptor(values + k * 16 * ROW_BYTES));
    ptx::end_products();
  }

  // Scores to weights in float32. True where `out` shall be rescaled.
  __device__ __forceinline__ bool turn_into_weights(int tile, float (&factors)[2]) {
    if ((tile + 1) * Shape::KEYS > a.keys) mask(scores, tile * Shape::KEYS, threadIdx.x % 4, a.keys);
    const bool moved = move_references(scores, rows, factors, a.scale);
    weigh<Shape::EMULATED>(scores, rows, a.scale);
    return moved;
  }

  __device__ __forceinline__ void round_weights() {
#pragma unroll
    for (int k = 0; k < Shape::KEYS / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) weights[k][i] = ptx::pack(type, scores[2 * k + i / 2][i % 2 * 2], scores[2 * k + i / 2][i % 2 * 2 + 1]);
  }

  // This warp is done with a tile.
  __device__ __forceinline__ void release(int tile) {
    if (threadIdx.x % 32 == 0) ptx::arrive(empty + 8 * (tile % Shape::STAGES));
  }

  __device__ __forceinline__ void run(int tiles) {
    float factors[2];
    multiply_queries(0);
    ptx::wait_for_products<0>();
    ptx::settle(scores);
    turn_into_weights(0, factors);
    round_weights();
    for (int tile = 1; tile < tiles; ++tile) {
      ptx::settle(out), ptx::settle(weights);
      multiply_queries(tile);
      multiply_values(tile - 1);
      ptx::wait_for_products<1>();
      ptx::settle(scores);
      const bool moved = turn_into_weights(tile, factors);
      ptx::settle(scores);  // all of it before the wait
      ptx::wait_for_products<0>();
      ptx::settle(out);
      release(tile - 1);
      if (moved) rescale(out, factors);
      round_weights();
    }
    ptx::settle(out), ptx::settle(weights);
    ptx::begin_products();
    multiply_values(tiles - 1);
    ptx::wait_for_products<0>();
    ptx::settle(out);
  }
};

template <class Shape>
__device__ __forceinline__ void attend_on_hopper(const AttentionArguments &a) {
  const int row_tiles = (a.queries + Shape::ROWS - 1) / Shape::ROWS, tiles = (a.keys + Shape::KEYS - 1) / Shape::KEYS;
  const int head = blockIdx.x / row_tiles % a.heads, batch = blockIdx.x / row_tiles / a.heads;
  const unsigned shared = ptx::shared_memory(), stages = shared + Shape::CONSUMERS * Shape::QUERY_BYTES;
  const unsigned full = stages + Shape::STAGES * Shape::STAGE_BYTES, empty = full + 8 * Shape::STAGES;
  if (threadIdx.x == 0)
    for (int stage = 0; stage < Shape::STAGES; ++stage) {
      ptx::make_barrier(full + 8 * stage, Shape::COPIERS);
      ptx::make_barrier(empty + 8 * stage, 4 * Shape::CONSUMERS);
    }
  __syncthreads();
  if (threadIdx.x < 128) {
    ptx::keep_registers<Shape::KEPT>();
    copy_tiles<Shape>(a, batch, head, tiles, stages, full, empty);
    return;
  }
  ptx::take_registers<Shape::TAKEN>();
  const int consumer = threadIdx.x / 128 - 1, first_row = blockIdx.x % row_tiles * Shape::ROWS + 64 * consumer;
  const unsigned queries = shared + consumer * Shape::QUERY_BYTES;
  Copier<64, 128>(a.query, batch * a.query_batch + head * a.query_head + first_row * a.query_token, a.query_token, threadIdx.x % 128)
      .next(queries, a.queries - first_row);
  ptx::end_group();
  ptx::wait_for_groups<0>();
  ptx::show_to_products();
  ptx::sync_warpgroup(1 + consumer);
  Consumer<Shape> rows(a, queries, stages, full, empty);
  rows.run(tiles);
  store_band(rows.type, a, batch, head, first_row + threadIdx.x % 128 / 32 * 16, rows.out, rows.rows);
}

}  // namespace vsrt

// A kernel of some shape: batch · heads · ceil(queries / ROWS) blocks of THREADS threads with SHARED_BYTES of dynamic shared memory.
#define VSRT_HOPPER_KERNEL(NAME, ...)                                                                        \
  typedef vsrt::HopperShape<__VA_ARGS__> NAME##_shape;                                                       \
  extern "C" __global__ void __launch_bounds__(NAME##_shape::THREADS, 1) NAME(AttentionArguments a) {        \
    vsrt::attend_on_hopper<NAME##_shape>(a);                                                                 \
  }

#if defined(__CUDACC_RTC__)  // one kernel, for float16
VSRT_HOPPER_KERNEL(vsrt_attention, vsrt::Half, VSRT_ATTENTION_CONSUMERS, VSRT_ATTENTION_KEYS, VSRT_ATTENTION_STAGES, VSRT_ATTENTION_EMULATED)
#endif
