// The renderer as a TensorRT plug-in, op VideoSceneRenderer, version 1: IPluginV2DynamicExt before TensorRT 10, IPluginV3 from 10 on.
//
// Inputs xyz, rgb, num_points, world_to_camera, intrinsics; outputs frames, depth, hole_mask: the renderer graph's, except that
// TensorRT gives plug-ins no UINT8 tensors. rgb, frames and hole_mask are FLOAT (values 0 to 255), or INT8 (the bytes' own bits).
// Fields: height, width, radius (int32), near (float32), background (int32[3]).

#include <cstring>
#include <string>
#include <vector>

#include "byte_values.h"
#include "plugin.h"
#include "videoscene_rt_kernels.h"

namespace {

using namespace nvinfer1;

constexpr int32_t INPUTS = 5, OUTPUTS = 3, RGB = 1, XYZ = 0, POSES = 3;

struct Fields {
  int32_t height = 0, width = 0, radius = 1;
  float near_plane = 0.01f;
  int32_t background[3] = {0, 0, 0};
};

bool read_fields(const PluginFieldCollection &given, Fields &fields) {
  for (int32_t i = 0; i < given.nbFields; ++i) {
    const PluginField &field = given.fields[i];
    const std::string name = field.name;
    const bool whole = field.type == PluginFieldType::kINT32;
    void *to = name == "height" && whole       ? &fields.height
               : name == "width" && whole      ? &fields.width
               : name == "radius" && whole     ? &fields.radius
               : name == "background" && whole ? fields.background
               : name == "near" && field.type == PluginFieldType::kFLOAT32
                   ? static_cast<void *>(&fields.near_plane)
                   : nullptr;
    const int32_t length = name == "background" ? 3 : 1;
    if (to == nullptr || field.data == nullptr || field.length != length) return false;
    std::memcpy(to, field.data, 4 * length);
  }
  for (int32_t value : fields.background)
    if (value < 0 || value > 255) return false;
  return fields.height > 0 && fields.width > 0 && fields.radius >= 0;
}

const std::vector<PluginField> &field_names() {
  static const std::vector<PluginField> names = {{"height", nullptr, PluginFieldType::kINT32, 1},
                                                 {"width", nullptr, PluginFieldType::kINT32, 1},
                                                 {"radius", nullptr, PluginFieldType::kINT32, 1},
                                                 {"near", nullptr, PluginFieldType::kFLOAT32, 1},
                                                 {"background", nullptr, PluginFieldType::kINT32, 3}};
  return names;
}

bool format_is_right(int32_t position, const PluginTensorDesc &tensor, const PluginTensorDesc &rgb) {
  if (tensor.format != TensorFormat::kLINEAR) return false;
  const bool bytes = position == RGB || position == INPUTS || position == INPUTS + 2;
  if (position == 2) return tensor.type == DataType::kINT32;
  if (!bytes) return tensor.type == DataType::kFLOAT;
  if (position == RGB) return tensor.type == DataType::kFLOAT || tensor.type == DataType::kINT8;
  return tensor.type == rgb.type;
}

DataType output_type(int32_t output, const DataType *inputs) { return output == 1 ? DataType::kFLOAT : inputs[RGB]; }

DimsExprs output_shape(int32_t output, const Fields &fields, const DimsExprs *inputs, IExprBuilder &build) {
  DimsExprs shape{};
  shape.nbDims = output == 0 ? 4 : 3;
  shape.d[0] = inputs[POSES].d[0];
  shape.d[1] = build.constant(fields.height);
  shape.d[2] = build.constant(fields.width);
  if (output == 0) shape.d[3] = build.constant(3);
  return shape;
}

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

// One rendering: sizes, and how the workspace is divided.
struct Drawing {
  VsrtSplatConfig config{};
  bool as_values;
  size_t rgb_bytes, frames_bytes, mask_bytes, splat_bytes = 0;
  VsrtStatus status;

  Drawing(const Fields &fields, const Dims &xyz, const Dims &poses, DataType bytes)
      : as_values(bytes == DataType::kFLOAT) {
    config.frames = (int32_t)poses.d[0], config.max_points = (int32_t)xyz.d[0];
    config.height = fields.height, config.width = fields.width;
    config.radius = fields.radius, config.near_plane = fields.near_plane;
    for (int i = 0; i < 3; ++i) config.background[i] = (uint8_t)fields.background[i];
    status = vsrt_splat_workspace_bytes(&config, &splat_bytes);
    rgb_bytes = (size_t)config.max_points * 3;
    mask_bytes = (size_t)config.frames * config.height * config.width;
    frames_bytes = mask_bytes * 3;
  }

