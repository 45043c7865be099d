// The arithmetic of splat.cu against a z-buffer that draws every point (2r+1)² times: the sentences of docs/architecture.md.

#include <cmath>
#include <cstdio>
#include <utility>

#include "scenes.h"

namespace {

Pictures brute_force(const Scene &scene) {
  const SplatCpuSizes &s = scene.sizes;
  Pictures p = blank(s);
  const long points = std::min<long>(std::max(scene.num_points[0], 0), s.max_points);
  for (int f = 0; f < s.frames; ++f) {
    std::vector<std::pair<double, long>> best((size_t)s.height * s.width, {INFINITY, -1});
    const float *R = &scene.world_to_camera[16 * (size_t)f], *K = &scene.intrinsics[9 * (size_t)f];
    for (long i = 0; i < points; ++i) {
      const float *q = &scene.xyz[3 * i];
      float X[3];
      for (int row = 0; row < 3; ++row) {
        const float a = R[4 * row] * q[0], b = R[4 * row + 1] * q[1], c = R[4 * row + 2] * q[2];
        const float ab = a + b, abc = ab + c;
        X[row] = abc + R[4 * row + 3];
      }
      if (!(X[2] > s.near_plane) || !(X[2] < 32768.0f)) continue;
      const float x = X[0] / X[2], y = X[1] / X[2], fx = K[0] * x, fy = K[4] * y, u = fx + K[2], v = fy + K[5];
      const float px = std::floor(u + 0.5f), py = std::floor(v + 0.5f);
      if (!(std::fabs(px) < 1e6f) || !(std::fabs(py) < 1e6f)) continue;
      const double depth = std::floor((double)X[2] * 65536.0);
      for (long row = (long)py - s.radius; row <= (long)py + s.radius; ++row)
        for (long column = (long)px - s.radius; column <= (long)px + s.radius; ++column) {
          if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
          auto &there = best[row * s.width + column];
          there = std::min(there, {depth, i});
        }
    }
    for (size_t pixel = 0; pixel < best.size(); ++pixel) {
      const size_t at = (size_t)f * best.size() + pixel;
      const long i = best[pixel].second;
      p.hole_mask[at] = i < 0;
      p.depth[at] = i < 0 ? 0.0f : (float)(best[pixel].first / 65536.0);
      for (int c = 0; c < 3; ++c) p.frames[3 * at + c] = i < 0 ? s.background[c] : scene.rgb[3 * i + c];
    }
  }
  return p;
}

}  // namespace

int main() {
  const int sizes[][2] = {{12, 16}, {13, 17}, {1, 1}, {3, 5}, {33, 129}, {40, 64}};
  int failed = 0, scenes = 0;
  for (const auto &size : sizes)
    for (int radius = 0; radius <= 8; radius += radius < 3 ? 1 : 5)
      for (uint32_t seed = 0; seed < 14; ++seed) {
        Scene scene = random_scene(5, size[0], size[1], 600, radius, seed);
        scene.sizes.group_frames = 1 + (int)(seed % 5);
        failed += !same(drawn_on_the_cpu(scene), brute_force(scene), scene, "the arithmetic");
        ++scenes;
      }
  std::printf("%d of %d scenes are right\n", scenes - failed, scenes);
  return failed == 0 ? 0 : 1;
}
