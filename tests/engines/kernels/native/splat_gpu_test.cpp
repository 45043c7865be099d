// The C library on a GPU against the same arithmetic on the CPU, bit for bit; 77 where there is no GPU.

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "scenes.h"
#include "videoscene_rt_kernels.h"

namespace {

constexpr size_t GUARD = 4096;
constexpr int NO_GPU = 77;

void check(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Memory is filled on the default stream, which the test's own does not wait for.
void ready() { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

// Device memory of an exact size between two guards, whose content it can prove untouched.
class Memory {
 public:
  explicit Memory(size_t bytes, const void *content = nullptr) : bytes_(bytes) {
    check(cudaMalloc(&base_, bytes + 2 * GUARD), "cudaMalloc");
    check(cudaMemset(base_, 0xA5, bytes + 2 * GUARD), "cudaMemset");
    if (content != nullptr) check(cudaMemcpy(data(), content, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~Memory() { cudaFree(base_); }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  template <class T = void>
  T *data() const {
    return reinterpret_cast<T *>(static_cast<char *>(base_) + GUARD);
  }
  void read(void *to) const { check(cudaMemcpy(to, data(), bytes_, cudaMemcpyDeviceToHost), "cudaMemcpy"); }
  bool guarded() const {
    std::vector<unsigned char> all(bytes_ + 2 * GUARD);
    check(cudaMemcpy(all.data(), base_, all.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    const auto touched = [](unsigned char byte) { return byte != 0xA5; };
    return std::none_of(all.begin(), all.begin() + GUARD, touched) && std::none_of(all.end() - GUARD, all.end(), touched);
  }

 private:
  size_t bytes_;
  void *base_ = nullptr;
};

template <class T>
size_t bytes_of(const std::vector<T> &values) {
  return values.size() * sizeof(T);
}

// One scene on the device: rendered, then rendered again from a captured graph.
bool rendered_right(const Scene &scene, int group_frames, cudaStream_t stream) {
  const SplatCpuSizes &s = scene.sizes;
  VsrtSplatConfig config{};
  config.frames = s.frames, config.height = s.height, config.width = s.width, config.max_points = s.max_points;
  config.radius = s.radius, config.near_plane = s.near_plane;
  std::memcpy(config.background, s.background, 3);
  config.group_frames = group_frames;
  size_t workspace_bytes = 0;
  if (vsrt_splat_workspace_bytes(&config, &workspace_bytes) != VSRT_OK) return false;

  const Pictures expected = drawn_on_the_cpu(scene), untouched = blank(s);
  const Memory xyz(bytes_of(scene.xyz), scene.xyz.data()), rgb(bytes_of(scene.rgb), scene.rgb.data());
  const Memory num_points(4, scene.num_points.data());
  const Memory poses(bytes_of(scene.world_to_camera), scene.world_to_camera.data());
  const Memory cameras(bytes_of(scene.intrinsics), scene.intrinsics.data());
  const Memory frames(bytes_of(untouched.frames), untouched.frames.data());
  const Memory depth(bytes_of(untouched.depth), untouched.depth.data());
  const Memory hole_mask(bytes_of(untouched.hole_mask), untouched.hole_mask.data());
  const Memory workspace(workspace_bytes);
  const VsrtSplatBuffers buffers = {xyz.data<float>(),   rgb.data<uint8_t>(),    num_points.data<int32_t>(),
                                    poses.data<float>(), cameras.data<float>(),  frames.data<uint8_t>(),
                                    depth.data<float>(), hole_mask.data<uint8_t>(), workspace.data(),
                                    workspace_bytes};

  const auto right = [&](const char *who) {
    check(cudaStreamSynchronize(stream), who);
    Pictures found = blank(s);
    frames.read(found.frames.data()), depth.read(found.depth.data()), hole_mask.read(found.hole_mask.data());
    return same(found, expected, scene, who);
  };
  ready();
  const VsrtStatus status = vsrt_splat_enqueue(&config, &buffers, stream);
  if (status != VSRT_OK) {
    std::fprintf(stderr, "vsrt_splat_enqueue: %s\n", vsrt_status_string(status));
    return false;
  }
  bool good = right("the library");

  cudaGraph_t graph;
  cudaGraphExec_t executable;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  good = vsrt_splat_enqueue(&config, &buffers, stream) == VSRT_OK && good;
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  check(cudaGraphInstantiateWithFlags(&executable, graph, 0), "cudaGraphInstantiateWithFlags");
  check(cudaMemset(frames.data(), 0, bytes_of(untouched.frames)), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  for (int i = 0; i < 2; ++i) check(cudaGraphLaunch(executable, stream), "cudaGraphLaunch");
  good = right("the captured library") && good;
  cudaGraphExecDestroy(executable), cudaGraphDestroy(graph);

  for (const Memory *memory : {&xyz, &rgb, &num_points, &poses, &cameras, &frames, &depth, &hole_mask, &workspace})
    if (!memory->guarded()) {
      std::fprintf(stderr, "something was written outside its memory\n");
      return false;
    }
  return good;
}

bool counted_right(uint32_t count, cudaStream_t stream) {
  std::vector<float> values(count, 1.0f);
  uint32_t odd = 0;
  for (uint32_t i = 0; i < count; i += 1 + i / 3, ++odd) values[i] = i % 2 == 0 ? NAN : INFINITY;
  const int32_t timestep = 459, zero[2] = {0, 0};
  const Memory latents(4 * (size_t)count, values.data()), chosen(4, &timestep), status(8), state(8, zero);
  ready();
  for (int i = 0; i < 3; ++i) {
    int32_t found[2] = {-1, -1};
    if (vsrt_watch_enqueue(latents.data<float>(), count, chosen.data<int32_t>(), status.data<int32_t>(),
                           state.data<uint32_t>(), stream) != VSRT_OK)
      return false;
    check(cudaStreamSynchronize(stream), "vsrt_watch");
    status.read(found);
    if (found[0] != (int32_t)odd || found[1] != timestep) {
      std::fprintf(stderr, "the watch found %d of %u in %u values\n", found[0], odd, count);
      return false;
    }
  }
  return latents.guarded() && status.guarded() && state.guarded();
}

bool refuses_what_is_wrong() {
  VsrtSplatConfig config{1, 8, 8, 16, 1, 0.01f, {0, 0, 0, 0}, 0};
  size_t bytes = 0;
  VsrtSplatBuffers buffers{};
  bool good = vsrt_splat_workspace_bytes(&config, nullptr) == VSRT_NULL_POINTER;
  good = vsrt_splat_workspace_bytes(&config, &bytes) == VSRT_OK && bytes > 0 && good;
  good = vsrt_splat_enqueue(&config, &buffers, nullptr) == VSRT_NULL_POINTER && good;
  const Memory memory(1 << 16);
  float *f = memory.data<float>();
  uint8_t *u = memory.data<uint8_t>();
  int32_t *i = memory.data<int32_t>();
  buffers = {f, u, i, f, f, u, f, u, u, bytes - 1};
  good = vsrt_splat_enqueue(&config, &buffers, nullptr) == VSRT_WORKSPACE_TOO_SMALL && good;
  buffers.depth = f + 1;
  good = vsrt_splat_enqueue(&config, &buffers, nullptr) == VSRT_BAD_ALIGNMENT && good;
  config.radius = 9;
  good = vsrt_splat_workspace_bytes(&config, &bytes) == VSRT_BAD_SIZE && good;
  for (int32_t status : {0, 1, 2, 3, 4, 5, 1001, 1002, -1}) good = vsrt_status_string(status) != nullptr && good;
  if (!good) std::fprintf(stderr, "something wrong was not refused\n");
  return good;
}

}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("there is no GPU\n");
    return NO_GPU;
  }
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  const int sizes[][2] = {{12, 16}, {13, 17}, {1, 1}, {33, 129}, {40, 132}};
  int failed = 0, done = 0;
  for (const auto &size : sizes)
    for (int radius = 0; radius <= 8; radius += radius < 3 ? 1 : 5)
      for (uint32_t seed = 0; seed < 7; ++seed) {
        const Scene scene = random_scene(7, size[0], size[1], 3000, radius, seed);
        failed += !rendered_right(scene, (int)(seed % 4), stream);
        ++done;
      }
  for (uint32_t count : {1u, 2u, 3u, 5u, 1023u, 4096u, 4099u, 700000u, 1123200u}) {
    failed += !counted_right(count, stream);
    ++done;
  }
  failed += !refuses_what_is_wrong();
  ++done;
  check(cudaStreamDestroy(stream), "cudaStreamDestroy");
  std::printf("%d of %d are right\n", done - failed, done);
  return failed == 0 ? 0 : 1;
}
