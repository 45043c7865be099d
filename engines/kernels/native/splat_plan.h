// How the renderer's kernels are launched: engines/kernels/plan.py for C++, held to it by a test. Needs no CUDA.
#ifndef VSRT_SPLAT_PLAN_H
#define VSRT_SPLAT_PLAN_H

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace vsrt {

struct SplatPlan {
  int64_t frame_keys, group_frames, groups, point_blocks, key_bytes, workspace_bytes;
};

constexpr int64_t L2_NUMERATOR = 2, L2_DENOMINATOR = 5;  // the part of the L2 cache that the keys may take
constexpr int64_t POINT_BLOCKS = 1024, PREPARE_BLOCKS = 1024;

inline int64_t rounded_up(int64_t length, int64_t step) { return (length + step - 1) / step * step; }
inline int64_t in_parts(int64_t length, int64_t part) { return (length + part - 1) / part; }

// The sizes that the kernels take.
inline bool drawable(int64_t frames, int64_t height, int64_t width, int64_t max_points, int64_t radius) {
  return std::min({frames, height, width, max_points}) >= 1 && max_points <= 1 << 24 && radius >= 0 && radius <= 8 &&
         height <= 1 << 24 && width <= 1 << 24 && (height + 2 * radius + 1) * (width + 2 * radius) <= 1 << 24;
}

// group_frames 0: as many as fit.
inline SplatPlan splat_plan(int64_t frames, int64_t height, int64_t width, int64_t max_points, int64_t radius,
                            int64_t group_frames, int64_t l2_bytes, int64_t threads) {
  SplatPlan plan{};
  plan.frame_keys = (rounded_up(width, 4) + 2 * rounded_up(radius, 4)) * (rounded_up(height, 4) + 2 * radius);
  const int64_t fit = l2_bytes * L2_NUMERATOR / L2_DENOMINATOR / (plan.frame_keys * 8);
  const int64_t most = group_frames > 0 ? group_frames : std::min(std::max<int64_t>(fit, 1), frames);
  plan.group_frames = in_parts(frames, std::min<int64_t>(in_parts(frames, most), 511));
  plan.groups = in_parts(frames, plan.group_frames);
  plan.point_blocks = std::min(in_parts(max_points, threads), POINT_BLOCKS);
  plan.key_bytes = rounded_up(plan.group_frames * plan.frame_keys * 8, 256);
  plan.workspace_bytes = plan.key_bytes + 4 * max_points;
  return plan;
}

}  // namespace vsrt

#endif
