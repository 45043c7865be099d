#include "splat_cpu.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "splat.cu"
#include "splat_plan.h"

namespace {

using vsrt::Key;

void draw(const SplatArguments &s, int group) {
  const int points = vsrt::points_in_use(s);
  for (int f = 0; f < vsrt::frames_of_group(s, group); ++f) {
    float camera[vsrt::CAMERA_FLOATS];
    for (int e = 0; e < vsrt::CAMERA_FLOATS; ++e) camera[e] = vsrt::camera_element(s, group * s.group_frames + f, e);
    Key *keys = vsrt::keys_of_frame(s, f);
    for (int i = 0; i < points; ++i) {
      int offset;
      unsigned q;
      if (!vsrt::land(s, camera, s.xyz[3 * i], s.xyz[3 * i + 1], s.xyz[3 * i + 2], offset, q)) continue;
      keys[offset] = vsrt::smaller(keys[offset], vsrt::make_key(vsrt::group_epoch(s, group), q, i));
    }
  }
}

template <int R>
void resolve_patch(const SplatArguments &s, int group, int frame_in_group, int x0, int y0) {
  constexpr int SIDE = vsrt::SIDE;
  Key best[SIDE][SIDE];
  vsrt::patch_minima<R>(s, vsrt::keys_of_frame(s, frame_in_group), x0, y0, best);
  for (int y = 0; y < SIDE && y0 + y < s.height; ++y) {
    vsrt::Pixel p[SIDE];
    for (int x = 0; x < SIDE; ++x) p[x] = vsrt::look_up(s, best[y][x], vsrt::group_epoch(s, group));
    unsigned words[3];
    vsrt::pack(p, words);
    const int frame = group * s.group_frames + frame_in_group, columns = std::min(SIDE, s.width - x0);
    const size_t pixel = ((size_t)frame * s.height + y0 + y) * s.width + x0;
    std::memcpy(s.frames + 3 * pixel, words, 3 * columns);
    for (int x = 0; x < columns; ++x) s.depth[pixel + x] = p[x].depth, s.hole_mask[pixel + x] = (unsigned char)p[x].hole;
  }
}

template <int R>
void resolve(const SplatArguments &s, int group) {
  for (int f = 0; f < vsrt::frames_of_group(s, group); ++f)
    for (int y = 0; y < s.height; y += vsrt::SIDE)
      for (int x = 0; x < s.width; x += vsrt::SIDE) resolve_patch<R>(s, group, f, x, y);
}

typedef void (*Resolve)(const SplatArguments &, int);
const Resolve RESOLVE[vsrt::MAX_RADIUS + 1] = {resolve<0>, resolve<1>, resolve<2>, resolve<3>, resolve<4>,
                                               resolve<5>, resolve<6>, resolve<7>, resolve<8>};

void prepare(const SplatArguments &s) {
  std::fill_n(s.keys, s.group_frames * vsrt::frame_keys(s), vsrt::EMPTY);
  for (int i = 0; i < vsrt::points_in_use(s); ++i) s.colours[i] = vsrt::pack_colour(s.rgb + 3 * i);
}

}  // namespace

size_t splat_cpu_frame_keys(int32_t height, int32_t width, int32_t radius) {
  SplatArguments s{};
  s.height = height, s.width = width, s.radius = radius;
  return vsrt::frame_keys(s);
}

int splat_cpu_render(const SplatCpuSizes *sizes, const float *xyz, const uint8_t *rgb, const int32_t *num_points,
                     const float *world_to_camera, const float *intrinsics, uint8_t *frames, float *depth,
                     uint8_t *hole_mask) {
  SplatArguments s{};
  s.xyz = xyz, s.rgb = rgb, s.num_points = num_points, s.world_to_camera = world_to_camera, s.intrinsics = intrinsics;
  s.frames = frames, s.depth = depth, s.hole_mask = hole_mask;
  s.frame_count = sizes->frames, s.height = sizes->height, s.width = sizes->width, s.max_points = sizes->max_points;
  s.radius = sizes->radius, s.group_frames = sizes->group_frames;
  s.near_plane = sizes->near_plane, s.background = vsrt::pack_colour(sizes->background);
  if (s.frame_count < 1 || s.height < 1 || s.width < 1 || s.max_points < 1 || s.max_points > 1 << vsrt::INDEX_BITS ||
      s.radius < 0 || s.radius > vsrt::MAX_RADIUS || s.group_frames < 1 ||
      vsrt::group_count(s) > vsrt::MAX_GROUPS)
    return 1;
  // Vectors of exactly the promised sizes: an address sanitizer sees every step outside.
  std::vector<Key> keys(s.group_frames * vsrt::frame_keys(s));
  std::vector<unsigned> colours(s.max_points);
  s.keys = keys.data(), s.colours = colours.data();
  prepare(s);
  for (int group = 0; group < vsrt::group_count(s); ++group) {
    draw(s, group);
    RESOLVE[s.radius](s, group);
  }
  return 0;
}

void splat_cpu_plan(const SplatCpuSizes *s, int64_t l2_bytes, int64_t out[6]) {
  const vsrt::SplatPlan p = vsrt::splat_plan(s->frames, s->height, s->width, s->max_points, s->radius, s->group_frames,
                                             l2_bytes, VSRT_THREADS);
  const int64_t values[] = {p.frame_keys, p.group_frames, p.groups, p.point_blocks, p.key_bytes, p.workspace_bytes};
  std::copy_n(values, 6, out);
}

int splat_cpu_launch(const char *kernel, uint32_t blocks, const void *arguments, int32_t group) {
  const SplatArguments &s = *static_cast<const SplatArguments *>(arguments);
  const std::string radius = std::to_string(s.radius), name = kernel;
  uint32_t expected = blocks;
  if (name == "vsrt_splat_prepare") {
    prepare(s);
  } else if (name == "vsrt_splat_points") {
    expected = vsrt::splat_blocks(s, group);
    draw(s, group);
  } else if (name == "vsrt_splat_resolve_" + radius) {
    expected = vsrt::resolve_blocks(s, group);
    RESOLVE[s.radius](s, group);
  } else {
    return 1;
  }
  return blocks == expected ? 0 : 2;
}
