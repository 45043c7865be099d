// softmax(Q·Kᵀ·scale)·V for heads of 64 channels: float16 or bfloat16 in and out, float32 between, no mask, no scratch memory.
//
// A block takes ROWS queries of one head and goes through all keys, KEYS at a time, with FlashAttention-2's arithmetic (arXiv 2307.08691):
// each warp has ROWS / WARPS queries by itself, their scores, weights and sums never leave its registers, and the warps meet only where
// tiles of K and V have arrived in shared memory. For compute capability 8.0 and later. docs/kernels.md says more.
//
// One source for NVRTC (one kernel, chosen by the VSRT_ATTENTION_… macros) and nvcc (the caller writes VSRT_ATTENTION_KERNEL for each).

#include "attention_common.cuh"

namespace vsrt {

// What is chosen when a kernel is compiled. ROWS queries a block, of which a warp has ROWS / WARPS, a multiple of 16; KEYS keys a tile;
// STAGES tiles of K and V in shared memory; EMULATED of 8 powers computed by arithmetic; BLOCKS that shall fit a multiprocessor.
template <class Type_, int ROWS_, int KEYS_, int WARPS_, int STAGES_, int EMULATED_, int BLOCKS_>
struct AttentionShape {
  typedef Type_ Type;
  static constexpr int ROWS = ROWS_, KEYS = KEYS_, WARPS = WARPS_, STAGES = STAGES_, EMULATED = EMULATED_, BLOCKS = BLOCKS_;
  static constexpr int THREADS = 32 * WARPS, BANDS = ROWS / WARPS / 16, TILE_BYTES = KEYS * ROW_BYTES;
  static constexpr int SHARED_BYTES = 2 * STAGES * TILE_BYTES;
  static_assert(ROWS == BANDS * WARPS * 16, "a warp has whole bands of 16 queries");
  static_assert(KEYS % 16 == 0 && STAGES >= 2 && EMULATED >= 0 && EMULATED <= 8, "no such kernel");
};

template <class Shape>
__device__ __forceinline__ void attend(const AttentionArguments &a) {
  const typename Shape::Type type{};
  constexpr int BANDS = Shape::BANDS, KEYS = Shape::KEYS, STAGES = Shape::STAGES;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  const int row_tiles = (a.queries + Shape::ROWS - 1) / Shape::ROWS, tiles = (a.keys + KEYS - 1) / KEYS;
  const int head = blockIdx.x / row_tiles % a.heads, batch = blockIdx.x / row_tiles / a.heads;
  const int first_row = blockIdx.x % row_tiles * Shape::ROWS + warp * 16 * BANDS;

  const unsigned shared = ptx::shared_memory();
  Copier<KEYS, Shape::THREADS> keys(a.key, batch * a.key_batch + head * a.key_head, a.key_token, threadIdx.x);
  Copier<KEYS, Shape::THREADS> values(a.value, batch * a.value_batch + head * a.value_head, a.value_token, threadIdx.x);
  const auto copy_tile = [&](int tile) {
    const unsigned stage = shared + tile % STAGES * 2 * Shape::TILE_BYTES;
    keys.next(stage, a.keys);
    values.next(stage + Shape::TILE_BYTES, a.keys);
  };
#pragma unroll
  for (int tile = 0; tile < STAGES - 1; ++tile) {
    if (tile < tiles) copy_tile(tile);
    ptx::end_group();
  }

  // Q as A fragments, one for every 16 channels; queries that do not exist are zeros.
  unsigned q[BANDS][DIM / 16][4];
  const unsigned short *queries = static_cast<const unsigned short *>(a.query) + batch * a.query_batch + head * a.query_head;
#pragma unroll
  for (int band = 0; band < BANDS; ++band)
#pragma unroll
    for (int k = 0; k < DIM / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = first_row + 16 * band + g + 8 * (i % 2), channel = 16 * k + 2 * t + 8 * (i / 2);
        q[band][k][i] = row < a.queries ? *reinterpret_cast<const unsigned *>(queries + row * a.query_token + channel) : 0u;
      }

  float out[BANDS][DIM / 8][4] = {};
  Row rows[BANDS][2];
#pragma unroll
  for (int band = 0; band < BANDS; ++band) start(rows[band]);
  // ldmatrix: this lane's row in the first four matrices. K: matrices 0, 1 are channels 0 to 7 and 8 to 15 of keys 0 to 7, matrices 2, 3 of
  // keys 8 to 15: b0, b1 of two products. V, transposed: matrices 0, 1 are keys 0 to 7 and 8 to 15 of channels 0 to 7, 2, 3 of 8 to 15.
  // The channel's number counts in the offset by exclusive or alone, the key's by addition alone.
  const unsigned key_offset = chunk_offset(lane / 16 * 8 + lane % 8, lane / 8 % 2);
  const unsigned value_offset = chunk_offset(lane % 16, lane / 16);

  for (int tile = 0; tile < tiles; ++tile) {
    ptx::wait_for_groups<STAGES - 2>();
    __syncthreads();  // the tile is there for all, and all are done with the one before, whose stage is filled again
    if (tile + STAGES - 1 < tiles) copy_tile(tile + STAGES - 1);
    ptx::end_group();

    const unsigned stage = shared + tile % STAGES * 2 * Shape::TILE_BYTES;
    const unsigned key_at = stage + key_offset, value_at = stage + Shape::TILE_BYTES + value_offset;
    float scores[BANDS][KEYS / 8][4] = {};
#pragma unroll
    for (int k = 0; k < DIM / 16; ++k)
#pragma unroll
      for (int n = 0; n < KEYS / 16; ++n) {
        unsigned b[4];
        ptx::load_4(b, (key_at ^ k << 5) + n * 16 * ROW_BYTES);
#pragma unroll
        for (int band = 0; band < BANDS; ++band) {
          ptx::multiply(type, scores[band][2 * n], q[band][k], b[0], b[1]);
          ptx::multiply(type, scores[band][2 * n + 1], q[band][k], b[2], b[3]);
        }
      }
#pragma unroll
    for (int band = 0; band < BANDS; ++band) {
      if ((tile + 1) * KEYS > a.keys) mask(scores[band], tile * KEYS, t, a.keys);
      float factors[2];
      if (move_references(scores[band], rows[band], factors, a.scale)) rescale(out[band], factors);
      weigh<Shape::EMULATED>(scores[band], rows[band], a.scale);
    }
#pragma unroll
    for (int k = 0; k < KEYS / 16; ++k) {
      unsigned weights[BANDS][4];
#pragma unroll
      for (int band = 0; band < BANDS; ++band)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          weights[band][i] = ptx::pack(type, scores[band][2 * k + i / 2][i % 2 * 2], scores[band][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
      for (int n = 0; n < DIM / 16; ++n) {
        unsigned b[4];
        ptx::load_4_transposed(b, (value_at ^ n << 5) + k * 16 * ROW_BYTES);
#pragma unroll
        for (int band = 0; band < BANDS; ++band) {
          ptx::multiply(type, out[band][2 * n], weights[band], b[0], b[1]);
          ptx::multiply(type, out[band][2 * n + 1], weights[band], b[2], b[3]);
        }
      }
    }
  }

#pragma unroll
  for (int band = 0; band < BANDS; ++band) store_band(type, a, batch, head, first_row + 16 * band, out[band], rows[band]);
}

}  // namespace vsrt

// A kernel of some shape: batch · heads · ceil(queries / ROWS) blocks of THREADS threads with SHARED_BYTES of dynamic shared memory.
#define VSRT_ATTENTION_KERNEL(NAME, ...)                                                                             \
  typedef vsrt::AttentionShape<__VA_ARGS__> NAME##_shape;                                                            \
  extern "C" __global__ void __launch_bounds__(NAME##_shape::THREADS, NAME##_shape::BLOCKS) NAME(AttentionArguments a) { \
    vsrt::attend<NAME##_shape>(a);                                                                                   \
  }

#if defined(__CUDACC_RTC__)  // one kernel, for float16
VSRT_ATTENTION_KERNEL(vsrt_attention, vsrt::Half, VSRT_ATTENTION_ROWS, VSRT_ATTENTION_KEYS, VSRT_ATTENTION_WARPS, VSRT_ATTENTION_STAGES,
                      VSRT_ATTENTION_EMULATED, VSRT_ATTENTION_BLOCKS)
#endif