  size_t workspace_bytes() const {
    return splat_bytes + (as_values ? aligned(rgb_bytes) + aligned(frames_bytes) + aligned(mask_bytes) : 0) + 256;
  }

  bool run(const void *const *inputs, void *const *outputs, void *workspace, cudaStream_t stream) const {
    if (status != VSRT_OK) return false;
    char *free = static_cast<char *>(workspace);
    VsrtSplatBuffers b{};
    b.xyz = static_cast<const float *>(inputs[XYZ]);
    b.num_points = static_cast<const int32_t *>(inputs[2]);
    b.world_to_camera = static_cast<const float *>(inputs[POSES]);
    b.intrinsics = static_cast<const float *>(inputs[4]);
    b.depth = static_cast<float *>(outputs[1]);
    if (!as_values) {
      b.rgb = static_cast<const uint8_t *>(inputs[RGB]);
      b.frames = static_cast<uint8_t *>(outputs[0]), b.hole_mask = static_cast<uint8_t *>(outputs[2]);
      b.workspace = free, b.workspace_bytes = splat_bytes;
      return vsrt_splat_enqueue(&config, &b, stream) == VSRT_OK;
    }
    uint8_t *rgb = reinterpret_cast<uint8_t *>(free);
    b.rgb = rgb;
    b.frames = rgb + aligned(rgb_bytes);
    b.hole_mask = b.frames + aligned(frames_bytes);
    b.workspace = b.hole_mask + aligned(mask_bytes), b.workspace_bytes = splat_bytes;
    return vsrt::bytes_of_values(static_cast<const float *>(inputs[RGB]), rgb, rgb_bytes, stream) == cudaSuccess &&
           vsrt_splat_enqueue(&config, &b, stream) == VSRT_OK &&
           vsrt::values_of_bytes(b.frames, static_cast<float *>(outputs[0]), frames_bytes, stream) == cudaSuccess &&
           vsrt::values_of_bytes(b.hole_mask, static_cast<float *>(outputs[2]), mask_bytes, stream) == cudaSuccess;
  }
};

struct Renderer {
  static constexpr char NAME[] = "VideoSceneRenderer";
  static constexpr int32_t INPUTS = ::INPUTS, OUTPUTS = ::OUTPUTS, TYPED_BY = RGB;
  typedef ::Fields Fields;

  static bool read(const PluginFieldCollection &given, Fields &fields) { return read_fields(given, fields); }
  static const std::vector<PluginField> &names() { return field_names(); }
  static std::vector<PluginField> values(const Fields &fields) {
    return {{"height", &fields.height, PluginFieldType::kINT32, 1},
            {"width", &fields.width, PluginFieldType::kINT32, 1},
            {"radius", &fields.radius, PluginFieldType::kINT32, 1},
            {"near", &fields.near_plane, PluginFieldType::kFLOAT32, 1},
            {"background", fields.background, PluginFieldType::kINT32, 3}};
  }
  static DataType type(int32_t output, const DataType *inputs) { return output_type(output, inputs); }
  static DimsExprs shape(int32_t output, const Fields &fields, const DimsExprs *inputs, IExprBuilder &build) {
    return output_shape(output, fields, inputs, build);
  }
  static bool fits(int32_t position, const PluginTensorDesc &tensor, const PluginTensorDesc &rgb) {
    return format_is_right(position, tensor, rgb);
  }
  static size_t workspace_bytes(const Fields &fields, const PluginTensorDesc *in) {
    return Drawing(fields, in[XYZ].dims, in[POSES].dims, in[RGB].type).workspace_bytes();
  }
  static bool run(const Fields &fields, const PluginTensorDesc *in, const void *const *inputs, void *const *outputs,
                  void *workspace, cudaStream_t stream) {
    return Drawing(fields, in[XYZ].dims, in[POSES].dims, in[RGB].type).run(inputs, outputs, workspace, stream);
  }
};

typedef vsrt::PluginCreator<Renderer> RendererCreator;
REGISTER_TENSORRT_PLUGIN(RendererCreator);

}  // namespace
