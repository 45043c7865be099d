// The point-cloud renderer: a coloured cloud along a trajectory to frames, depth and a hole mask.
//
// The arithmetic is docs/architecture.md's, "The renderer's arithmetic", in every bit; docs/kernels.md says how this file works.
// One source for three compilers: NVRTC when a pipeline loads, nvcc for the C library, a C++ compiler for the tests on a CPU.
// The functions marked VSRT_BOTH are the same for all three; a C++ compiler must not contract a·b + c (-ffp-contract=off).
//
// The frames are rendered in groups, whose keys fit the L2 cache. A key is 64 bits: 9 of epoch, 31 of depth, 24 of index; the
// smallest at a pixel wins. The epoch falls from group to group, so a later group's keys are below an earlier one's, which lie
// in the same memory and count as empty: the memory is cleared once a render.

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define VSRT_BOTH __host__ __device__ __forceinline__
#else
#include <cmath>
#include <cstddef>
#define VSRT_BOTH inline
#endif
#if defined(__CUDA_ARCH__)
#define VSRT_UNROLL _Pragma("unroll")
#else
#define VSRT_UNROLL
#endif

// What may be tuned; the host reads the same numbers (engines/kernels/plan.py, engines/kernels/native/).
#ifndef VSRT_THREADS
#define VSRT_THREADS 256  // of a block; a multiple of 32
#endif
#ifndef VSRT_CAMERAS
#define VSRT_CAMERAS 4  // that a thread projects its points into
#endif
#ifndef VSRT_PREREAD
#define VSRT_PREREAD 0  // look at a pixel before an atomic minimum that would lose
#endif

// Plain data, passed by value; pointers first, so that every compiler and ctypes lay it out alike.
struct SplatArguments {
  const float *xyz;                // [max_points,3] metres
  const unsigned char *rgb;        // [max_points,3]
  const int *num_points;           // [1]
  const float *world_to_camera;    // [frames,4,4]
  const float *intrinsics;         // [frames,3,3] pixels
  unsigned char *frames;           // [frames,height,width,3]
  float *depth;                    // [frames,height,width] metres
  unsigned char *hole_mask;        // [frames,height,width]
  unsigned long long *keys;        // scratch: [group_frames,key_rows,key_pitch]
  unsigned int *colours;           // scratch: [max_points], red in the lowest byte
  int frame_count, height, width;  // (width + 2·radius)·(height + 2·radius + 1) ≤ 2^24
  int max_points;                  // ≤ 2^24
  int radius;                      // 0 … 8
  int group_frames;                // frames of a group; at most MAX_GROUPS groups
  int point_blocks;                // blocks that share the points among them
  float near_plane;                // metres
  unsigned int background;         // red in the lowest byte
};

