/* videoscene-rt's kernels for C and C++: the point-cloud renderer, the watch and attention. docs/kernels.md shows how they are used.
 *
 * Every function may be called from any thread, waits for nothing and allocates nothing; work is put on the given stream of the
 * current device, also while that stream is being captured. Pointers into device memory are multiples of 16 bytes.
 */
#ifndef VIDEOSCENE_RT_KERNELS_H
#define VIDEOSCENE_RT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define VSRT_API __attribute__((visibility("default")))
#else
#define VSRT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define VSRT_KERNELS_ABI 1

/* 0, one of these, or VSRT_CUDA_ERROR plus CUDA's own number (cudaError_t). */
typedef int32_t VsrtStatus;
enum {
  VSRT_OK = 0,
  VSRT_NULL_POINTER = 1,
  VSRT_BAD_SIZE = 2,
  VSRT_BAD_ALIGNMENT = 3,
  VSRT_WORKSPACE_TOO_SMALL = 4,
  VSRT_CUDA_ERROR = 1000
};

/* What one renderer draws. */
typedef struct VsrtSplatConfig {
  int32_t frames, height, width; /* F frames of H x W pixels; (H + 2 radius + 1)(W + 2 radius) <= 2^24 */
  int32_t max_points;            /* P: length of the point buffers, <= 2^24 */
  int32_t radius;                /* a point covers a square of 2 radius + 1 pixels; 0 to 8 */
  float near_plane;              /* metres; points with z <= near_plane are dropped */
  uint8_t background[4];         /* red, green, blue of holes; the fourth is not read */
  int32_t group_frames;          /* frames rendered at a time; 0: as many as keep their keys in the L2 cache */
} VsrtSplatConfig;

/* Dense device memory. xyz and rgb are read up to num_points, which is clamped to 0 ... P when the work runs. */
typedef struct VsrtSplatBuffers {
  const float *xyz;             /* [P,3] metres, world axes; any value, NaN included */
  const uint8_t *rgb;           /* [P,3] */
  const int32_t *num_points;    /* [1] */
  const float *world_to_camera; /* [F,4,4] row by row, x right, y down, z forward; the last row is not read */
  const float *intrinsics;      /* [F,3,3] pixels, pixel centres at integers; fx, fy, cx, cy are read */
  uint8_t *frames;              /* [F,H,W,3] */
  float *depth;                 /* [F,H,W] metres, 0 in holes */
  uint8_t *hole_mask;           /* [F,H,W], 1 = hole */
  void *workspace;              /* any content; nothing else may use it while the work runs */
  size_t workspace_bytes;
} VsrtSplatBuffers;

/* VSRT_KERNELS_ABI as the library was built with. */
VSRT_API int32_t vsrt_kernels_abi(void);

/* What a status means, in English; never NULL. */
VSRT_API const char *vsrt_status_string(VsrtStatus status);

/* How much workspace a configuration needs on the current device. */
VSRT_API VsrtStatus vsrt_splat_workspace_bytes(const VsrtSplatConfig *config, size_t *bytes);

/* Render. stream: a cudaStream_t or CUstream. The same bits come out for every stream, device and group_frames. */
VSRT_API VsrtStatus vsrt_splat_enqueue(const VsrtSplatConfig *config, const VsrtSplatBuffers *buffers, void *stream);

/* status[0] = how many of values[0 ... count) are not finite, status[1] = *timestep. status may be mapped host memory.
 * state: two words, zero before the first use and left to this function; uses that share them follow one another. */
VSRT_API VsrtStatus vsrt_watch_enqueue(const float *values, uint32_t count, const int32_t *timestep, int32_t *status,
                                       uint32_t *state, void *stream);

/* The formats of attention's tensors. */
enum { VSRT_FLOAT16 = 0, VSRT_BFLOAT16 = 1 };

/* softmax(query keyT scale) value for heads of 64 channels, which lie beside each other. Strides are those of batch, head and token,
 * in values, multiples of 8: [batch,heads,tokens,64] and [batch,tokens,heads,64] need no transposition. */
typedef struct VsrtAttentionConfig {
  int32_t batch, heads;  /* together with queries / 16 at most 2^31 - 1 */
  int32_t queries, keys; /* tokens; 1 to 2^30 each */
  int32_t format;        /* VSRT_FLOAT16 or VSRT_BFLOAT16, of all four tensors */
  float scale;           /* of the scores, positive and finite; 0.125 for the student */
  int64_t query_strides[3], key_strides[3], value_strides[3], out_strides[3];
} VsrtAttentionConfig;

/* Attention, without a mask and without a workspace; float32 between. out may not overlap the others. For compute capability 8.0 and
 * later. The same inputs give the same bits on one GPU model. */
VSRT_API VsrtStatus vsrt_attention_enqueue(const VsrtAttentionConfig *config, const void *query, const void *key,
                                           const void *value, void *out, void *stream);

#ifdef __cplusplus
}
#endif
#endif
