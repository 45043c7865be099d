// Attention as a TensorRT plug-in, op VideoSceneAttention, version 1: IPluginV2DynamicExt before TensorRT 10, IPluginV3 from 10 on.
//
// Inputs query, key, value; output of query's shape: all HALF, from TensorRT 10 on also all BF16. Channels are 64.
// Fields: together (int32; 0: [batch,heads,tokens,64], 1: [batch,tokens,heads,64]), scale (float32; 0.125).
//
// The library says which TensorRT's headers it was built with, in plain bytes: registering calls through a table of functions that
// another version has in another order, so whoever loads it looks first (engines/tensorrt/plugin.py).

#include <cstring>
#include <string>
#include <vector>

#include "plugin.h"
#include "videoscene_rt_kernels.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

extern "C" VSRT_API const char vsrt_plugin_built_for[];
const char vsrt_plugin_built_for[] =
    "videoscene-rt plug-in for TensorRT " TEXT(NV_TENSORRT_MAJOR) "." TEXT(NV_TENSORRT_MINOR) ";";

namespace {

using namespace nvinfer1;

constexpr int32_t CHANNELS = 64;

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

bool attend(const Fields &fields, const PluginTensorDesc *in, const void *const *inputs, void *const *outputs,
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

struct Attention {
  static constexpr char NAME[] = "VideoSceneAttention";
  static constexpr int32_t INPUTS = 3, OUTPUTS = 1, TYPED_BY = 0;
  typedef ::Fields Fields;

  static bool read(const PluginFieldCollection &given, Fields &fields) { return read_fields(given, fields); }
  static const std::vector<PluginField> &names() { return field_names(); }
  static std::vector<PluginField> values(const Fields &fields) {
    return {{"together", &fields.together, PluginFieldType::kINT32, 1}, {"scale", &fields.scale, PluginFieldType::kFLOAT32, 1}};
  }
  static DataType type(int32_t, const DataType *inputs) { return inputs[0]; }
  static DimsExprs shape(int32_t, const Fields &, const DimsExprs *inputs, IExprBuilder &) { return inputs[0]; }
  static bool fits(int32_t, const PluginTensorDesc &tensor, const PluginTensorDesc &query) {
    return format_is_right(tensor, query);
  }
  static size_t workspace_bytes(const Fields &, const PluginTensorDesc *) { return 0; }
  static bool run(const Fields &fields, const PluginTensorDesc *in, const void *const *inputs, void *const *outputs, void *,
                  cudaStream_t stream) {
    return attend(fields, in, inputs, outputs, stream);
  }
};

typedef vsrt::PluginCreator<Attention> AttentionCreator;
REGISTER_TENSORRT_PLUGIN(AttentionCreator);

}  // namespace
