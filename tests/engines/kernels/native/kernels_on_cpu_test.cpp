// The kernels themselves, run on CPU threads, against the arithmetic called in plain loops: blocks, lanes, shared memory, order.

#include "cuda_on_cpu.h"

#define vsrt vsrt_on_cpu  // the plain functions are linked as well
#include "splat.cu"
#undef vsrt

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "scenes.h"

namespace {

namespace on_cpu = vsrt_on_cpu;

typedef void (*Kernel)(SplatArguments, int);
const Kernel RESOLVE[] = {vsrt_splat_resolve_0, vsrt_splat_resolve_1, vsrt_splat_resolve_2, vsrt_splat_resolve_3};

// Memory of exactly the promised size, aligned as device memory is, filled with rubbish.
template <class T>
struct Exact {
  explicit Exact(size_t count) : bytes((count * sizeof(T) + 15) / 16 * 16), data(static_cast<T *>(std::aligned_alloc(16, bytes))) {
    std::memset(data, 0x5A, bytes);
  }
  ~Exact() { std::free(data); }
  Exact(const Exact &) = delete;
  Exact &operator=(const Exact &) = delete;
  size_t bytes;
  T *data;
};

Pictures run_kernels(const Scene &scene, int point_blocks) {
  const SplatCpuSizes &sizes = scene.sizes;
  SplatArguments s{};
  s.frame_count = sizes.frames, s.height = sizes.height, s.width = sizes.width, s.max_points = sizes.max_points;
  s.radius = sizes.radius, s.group_frames = sizes.group_frames;
  s.point_blocks = point_blocks, s.near_plane = sizes.near_plane, s.background = on_cpu::pack_colour(sizes.background);
  const size_t pixels = (size_t)sizes.frames * sizes.height * sizes.width;
  const Exact<on_cpu::Key> keys(s.group_frames * on_cpu::frame_keys(s));
  const Exact<unsigned> colours(s.max_points);
  const Exact<unsigned char> frames(3 * pixels), hole_mask(pixels);
  const Exact<float> depth(pixels);
  s.xyz = scene.xyz.data(), s.rgb = scene.rgb.data(), s.num_points = scene.num_points.data();
  s.world_to_camera = scene.world_to_camera.data(), s.intrinsics = scene.intrinsics.data();
  s.frames = frames.data, s.depth = depth.data, s.hole_mask = hole_mask.data;
  s.keys = keys.data, s.colours = colours.data;

  launch_on_cpu(vsrt_splat_prepare, 3, VSRT_THREADS, s, 0);
  for (int group = 0; group < on_cpu::group_count(s); ++group) {
    launch_on_cpu(vsrt_splat_points, on_cpu::splat_blocks(s, group), VSRT_THREADS, s, group);
    launch_on_cpu(RESOLVE[s.radius], on_cpu::resolve_blocks(s, group), VSRT_THREADS, s, group);
  }
  Pictures found;
  found.frames.assign(frames.data, frames.data + 3 * pixels), found.depth.assign(depth.data, depth.data + pixels);
  found.hole_mask.assign(hole_mask.data, hole_mask.data + pixels);
  return found;
}

}  // namespace

int main() {
  const int sizes[][2] = {{12, 16}, {13, 17}, {33, 132}, {5, 260}};
  int failed = 0, scenes = 0;
  for (const auto &size : sizes)
    for (int radius = 0; radius < 4; ++radius)
      for (uint32_t seed = 0; seed < 4; ++seed) {
        Scene scene = random_scene(5, size[0], size[1], 700, radius, 3 + seed);
        scene.sizes.group_frames = 1 + (int)((seed + radius) % 5);
        failed += !same(run_kernels(scene, 1 + (int)(seed % 3)), drawn_on_the_cpu(scene), scene, "the kernels");
        ++scenes;
      }
  std::printf("%d of %d scenes are right\n", scenes - failed, scenes);
  return failed == 0 ? 0 : 1;
}
