// Attention as a TensorRT plug-in, op VideoSceneAttention, version 1: IPluginV2DynamicExt before TensorRT 10, IPluginV3 from 10 on.
//
// Inputs query, key, value; output of query's shape: all HALF, from TensorRT 10 on also all BF16. Channels are 64.
// Fields: together (int32; 0: [batch,heads,tokens,64], 1: [batch,tokens,heads,64]), scale (float32; 0.125).
//
// The library says which TensorRT's headers it was built with, in plain bytes: registering calls through a table of functions that
// another version has in another order, so whoever loads it looks first (engines/tensorrt/plugin.py).

#include <NvInfer.h>

#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "videoscene_rt_kernels.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

extern "C" VSRT_API const char vsrt_plugin_built_for[];
const char vsrt_plugin_built_for[] =
    "videoscene-rt plug-in for TensorRT " TEXT(NV_TENSORRT_MAJOR) "." TEXT(NV_TENSORRT_MINOR) ";";

namespace {

using namespace nvinfer1;

constexpr char NAME[] = "VideoSceneAttention", VERSION[] = "1";
constexpr int32_t INPUTS = 3, OUTPUTS = 1, CHANNELS = 64;

struct Fields {
  int32_t together = 0;
  float scale = 0.125f;
};

bool read_fields(const PluginFieldCollection &given, Fields &fields) {
  for (int32_t i = 0; i < given.nbFields; ++i) {
    const PluginField &field = given.fields[i];
    const std::string name = field.name;
    void *to = name == "together" && field.type == PluginFieldType::kINT32  ? static_cast<void *>(&fields.together)
               : name == "scale" && field.type == PluginFieldType::kFLOAT32 ? static_cast<void *>(&fields.scale)
                                                                            : nullptr;
    if (to == nullptr || field.data == nullptr || field.length != 1) return false;
    std::memcpy(to, field.data, 4);
  }
  return (fields.together == 0 || fields.together == 1) && fields.scale > 0.0f;
}

const std::vector<PluginField> &field_names() {
  static const std::vector<PluginField> names = {{"together", nullptr, PluginFieldType::kINT32, 1},
                                                 {"scale", nullptr, PluginFieldType::kFLOAT32, 1}};
  return names;
}

bool format_is_right(const PluginTensorDesc &tensor, const PluginTensorDesc &query) {
  bool known = tensor.type == DataType::kHALF;
#if NV_TENSORRT_MAJOR >= 10
  known = known || tensor.type == DataType::kBF16;
#endif
  return known && tensor.format == TensorFormat::kLINEAR && tensor.type == query.type;
}

void set_strides(int64_t (&strides)[3], const Fields &fields, int64_t heads, int64_t tokens) {
  strides[0] = heads * tokens * CHANNELS;
  strides[1] = fields.together ? CHANNELS : tokens * CHANNELS;
  strides[2] = fields.together ? heads * CHANNELS : CHANNELS;
}

bool run(const Fields &fields, const PluginTensorDesc *in, const void *const *inputs, void *const *outputs,
         cudaStream_t stream) {
  const Dims &query = in[0].dims, &key = in[1].dims, &value = in[2].dims;
  const int heads = fields.together ? 2 : 1, tokens = fields.together ? 1 : 2;
  for (const Dims *each : {&query, &key, &value})
    if (each->nbDims != 4 || each->d[3] != CHANNELS || each->d[0] != query.d[0] || each->d[heads] != query.d[heads])
      return false;
  if (key.d[tokens] != value.d[tokens]) return false;
  VsrtAttentionConfig config{};
  config.batch = (int32_t)query.d[0], config.heads = (int32_t)query.d[heads];
  config.queries = (int32_t)query.d[tokens], config.keys = (int32_t)key.d[tokens];
  config.format = in[0].type == DataType::kHALF ? VSRT_FLOAT16 : VSRT_BFLOAT16;
  config.scale = fields.scale;
  set_strides(config.query_strides, fields, config.heads, config.queries);
  set_strides(config.out_strides, fields, config.heads, config.queries);
  set_strides(config.key_strides, fields, config.heads, config.keys);
  set_strides(config.value_strides, fields, config.heads, config.keys);
  return vsrt_attention_enqueue(&config, inputs[0], inputs[1], inputs[2], outputs[0], stream) == VSRT_OK;
}

#if NV_TENSORRT_MAJOR >= 10

class Attention : public IPluginV3, public IPluginV3OneCore, public IPluginV3OneBuild, public IPluginV3OneRuntime {
 public:
  explicit Attention(const Fields &fields) : fields_(fields) {
    serialized_ = {{"together", &fields_.together, PluginFieldType::kINT32, 1},
                   {"scale", &fields_.scale, PluginFieldType::kFLOAT32, 1}};
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
  IPluginV3 *clone() noexcept override { return new (std::nothrow) Attention(fields_); }
  const char *getPluginName() const noexcept override { return NAME; }
  const char *getPluginVersion() const noexcept override { return VERSION; }
  const char *getPluginNamespace() const noexcept override { return ""; }

  int32_t getNbOutputs() const noexcept override { return OUTPUTS; }
  int32_t configurePlugin(const DynamicPluginTensorDesc *, int32_t inputs, const DynamicPluginTensorDesc *,
                          int32_t outputs) noexcept override {
    return inputs == INPUTS && outputs == OUTPUTS ? 0 : 1;
  }
  int32_t getOutputDataTypes(DataType *types, int32_t, const DataType *inputs, int32_t) const noexcept override {
    types[0] = inputs[0];
    return 0;
  }
  int32_t getOutputShapes(const DimsExprs *inputs, int32_t count, const DimsExprs *, int32_t, DimsExprs *shapes, int32_t,
                          IExprBuilder &) noexcept override {
    if (count != INPUTS) return 1;
    shapes[0] = inputs[0];
    return 0;
  }
  bool supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc *tensors, int32_t,
                                 int32_t) noexcept override {
    return format_is_right(tensors[position].desc, tensors[0].desc);
  }