namespace vsrt {

typedef unsigned long long Key;

static_assert(sizeof(SplatArguments) == 10 * 8 + 9 * 4 + 4, "the host lays it out alike: no gap but at the end");
static_assert(VSRT_THREADS % 32 == 0 && VSRT_THREADS <= 1024, "blocks are whole warps");

[[maybe_unused]] constexpr int MAX_RADIUS = 8;
[[maybe_unused]] constexpr int MAX_GROUPS = 511;  // epochs 0 … 510
constexpr unsigned DEPTH_MASK = 0x7fffffffu, INDEX_MASK = 0xffffffu;
constexpr int INDEX_BITS = 24, EPOCH_SHIFT = 55;
constexpr Key EMPTY = ~0ull;  // its epoch, 511, is nobody's
constexpr float FAR = 32768.0f, DEPTH_STEPS = 65536.0f;
constexpr int CAMERA_FLOATS = 16;  // three rows of world_to_camera, then fx, fy, cx, cy
constexpr int SIDE = 4;            // a lane resolves SIDE×SIDE pixels
constexpr int WARPS = VSRT_THREADS / 32, STRIP = 32 * SIDE, BAND = WARPS * SIDE;  // a block resolves STRIP×BAND pixels

// ---- float32, one operation at a time -------------------------------------------------------------------------------------

VSRT_BOTH float add(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

VSRT_BOTH float multiply(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

VSRT_BOTH float divide(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

VSRT_BOTH float round_down(float a) {
#if defined(__CUDA_ARCH__)
  return floorf(a);
#else
  return std::floor(a);
#endif
}

// ---- keys -----------------------------------------------------------------------------------------------------------------

VSRT_BOTH Key make_key(unsigned epoch, unsigned q, unsigned index) {
  return (Key)epoch << EPOCH_SHIFT | (Key)q << INDEX_BITS | index;
}

VSRT_BOTH unsigned epoch_of(Key key) { return (unsigned)(key >> EPOCH_SHIFT); }
VSRT_BOTH unsigned index_of(Key key) { return (unsigned)key & INDEX_MASK; }

// Exact: q is the floor of a float32, so it has 24 significant bits.
VSRT_BOTH float depth_of(Key key) {
  return multiply((float)((unsigned)(key >> INDEX_BITS) & DEPTH_MASK), 1.0f / DEPTH_STEPS);
}

VSRT_BOTH Key smaller(Key a, Key b) { return a < b ? a : b; }

// ---- where keys lie: frames padded to whole patches, with a border of the radius --------------------------------------------

VSRT_BOTH int whole_patches(int length) { return (length + SIDE - 1) / SIDE * SIDE; }
VSRT_BOTH int key_margin(int radius) { return whole_patches(radius); }  // left and right, so that rows keep their alignment
VSRT_BOTH int key_pitch(int width, int radius) { return whole_patches(width) + 2 * key_margin(radius); }
VSRT_BOTH int key_rows(int height, int radius) { return whole_patches(height) + 2 * radius; }

VSRT_BOTH size_t frame_keys(const SplatArguments &s) {
  return (size_t)key_pitch(s.width, s.radius) * key_rows(s.height, s.radius);
}

VSRT_BOTH int group_count(const SplatArguments &s) { return (s.frame_count + s.group_frames - 1) / s.group_frames; }
VSRT_BOTH unsigned group_epoch(const SplatArguments &s, int group) { return group_count(s) - 1 - group; }

VSRT_BOTH int frames_of_group(const SplatArguments &s, int group) {
  const int left = s.frame_count - group * s.group_frames;
  return left < s.group_frames ? left : s.group_frames;
}

VSRT_BOTH Key *keys_of_frame(const SplatArguments &s, int frame_in_group) { return s.keys + frame_in_group * frame_keys(s); }

VSRT_BOTH int points_in_use(const SplatArguments &s) {
  const int given = *s.num_points;
  return given < 0 ? 0 : given > s.max_points ? s.max_points : given;
}

// ---- points to keys ---------------------------------------------------------------------------------------------------------

// Element 0 … 15 of a camera as `land` reads it.
VSRT_BOTH float camera_element(const SplatArguments &s, int frame, int element) {
  if (element < 12) return s.world_to_camera[(size_t)frame * 16 + element];
  const float *K = s.intrinsics + (size_t)frame * 9;
  return K[element == 12 ? 0 : element == 13 ? 4 : element == 14 ? 2 : 5];
}

VSRT_BOTH float axis(const float *row, float x, float y, float z) {
  return add(add(add(multiply(row[0], x), multiply(row[1], y)), multiply(row[2], z)), row[3]);
}

// Where a point's key goes among its frame's keys, and its depth in steps; false where it is dropped.
// Comparisons with NaN are false. Floats become integers only after they were found to be in range.
VSRT_BOTH bool land(const SplatArguments &s, const float *camera, float x, float y, float z, int &offset, unsigned &q) {
  const float Z = axis(camera + 8, x, y, z);
  if (!(s.near_plane < Z && Z < FAR)) return false;
  const float X = axis(camera, x, y, z), Y = axis(camera + 4, x, y, z);
  const float px = round_down(add(add(multiply(camera[12], divide(X, Z)), camera[14]), 0.5f));
  const float py = round_down(add(add(multiply(camera[13], divide(Y, Z)), camera[15]), 0.5f));
  const float first = (float)-s.radius, right = (float)(s.width + s.radius), bottom = (float)(s.height + s.radius);
  if (!(px >= first && px < right && py >= first && py < bottom)) return false;
  offset = ((int)py + s.radius) * key_pitch(s.width, s.radius) + (int)px + key_margin(s.radius);
  q = (unsigned)multiply(Z, DEPTH_STEPS);  // exact product below 2^31; the cast drops the fraction, and Z > 0
  return true;
}

// ---- keys to pixels ---------------------------------------------------------------------------------------------------------

// out[i] = min(k[i], …, k[i + 2R]): the windows share their middle.
template <int R>
VSRT_BOTH void window_minima(const Key (&k)[SIDE + 2 * R], Key (&out)[SIDE]) {
  constexpr int E = 2 * R;
  if constexpr (R == 0) {
    VSRT_UNROLL
    for (int i = 0; i < SIDE; ++i) out[i] = k[i];
  } else {
    const Key a = smaller(k[1], k[2]), b = smaller(k[E + 1], k[E + 2]);
    out[0] = smaller(k[0], a), out[1] = smaller(a, k[E + 1]), out[2] = smaller(k[2], b), out[3] = smaller(b, k[E + 3]);
    if constexpr (R > 1) {
      Key middle = k[3];
      VSRT_UNROLL
      for (int i = 4; i <= E; ++i) middle = smaller(middle, k[i]);
      VSRT_UNROLL
      for (int i = 0; i < SIDE; ++i) out[i] = smaller(out[i], middle);
    }
  }
}

VSRT_BOTH void load_pair(const Key *from, Key &first, Key &second) {
#if defined(__CUDA_ARCH__)
  const ulonglong2 pair = __ldg(reinterpret_cast<const ulonglong2 *>(from));
  first = pair.x, second = pair.y;
#else
  first = from[0], second = from[1];
#endif
}

// The winning keys of the SIDE×SIDE pixels whose first is (x0, y0), both multiples of SIDE and inside the image: what
// whole_patches adds to a frame's keys, and its border, are all that this reads around them.
template <int R>
VSRT_BOTH void patch_minima(const SplatArguments &s, const Key *keys, int x0, int y0, Key (&best)[SIDE][SIDE]) {
  constexpr int HALO = (R + 1) / 2 * 2, SPAN = SIDE + 2 * R;  // rows are read in aligned pairs
  const int pitch = key_pitch(s.width, R);
  const Key *corner = keys + (size_t)y0 * pitch + (x0 + key_margin(R) - HALO);
  Key rows[SPAN][SIDE];
  VSRT_UNROLL
  for (int y = 0; y < SPAN; ++y) {
    Key around[SIDE + 2 * HALO], k[SPAN];
    VSRT_UNROLL
    for (int x = 0; x < SIDE + 2 * HALO; x += 2) load_pair(corner + (size_t)y * pitch + x, around[x], around[x + 1]);
    VSRT_UNROLL
    for (int x = 0; x < SPAN; ++x) k[x] = around[x + HALO - R];
    window_minima<R>(k, rows[y]);
  }
  VSRT_UNROLL
  for (int x = 0; x < SIDE; ++x) {
    Key column[SPAN], out[SIDE];
    VSRT_UNROLL
    for (int y = 0; y < SPAN; ++y) column[y] = rows[y][x];
    window_minima<R>(column, out);
    VSRT_UNROLL
    for (int y = 0; y < SIDE; ++y) best[y][x] = out[y];
  }
}

struct Pixel {
  unsigned colour, hole;
  float depth;
};

VSRT_BOTH Pixel look_up(const SplatArguments &s, Key key, unsigned epoch) {
  if (epoch_of(key) != epoch) return Pixel{s.background, 1u, 0.0f};
#if defined(__CUDA_ARCH__)
  return Pixel{__ldg(s.colours + index_of(key)), 0u, depth_of(key)};
#else
  return Pixel{s.colours[index_of(key)], 0u, depth_of(key)};
#endif
}

// Four colours as twelve bytes, in the order of memory.
VSRT_BOTH void pack(const Pixel (&p)[SIDE], unsigned (&words)[3]) {
  words[0] = p[0].colour | p[1].colour << 24;
  words[1] = p[1].colour >> 8 | p[2].colour << 16;
  words[2] = p[2].colour >> 16 | p[3].colour << 8;
}

VSRT_BOTH unsigned pack_colour(const unsigned char *rgb) {
  return (unsigned)rgb[0] | (unsigned)rgb[1] << 8 | (unsigned)rgb[2] << 16;
}

// ---- blocks of a launch -------------------------------------------------------------------------------------------------------

VSRT_BOTH int strips(const SplatArguments &s) { return (s.width + STRIP - 1) / STRIP; }
VSRT_BOTH int bands(const SplatArguments &s) { return (s.height + BAND - 1) / BAND; }

VSRT_BOTH unsigned splat_blocks(const SplatArguments &s, int group) {
  return s.point_blocks * ((frames_of_group(s, group) + VSRT_CAMERAS - 1) / VSRT_CAMERAS);
}

VSRT_BOTH unsigned resolve_blocks(const SplatArguments &s, int group) {
  return (unsigned)strips(s) * bands(s) * frames_of_group(s, group);
}

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

// The present value, from L2, while other threads lower it: never below what it becomes, so skipping by it is safe.
__device__ __forceinline__ Key glance(const Key *at) {
#if defined(__CUDA_ARCH__)
  Key value;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(at) : "memory");
  return value;
#else
  return __atomic_load_n(at, __ATOMIC_RELAXED);
#endif
}

// Block `block` of splat_blocks(s, group): a share of the points into up to VSRT_CAMERAS frames of a group.
__device__ __forceinline__ void splat_block(const SplatArguments &s, int group, unsigned block) {
  __shared__ __align__(16) float cameras[VSRT_CAMERAS][CAMERA_FLOATS];
  const int chunk = block / s.point_blocks * VSRT_CAMERAS, share = block % s.point_blocks;
  const int points = points_in_use(s);
  if (share * VSRT_THREADS >= points) return;  // the whole block
  const int left = frames_of_group(s, group) - chunk, count = left < VSRT_CAMERAS ? left : VSRT_CAMERAS;
  for (int i = threadIdx.x; i < count * CAMERA_FLOATS; i += VSRT_THREADS)
    cameras[i / CAMERA_FLOATS][i % CAMERA_FLOATS] =
        camera_element(s, group * s.group_frames + chunk + i / CAMERA_FLOATS, i % CAMERA_FLOATS);
  __syncthreads();
  Key *const keys = keys_of_frame(s, chunk);
  const size_t step = frame_keys(s);
  const unsigned epoch = group_epoch(s, group);
  for (int i = share * VSRT_THREADS + threadIdx.x; i < points; i += s.point_blocks * VSRT_THREADS) {
    const float x = __ldg(s.xyz + 3 * i), y = __ldg(s.xyz + 3 * i + 1), z = __ldg(s.xyz + 3 * i + 2);
    Key *at[VSRT_CAMERAS];
    Key key[VSRT_CAMERAS];
    VSRT_UNROLL
    for (int c = 0; c < VSRT_CAMERAS; ++c) {
      int offset;
      unsigned q;
      at[c] = nullptr;
      if (c < count && land(s, cameras[c], x, y, z, offset, q)) {
        at[c] = keys + c * step + offset;
        key[c] = make_key(epoch, q, i);
      }
    }
#if VSRT_PREREAD
    Key present[VSRT_CAMERAS];
    VSRT_UNROLL
    for (int c = 0; c < VSRT_CAMERAS; ++c)
      if (at[c] != nullptr) present[c] = glance(at[c]);
    VSRT_UNROLL
    for (int c = 0; c < VSRT_CAMERAS; ++c)
      if (at[c] != nullptr && key[c] < present[c]) atomicMin(at[c], key[c]);
#else
    VSRT_UNROLL
    for (int c = 0; c < VSRT_CAMERAS; ++c)
      if (at[c] != nullptr) atomicMin(at[c], key[c]);
#endif
  }
}

// Block `block` of resolve_blocks(s, group): STRIP×BAND pixels of one frame of a group. Outputs are streamed past the keys.
template <int R>
__device__ __forceinline__ void resolve_block(const SplatArguments &s, int group, unsigned block) {
  __shared__ unsigned staged[WARPS][SIDE][32 * 3];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int strip = block % strips(s) * STRIP, band = block / strips(s) % bands(s) * BAND;
  const int frame_in_group = block / strips(s) / bands(s);
  const int x0 = strip + lane * SIDE, y0 = band + warp * SIDE;
  if (y0 >= s.height) return;  // the whole warp; warps do not wait for each other here
  const int rows = s.height - y0 < SIDE ? s.height - y0 : SIDE;
  const size_t first_pixel = ((size_t)(group * s.group_frames + frame_in_group) * s.height + y0) * s.width + strip;
  const bool whole = s.width % SIDE == 0;  // every lane has four pixels of a row or none, and they are aligned
  if (x0 < s.width) {
    Key best[SIDE][SIDE];
    patch_minima<R>(s, keys_of_frame(s, frame_in_group), x0, y0, best);
    const unsigned epoch = group_epoch(s, group);
    VSRT_UNROLL
    for (int y = 0; y < SIDE; ++y) {
      if (y >= rows) break;
      Pixel p[SIDE];
      VSRT_UNROLL
      for (int x = 0; x < SIDE; ++x) p[x] = look_up(s, best[y][x], epoch);
      const size_t pixel = first_pixel + (size_t)y * s.width + lane * SIDE;
      if (whole) {
        __stcs(reinterpret_cast<float4 *>(s.depth + pixel), make_float4(p[0].depth, p[1].depth, p[2].depth, p[3].depth));
        __stcs(reinterpret_cast<unsigned *>(s.hole_mask + pixel),
               p[0].hole | p[1].hole << 8 | p[2].hole << 16 | p[3].hole << 24);
        unsigned words[3];
        pack(p, words);
        VSRT_UNROLL
        for (int i = 0; i < 3; ++i) staged[warp][y][3 * lane + i] = words[i];
      } else {
        VSRT_UNROLL
        for (int x = 0; x < SIDE; ++x) {
          if (x0 + x >= s.width) break;
          s.depth[pixel + x] = p[x].depth;
          s.hole_mask[pixel + x] = (unsigned char)p[x].hole;
          for (int i = 0; i < 3; ++i) s.frames[3 * (pixel + x) + i] = (unsigned char)(p[x].colour >> 8 * i);
        }
      }
    }
  }
  if (!whole) return;
  __syncwarp();
  // A lane's colours are 12 bytes; the warp writes its row word by word, neighbours beside each other.
  const int left = s.width - strip, words = (left < STRIP ? left : STRIP) * 3 / 4;
  for (int y = 0; y < rows; ++y) {
    unsigned *row = reinterpret_cast<unsigned *>(s.frames + 3 * (first_pixel + (size_t)y * s.width));
    VSRT_UNROLL
    for (int i = lane; i < 32 * 3; i += 32)
      if (i < words) __stcs(row + i, staged[warp][y][i]);
  }
}

#endif

}  // namespace vsrt

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

// Before the first group: every key empty, every point's colour in one word. Any number of blocks.
extern "C" __global__ void __launch_bounds__(VSRT_THREADS) vsrt_splat_prepare(SplatArguments s, int) {
  const size_t first = (size_t)blockIdx.x * VSRT_THREADS + threadIdx.x, step = (size_t)gridDim.x * VSRT_THREADS;
  const size_t pairs = s.group_frames * vsrt::frame_keys(s) / 2;
  for (size_t i = first; i < pairs; i += step)
    reinterpret_cast<ulonglong2 *>(s.keys)[i] = make_ulonglong2(vsrt::EMPTY, vsrt::EMPTY);
  const size_t points = vsrt::points_in_use(s);
  for (size_t i = first; i < points; i += step) s.colours[i] = vsrt::pack_colour(s.rgb + 3 * i);
}

// Draw one group: splat_blocks blocks.
extern "C" __global__ void __launch_bounds__(VSRT_THREADS) vsrt_splat_points(SplatArguments s, int group) {
  vsrt::splat_block(s, group, blockIdx.x);
}

// Resolve one group, for each radius: resolve_blocks blocks.
#define VSRT_RESOLVE(R)                                                                                             \
  extern "C" __global__ void __launch_bounds__(VSRT_THREADS) vsrt_splat_resolve_##R(SplatArguments s, int group) { \
    vsrt::resolve_block<R>(s, group, blockIdx.x);                                                                   \
  }
#define VSRT_RESOLVE_ONE(R) VSRT_RESOLVE(R)

#if defined(VSRT_RADIUS)  // NVRTC compiles the one that is asked for
VSRT_RESOLVE_ONE(VSRT_RADIUS)
#else
VSRT_RESOLVE(0)
VSRT_RESOLVE(1)
VSRT_RESOLVE(2)
VSRT_RESOLVE(3)
VSRT_RESOLVE(4)
VSRT_RESOLVE(5)
VSRT_RESOLVE(6)
VSRT_RESOLVE(7)
VSRT_RESOLVE(8)
#endif

#endif
