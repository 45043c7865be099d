// Random scenes full of hard cases, for the tests in C++: copies of points, ties in depth, NaN, infinities, points behind and beside.
#ifndef VSRT_SCENES_H
#define VSRT_SCENES_H

#include <cstdint>
#include <vector>

#include "splat_cpu.h"

struct Scene {
  SplatCpuSizes sizes;
  std::vector<float> xyz, world_to_camera, intrinsics;
  std::vector<uint8_t> rgb;
  std::vector<int32_t> num_points;
};

struct Pictures {
  std::vector<uint8_t> frames, hole_mask;
  std::vector<float> depth;
};

Scene random_scene(int frames, int height, int width, int max_points, int radius, uint32_t seed);

// Outputs of a scene's size, filled with what no right result has.
Pictures blank(const SplatCpuSizes &sizes);

// As the kernels' own functions draw it on the CPU.
Pictures drawn_on_the_cpu(const Scene &scene);

// Equal in every bit; says where not, and in which scene.
bool same(const Pictures &found, const Pictures &expected, const Scene &scene, const char *who);

#endif
