#include "scenes.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>

namespace {

const float SPECIAL[] = {0.0f,   -0.0f,    0.25f,     0.5f,     -1.0f,     1e-30f, 1e30f, -1e30f, 3e38f,
                         32768.0f, 32767.99f, INFINITY, -INFINITY, NAN};

// std's distributions differ from library to library; this one does not.
float between(std::mt19937 &rng, float low, float high) { return low + (high - low) * (float)(rng() >> 8) / 16777216.0f; }

}  // namespace

Scene random_scene(int frames, int height, int width, int max_points, int radius, uint32_t seed) {
  std::mt19937 rng(seed);
  Scene scene;
  scene.sizes = {frames, height, width, max_points, radius, 1, 0.25f, {7, 90, 201}};
  scene.num_points = {seed % 7 == 6 ? max_points + 5 : (int32_t)((int64_t)max_points * (seed % 7) / 6)};
  scene.xyz.resize(3 * (size_t)max_points), scene.rgb.resize(3 * (size_t)max_points);
  for (auto &colour : scene.rgb) colour = (uint8_t)rng();
  for (int i = 0; i < max_points; ++i) {
    float *p = &scene.xyz[3 * (size_t)i];
    p[0] = between(rng, -3, 3), p[1] = between(rng, -2, 2), p[2] = between(rng, -1, 6);
    const unsigned kind = rng() % 8;
    if (kind == 0 && i > 0) std::memcpy(p, &scene.xyz[3 * (size_t)(rng() % i)], 12);
    if (kind == 0) p[2] += rng() % 2 ? 0x1p-18f : 0.0f;
    if (kind == 1) p[rng() % 3] = SPECIAL[rng() % (sizeof(SPECIAL) / sizeof(float))];
    if (kind == 2)
      for (int axis = 0; axis < 3; ++axis) p[axis] = std::round(p[axis] * 8) / 8;
  }
  for (int f = 0; f < frames; ++f) {
    const bool straight = rng() % 3 == 0;
    const float angle = straight ? 0 : between(rng, -0.6f, 0.6f), c = std::cos(angle), s = std::sin(angle);
    const float shift[3] = {straight ? 0 : between(rng, -0.3f, 0.3f), straight ? 0 : between(rng, -0.3f, 0.3f),
                            straight ? 0 : between(rng, -0.3f, 0.3f)};
    const float pose[16] = {c, 0, s, shift[0], 0, 1, 0, shift[1], -s, 0, c, shift[2], NAN, NAN, NAN, NAN};
    const float fx = straight ? 8 : 0.75f * width, fy = straight ? 8 : 0.8f * width;
    const float camera[9] = {fx, NAN, width / 2.0f, NAN, fy, height / 2.0f, NAN, NAN, NAN};
    scene.world_to_camera.insert(scene.world_to_camera.end(), pose, pose + 16);
    scene.intrinsics.insert(scene.intrinsics.end(), camera, camera + 9);
  }
  return scene;
}

Pictures blank(const SplatCpuSizes &sizes) {
  const size_t pixels = (size_t)sizes.frames * sizes.height * sizes.width;
  Pictures p;
  p.frames.assign(3 * pixels, 0x5A), p.hole_mask.assign(pixels, 0x5A);
  p.depth.assign(pixels, std::numeric_limits<float>::quiet_NaN());
  return p;
}

Pictures drawn_on_the_cpu(const Scene &scene) {
  Pictures p = blank(scene.sizes);
  if (splat_cpu_render(&scene.sizes, scene.xyz.data(), scene.rgb.data(), scene.num_points.data(),
                       scene.world_to_camera.data(), scene.intrinsics.data(), p.frames.data(), p.depth.data(),
                       p.hole_mask.data()) != 0)
    std::fprintf(stderr, "the CPU does not take these sizes\n");
  return p;
}

bool same(const Pictures &found, const Pictures &expected, const Scene &scene, const char *who) {
  const bool equal = found.frames == expected.frames && found.hole_mask == expected.hole_mask &&
                     std::memcmp(found.depth.data(), expected.depth.data(), 4 * expected.depth.size()) == 0;
  if (equal) return true;
  const SplatCpuSizes &s = scene.sizes;
  std::fprintf(stderr, "%s differs: %d frames of %dx%d, %d points of %d, radius %d\n", who, s.frames, s.height, s.width,
               scene.num_points[0], s.max_points, s.radius);
  for (size_t i = 0; i < expected.depth.size(); ++i) {
    if (found.hole_mask[i] == expected.hole_mask[i] && std::memcmp(&found.depth[i], &expected.depth[i], 4) == 0 &&
        std::memcmp(&found.frames[3 * i], &expected.frames[3 * i], 3) == 0)
      continue;
    std::fprintf(stderr, "  first at pixel %zu: hole %d for %d, depth %g for %g\n", i, found.hole_mask[i],
                 expected.hole_mask[i], found.depth[i], expected.depth[i]);
    break;
  }
  return false;
}
