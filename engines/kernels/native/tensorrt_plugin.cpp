// The renderer as a TensorRT plug-in, op VideoSceneRenderer, version 1: IPluginV2DynamicExt before TensorRT 10, IPluginV3 from 10 on.
//
// Inputs xyz, rgb, num_points, world_to_camera, intrinsics; outputs frames, depth, hole_mask: the renderer graph's, except that
// TensorRT gives plug-ins no UINT8 tensors. rgb, frames and hole_mask are FLOAT (values 0 to 255), or INT8 (the bytes' own bits).
// Fields: height, width, radius (int32), near (float32), background (int32[3]).

#include <NvInfer.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "byte_values.h"
#include "videoscene_rt_kernels.h"

namespace {

using namespace nvinfer1;

constexpr char NAME[] = "VideoSceneRenderer", VERSION[] = "1";
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

#if NV_TENSORRT_MAJOR >= 10

class Renderer : public IPluginV3, public IPluginV3OneCore, public IPluginV3OneBuild, public IPluginV3OneRuntime {
 public:
  explicit Renderer(const Fields &fields) : fields_(fields) {
    serialized_ = {{"height", &fields_.height, PluginFieldType::kINT32, 1},
                   {"width", &fields_.width, PluginFieldType::kINT32, 1},
                   {"radius", &fields_.radius, PluginFieldType::kINT32, 1},
                   {"near", &fields_.near_plane, PluginFieldType::kFLOAT32, 1},
                   {"background", fields_.background, PluginFieldType::kINT32, 3}};
    collection_ = {(int32_t)serialized_.size(), serialized_.data()};
  }

  IPluginCapability *getCapabilityInterface(PluginCapabilityType type) noexcept override {
    switch (type) {
      case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore *>(this);
      case PluginCapabilityType::kBUILD: return static_cast<IPluginV3OneBuild *>(this);
      case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime *>(this);
    }
    return nullptr;
  }
  IPluginV3 *clone() noexcept override { return new (std::nothrow) Renderer(fields_); }
  const char *getPluginName() const noexcept override { return NAME; }
  const char *getPluginVersion() const noexcept override { return VERSION; }
  const char *getPluginNamespace() const noexcept override { return ""; }

  int32_t getNbOutputs() const noexcept override { return OUTPUTS; }
  int32_t configurePlugin(const DynamicPluginTensorDesc *, int32_t inputs, const DynamicPluginTensorDesc *,
                          int32_t outputs) noexcept override {
    return inputs == INPUTS && outputs == OUTPUTS ? 0 : 1;
  }
  int32_t getOutputDataTypes(DataType *types, int32_t outputs, const DataType *inputs, int32_t) const noexcept override {
    for (int32_t i = 0; i < outputs; ++i) types[i] = output_type(i, inputs);
    return 0;
  }
  int32_t getOutputShapes(const DimsExprs *inputs, int32_t count, const DimsExprs *, int32_t, DimsExprs *shapes,
                          int32_t outputs, IExprBuilder &build) noexcept override {
    if (count != INPUTS) return 1;
    for (int32_t i = 0; i < outputs; ++i) shapes[i] = output_shape(i, fields_, inputs, build);
    return 0;
  }
  bool supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc *tensors, int32_t,
                                 int32_t) noexcept override {
    return format_is_right(position, tensors[position].desc, tensors[RGB].desc);
  }
  size_t getWorkspaceSize(const DynamicPluginTensorDesc *inputs, int32_t, const DynamicPluginTensorDesc *,
                          int32_t) const noexcept override {
    return Drawing(fields_, inputs[XYZ].max, inputs[POSES].max, inputs[RGB].desc.type).workspace_bytes();
  }

  int32_t onShapeChange(const PluginTensorDesc *, int32_t, const PluginTensorDesc *, int32_t) noexcept override {
    return 0;
  }
  int32_t enqueue(const PluginTensorDesc *in, const PluginTensorDesc *, const void *const *inputs,
                  void *const *outputs, void *workspace, cudaStream_t stream) noexcept override {
    const Drawing drawing(fields_, in[XYZ].dims, in[POSES].dims, in[RGB].type);
    return drawing.run(inputs, outputs, workspace, stream) ? 0 : 1;
  }
  IPluginV3 *attachToContext(IPluginResourceContext *) noexcept override { return clone(); }
  const PluginFieldCollection *getFieldsToSerialize() noexcept override { return &collection_; }

 private:
  Fields fields_;
  std::vector<PluginField> serialized_;
  PluginFieldCollection collection_{};
};

