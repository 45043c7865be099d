// The C library: what videoscene_rt_kernels.h promises, over the kernels of splat.cu and watch.cu.

#include "videoscene_rt_kernels.h"

#include <cuda_runtime.h>

#include "../splat.cu"
#include "../watch.cu"
#include "splat_plan.h"

namespace {

typedef void (*Kernel)(SplatArguments, int);

const Kernel RESOLVE[] = {vsrt_splat_resolve_0, vsrt_splat_resolve_1, vsrt_splat_resolve_2,
                          vsrt_splat_resolve_3, vsrt_splat_resolve_4, vsrt_splat_resolve_5,
                          vsrt_splat_resolve_6, vsrt_splat_resolve_7, vsrt_splat_resolve_8};
static_assert(sizeof(RESOLVE) / sizeof(Kernel) == vsrt::MAX_RADIUS + 1, "a kernel for each radius");

VsrtStatus status_of(cudaError_t error) { return error == cudaSuccess ? VSRT_OK : VSRT_CUDA_ERROR + (int32_t)error; }

VsrtStatus plan_of(const VsrtSplatConfig &c, vsrt::SplatPlan &plan) {
  if (!vsrt::drawable(c.frames, c.height, c.width, c.max_points, c.radius) || c.group_frames < 0) return VSRT_BAD_SIZE;
  int device = 0, l2_bytes = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&l2_bytes, cudaDevAttrL2CacheSize, device);
  if (error != cudaSuccess) return status_of(error);
  plan = vsrt::splat_plan(c.frames, c.height, c.width, c.max_points, c.radius, c.group_frames, l2_bytes,
                          VSRT_THREADS);
  return VSRT_OK;
}

VsrtStatus check(const VsrtSplatBuffers &b, const vsrt::SplatPlan &plan) {
  const void *const pointers[] = {b.xyz,    b.rgb,   b.num_points, b.world_to_camera, b.intrinsics,
                                  b.frames, b.depth, b.hole_mask,  b.workspace};
  for (const void *pointer : pointers) {
    if (pointer == nullptr) return VSRT_NULL_POINTER;
    if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0) return VSRT_BAD_ALIGNMENT;
  }
  return b.workspace_bytes < (size_t)plan.workspace_bytes ? VSRT_WORKSPACE_TOO_SMALL : VSRT_OK;
}

SplatArguments arguments_of(const VsrtSplatConfig &c, const VsrtSplatBuffers &b, const vsrt::SplatPlan &plan) {
  SplatArguments s{};
  s.xyz = b.xyz, s.rgb = b.rgb, s.num_points = b.num_points;
  s.world_to_camera = b.world_to_camera, s.intrinsics = b.intrinsics;
  s.frames = b.frames, s.depth = b.depth, s.hole_mask = b.hole_mask;
  s.keys = static_cast<unsigned long long *>(b.workspace);
  s.colours = reinterpret_cast<unsigned *>(static_cast<char *>(b.workspace) + plan.key_bytes);
  s.frame_count = c.frames, s.height = c.height, s.width = c.width, s.max_points = c.max_points, s.radius = c.radius;
  s.group_frames = (int)plan.group_frames, s.point_blocks = (int)plan.point_blocks;
  s.near_plane = c.near_plane, s.background = vsrt::pack_colour(c.background);
  return s;
}

cudaError_t launch(Kernel kernel, int64_t blocks, SplatArguments &s, int group, cudaStream_t stream) {
  void *arguments[] = {&s, &group};
  return cudaLaunchKernel(reinterpret_cast<const void *>(kernel), dim3((unsigned)blocks), dim3(VSRT_THREADS), arguments,
                          0, stream);
}

cudaError_t render(SplatArguments &s, cudaStream_t stream) {
  cudaError_t error = launch(vsrt_splat_prepare, vsrt::PREPARE_BLOCKS, s, 0, stream);
  for (int group = 0; group < vsrt::group_count(s) && error == cudaSuccess; ++group) {
    error = launch(vsrt_splat_points, vsrt::splat_blocks(s, group), s, group, stream);
    if (error == cudaSuccess) error = launch(RESOLVE[s.radius], vsrt::resolve_blocks(s, group), s, group, stream);
  }
  return error;
}

}  // namespace

int32_t vsrt_kernels_abi(void) { return VSRT_KERNELS_ABI; }

const char *vsrt_status_string(VsrtStatus status) {
  switch (status) {
    case VSRT_OK: return "done";
    case VSRT_NULL_POINTER: return "a pointer is null";
    case VSRT_BAD_SIZE: return "a size is out of range";
    case VSRT_BAD_ALIGNMENT: return "a pointer is no multiple of 16 bytes";
    case VSRT_WORKSPACE_TOO_SMALL: return "the workspace is too small";
    default: break;
  }
  if (status > VSRT_CUDA_ERROR) return cudaGetErrorString((cudaError_t)(status - VSRT_CUDA_ERROR));
  return "no status of this library";
}

VsrtStatus vsrt_splat_workspace_bytes(const VsrtSplatConfig *config, size_t *bytes) {
  if (config == nullptr || bytes == nullptr) return VSRT_NULL_POINTER;
  vsrt::SplatPlan plan;
  const VsrtStatus status = plan_of(*config, plan);
  if (status == VSRT_OK) *bytes = (size_t)plan.workspace_bytes;
  return status;
}

VsrtStatus vsrt_splat_enqueue(const VsrtSplatConfig *config, const VsrtSplatBuffers *buffers, void *stream) {
  if (config == nullptr || buffers == nullptr) return VSRT_NULL_POINTER;
  vsrt::SplatPlan plan;
  VsrtStatus status = plan_of(*config, plan);
  if (status == VSRT_OK) status = check(*buffers, plan);
  if (status != VSRT_OK) return status;
  SplatArguments s = arguments_of(*config, *buffers, plan);
  return status_of(render(s, static_cast<cudaStream_t>(stream)));
}

VsrtStatus vsrt_watch_enqueue(const float *values, uint32_t count, const int32_t *timestep, int32_t *status,
                              uint32_t *state, void *stream) {
  if (values == nullptr || timestep == nullptr || status == nullptr || state == nullptr) return VSRT_NULL_POINTER;
  if (count == 0 || count >= 1u << 31) return VSRT_BAD_SIZE;
  if (reinterpret_cast<uintptr_t>(values) % 16 != 0) return VSRT_BAD_ALIGNMENT;
  constexpr unsigned threads = 256, values_a_thread = 16;
  const unsigned wanted = (count + threads * values_a_thread - 1) / (threads * values_a_thread);
  const unsigned blocks = wanted < 256 ? wanted : 256;
  void *arguments[] = {&values, &count, &timestep, &status, &state};
  return status_of(cudaLaunchKernel(reinterpret_cast<const void *>(vsrt_watch), dim3(blocks), dim3(threads), arguments, 0,
                                    static_cast<cudaStream_t>(stream)));
}