  int32_t onShapeChange(const PluginTensorDesc *, int32_t, const PluginTensorDesc *, int32_t) noexcept override {
    return 0;
  }
  int32_t enqueue(const PluginTensorDesc *in, const PluginTensorDesc *, const void *const *inputs,
                  void *const *outputs, void *, cudaStream_t stream) noexcept override {
    return run(fields_, in, inputs, outputs, stream) ? 0 : 1;
  }
  IPluginV3 *attachToContext(IPluginResourceContext *) noexcept override { return clone(); }
  const PluginFieldCollection *getFieldsToSerialize() noexcept override { return &collection_; }

 private:
  Fields fields_;
  std::vector<PluginField> serialized_;
  PluginFieldCollection collection_{};
};

class AttentionCreator : public IPluginCreatorV3One {
 public:
  IPluginV3 *createPlugin(const char *, const PluginFieldCollection *given, TensorRTPhase) noexcept override {
    Fields fields;
    return given != nullptr && read_fields(*given, fields) ? new (std::nothrow) Attention(fields) : nullptr;
  }
  const PluginFieldCollection *getFieldNames() noexcept override { return &names_; }
  const char *getPluginName() const noexcept override { return NAME; }
  const char *getPluginVersion() const noexcept override { return VERSION; }
  const char *getPluginNamespace() const noexcept override { return ""; }

 private:
  PluginFieldCollection names_{(int32_t)field_names().size(), field_names().data()};
};

#else

class Attention : public IPluginV2DynamicExt {
 public:
  explicit Attention(const Fields &fields) : fields_(fields) {}

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
    Attention *copy = new (std::nothrow) Attention(fields_);
    if (copy != nullptr) copy->setPluginNamespace(namespace_.c_str());
    return copy;
  }

  DataType getOutputDataType(int32_t, const DataType *inputs, int32_t) const noexcept override { return inputs[0]; }
  DimsExprs getOutputDimensions(int32_t, const DimsExprs *inputs, int32_t, IExprBuilder &) noexcept override {
    return inputs[0];
  }
  bool supportsFormatCombination(int32_t position, const PluginTensorDesc *tensors, int32_t inputs,
                                 int32_t outputs) noexcept override {
    return inputs == INPUTS && outputs == OUTPUTS && format_is_right(tensors[position], tensors[0]);
  }
  void configurePlugin(const DynamicPluginTensorDesc *, int32_t, const DynamicPluginTensorDesc *,
                       int32_t) noexcept override {}
  size_t getWorkspaceSize(const PluginTensorDesc *, int32_t, const PluginTensorDesc *, int32_t) const noexcept override {
    return 0;
  }
  int32_t enqueue(const PluginTensorDesc *in, const PluginTensorDesc *, const void *const *inputs,
                  void *const *outputs, void *, cudaStream_t stream) noexcept override {
    return run(fields_, in, inputs, outputs, stream) ? 0 : 1;
  }

 private:
  Fields fields_;
  std::string namespace_;
};

class AttentionCreator : public IPluginCreator {
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
    Attention *plugin = new (std::nothrow) Attention(fields);
    if (plugin != nullptr) plugin->setPluginNamespace(namespace_.c_str());
    return plugin;
  }

  std::string namespace_;
  PluginFieldCollection names_{(int32_t)field_names().size(), field_names().data()};
};

#endif

REGISTER_TENSORRT_PLUGIN(AttentionCreator);

}  // namespace