class RendererCreator : public IPluginCreatorV3One {
 public:
  IPluginV3 *createPlugin(const char *, const PluginFieldCollection *given, TensorRTPhase) noexcept override {
    Fields fields;
    return given != nullptr && read_fields(*given, fields) ? new (std::nothrow) Renderer(fields) : nullptr;
  }
  const PluginFieldCollection *getFieldNames() noexcept override { return &names_; }
  const char *getPluginName() const noexcept override { return NAME; }
  const char *getPluginVersion() const noexcept override { return VERSION; }
  const char *getPluginNamespace() const noexcept override { return ""; }

 private:
  PluginFieldCollection names_{(int32_t)field_names().size(), field_names().data()};
};

#else

class Renderer : public IPluginV2DynamicExt {
 public:
  explicit Renderer(const Fields &fields) : fields_(fields) {}

  const char *getPluginType() const noexcept override { return NAME; }
  const char *getPluginVersion() const noexcept override { return VERSION; }
  int32_t getNbOutputs() const noexcept override { return OUTPUTS; }
  int32_t initialize() noexcept override { return 0; }
  void terminate() noexcept override {}
  void destroy() noexcept override { delete this; }
  size_t getSerializationSize() const noexcept override { return sizeof(Fields); }
  void serialize(void *buffer) const noexcept override { std::memcpy(buffer, &fields_, sizeof(Fields)); }
  void setPluginNamespace(const char *name) noexcept override { namespace_ = name == nullptr ? "" : name; }
  const char *getPluginNamespace() const noexcept override { return namespace_.c_str(); }
  IPluginV2DynamicExt *clone() const noexcept override {
    Renderer *copy = new (std::nothrow) Renderer(fields_);
    if (copy != nullptr) copy->setPluginNamespace(namespace_.c_str());
    return copy;
  }

  DataType getOutputDataType(int32_t output, const DataType *inputs, int32_t) const noexcept override {
    return output_type(output, inputs);
  }
  DimsExprs getOutputDimensions(int32_t output, const DimsExprs *inputs, int32_t, IExprBuilder &build) noexcept override {
    return output_shape(output, fields_, inputs, build);
  }
  bool supportsFormatCombination(int32_t position, const PluginTensorDesc *tensors, int32_t inputs,
                                 int32_t outputs) noexcept override {
    return inputs == INPUTS && outputs == OUTPUTS && format_is_right(position, tensors[position], tensors[RGB]);
  }
  void configurePlugin(const DynamicPluginTensorDesc *, int32_t, const DynamicPluginTensorDesc *,
                       int32_t) noexcept override {}
  size_t getWorkspaceSize(const PluginTensorDesc *inputs, int32_t, const PluginTensorDesc *,
                          int32_t) const noexcept override {
    return Drawing(fields_, inputs[XYZ].dims, inputs[POSES].dims, inputs[RGB].type).workspace_bytes();
  }
  int32_t enqueue(const PluginTensorDesc *in, const PluginTensorDesc *, const void *const *inputs,
                  void *const *outputs, void *workspace, cudaStream_t stream) noexcept override {
    const Drawing drawing(fields_, in[XYZ].dims, in[POSES].dims, in[RGB].type);
    return drawing.run(inputs, outputs, workspace, stream) ? 0 : 1;
  }

 private:
  Fields fields_;
  std::string namespace_;
};

class RendererCreator : public IPluginCreator {
 public:
  const char *getPluginName() const noexcept override { return NAME; }
  const char *getPluginVersion() const noexcept override { return VERSION; }
  const PluginFieldCollection *getFieldNames() noexcept override { return &names_; }
  IPluginV2 *createPlugin(const char *, const PluginFieldCollection *given) noexcept override {
    Fields fields;
    return given != nullptr && read_fields(*given, fields) ? made(fields) : nullptr;
  }
  IPluginV2 *deserializePlugin(const char *, const void *data, size_t length) noexcept override {
    Fields fields;
    if (data == nullptr || length != sizeof(Fields)) return nullptr;
    std::memcpy(&fields, data, sizeof(Fields));
    return made(fields);
  }
  void setPluginNamespace(const char *name) noexcept override { namespace_ = name == nullptr ? "" : name; }
  const char *getPluginNamespace() const noexcept override { return namespace_.c_str(); }

 private:
  IPluginV2 *made(const Fields &fields) const {
    Renderer *plugin = new (std::nothrow) Renderer(fields);
    if (plugin != nullptr) plugin->setPluginNamespace(namespace_.c_str());
    return plugin;
  }

  std::string namespace_;
  PluginFieldCollection names_{(int32_t)field_names().size(), field_names().data()};
};

#endif

REGISTER_TENSORRT_PLUGIN(RendererCreator);

}  // namespace
