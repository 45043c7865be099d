/* The renderer on one CPU thread, made of splat.cu's own functions: what its kernels are compared with. */
#ifndef VSRT_SPLAT_CPU_H
#define VSRT_SPLAT_CPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t frames, height, width, max_points, radius, group_frames;
  float near_plane;
  uint8_t background[3];
} SplatCpuSizes;

/* Keys of one frame, as the kernels lay them out. */
size_t splat_cpu_frame_keys(int32_t height, int32_t width, int32_t radius);

/* Renders as the kernels do, in groups. Arrays are dense; shapes are the graph's.
 * Returns 0, or 1 for sizes that the kernels do not take. */
int splat_cpu_render(const SplatCpuSizes *sizes, const float *xyz, const uint8_t *rgb, const int32_t *num_points,
                     const float *world_to_camera, const float *intrinsics, uint8_t *frames, float *depth,
                     uint8_t *hole_mask);

/* The C library's plan for these sizes: frame_keys, group_frames, groups, point_blocks, key_bytes, workspace_bytes. */
void splat_cpu_plan(const SplatCpuSizes *sizes, int64_t l2_bytes, int64_t out[6]);

/* Does what a kernel of splat.cu does, by its name, with its arguments: `arguments` points to a SplatArguments whose pointers
 * are the host's. Returns 0, 1 for a name that no kernel has, 2 for a number of blocks that the kernel does not expect. */
int splat_cpu_launch(const char *kernel, uint32_t blocks, const void *arguments, int32_t group);

#ifdef __cplusplus
}
#endif
#endif
