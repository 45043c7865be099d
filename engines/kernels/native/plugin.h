// What every TensorRT plug-in of ours is: IPluginV2DynamicExt before TensorRT 10, IPluginV3 from 10 on, by the version of the headers.
//
// An op says in static members what is its own:
//   NAME, INPUTS, OUTPUTS; TYPED_BY: the input whose description the others are held against; Fields: plain data with defaults
//   read(given, fields): false if a field is unknown or wrong; names(): the fields; values(fields): the same with pointers to their values
//   type(output, inputs), shape(output, fields, inputs, build), fits(position, tensor, typed_by)
//   workspace_bytes(fields, inputs), run(fields, inputs, inputs' and outputs' addresses, workspace, stream): false if it could not be enqueued
#ifndef VSRT_PLUGIN_H
#define VSRT_PLUGIN_H

#include <NvInfer.h>

#include <cstring>
#include <new>
#include <string>
#include <vector>

namespace vsrt {

using namespace nvinfer1;

constexpr char PLUGIN_VERSION[] = "1";

#if NV_TENSORRT_MAJOR >= 10

template <class Op>
class Plugin : public IPluginV3, public IPluginV3OneCore, public IPluginV3OneBuild, public IPluginV3OneRuntime {
 public:
  explicit Plugin(const typename Op::Fields &fields) : fields_(fields) {
    serialized_ = Op::values(fields_);
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
  IPluginV3 *clone() noexcept override { return new (std::nothrow) Plugin(fields_); }
  const char *getPluginName() const noexcept override { return Op::NAME; }
  const char *getPluginVersion() const noexcept override { return PLUGIN_VERSION; }
  const char *getPluginNamespace() const noexcept override { return ""; }

  int32_t getNbOutputs() const noexcept override { return Op::OUTPUTS; }
  int32_t configurePlugin(const DynamicPluginTensorDesc *, int32_t inputs, const DynamicPluginTensorDesc *,
                          int32_t outputs) noexcept override {
    return inputs == Op::INPUTS && outputs == Op::OUTPUTS ? 0 : 1;
  }
  int32_t getOutputDataTypes(DataType *types, int32_t outputs, const DataType *inputs, int32_t) const noexcept override {
    for (int32_t i = 0; i < outputs; ++i) types[i] = Op::type(i, inputs);
    return 0;
  }
  int32_t getOutputShapes(const DimsExprs *inputs, int32_t count, const DimsExprs *, int32_t, DimsExprs *shapes,
                          int32_t outputs, IExprBuilder &build) noexcept override {
    if (count != Op::INPUTS) return 1;
    for (int32_t i = 0; i < outputs; ++i) shapes[i] = Op::shape(i, fields_, inputs, build);
    return 0;
  }
  bool supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc *tensors, int32_t,
                                 int32_t) noexcept override {
    return Op::fits(position, tensors[position].desc, tensors[Op::TYPED_BY].desc);
  }
  size_t getWorkspaceSize(const DynamicPluginTensorDesc *inputs, int32_t, const DynamicPluginTensorDesc *,
                          int32_t) const noexcept override {
    PluginTensorDesc largest[Op::INPUTS];
    for (int32_t i = 0; i < Op::INPUTS; ++i) largest[i] = inputs[i].desc, largest[i].dims = inputs[i].max;
    return Op::workspace_bytes(fields_, largest);
  }

  int32_t onShapeChange(const PluginTensorDesc *, int32_t, const PluginTensorDesc *, int32_t) noexcept override {
    return 0;
  }
  int32_t enqueue(const PluginTensorDesc *in, const PluginTensorDesc *, const void *const *inputs,
                  void *const *outputs, void *workspace, cudaStream_t stream) noexcept override {
    return Op::run(fields_, in, inputs, outputs, workspace, stream) ? 0 : 1;
  }
  IPluginV3 *attachToContext(IPluginResourceContext *) noexcept override { return clone(); }
  const PluginFieldCollection *getFieldsToSerialize() noexcept override { return &collection_; }

 private:
  typename Op::Fields fields_;
  std::vector<PluginField> serialized_;
  PluginFieldCollection collection_{};
};

template <class Op>
class PluginCreator : public IPluginCreatorV3One {
 public:
  IPluginV3 *createPlugin(const char *, const PluginFieldCollection *given, TensorRTPhase) noexcept override {
    typename Op::Fields fields;
    return given != nullptr && Op::read(*given, fields) ? new (std::nothrow) Plugin<Op>(fields) : nullptr;
  }
  const PluginFieldCollection *getFieldNames() noexcept override { return &names_; }
  const char *getPluginName() const noexcept override { return Op::NAME; }
  const char *getPluginVersion() const noexcept override { return PLUGIN_VERSION; }
  const char *getPluginNamespace() const noexcept override { return ""; }

 private:
  PluginFieldCollection names_{(int32_t)Op::names().size(), Op::names().data()};
};

#else

template <class Op>
class Plugin : public IPluginV2DynamicExt {
 public:
  typedef typename Op::Fields Fields;

  explicit Plugin(const Fields &fields) : fields_(fields) {}

  const char *getPluginType() const noexcept override { return Op::NAME; }
  const char *getPluginVersion() const noexcept override { return PLUGIN_VERSION; }
  int32_t getNbOutputs() const noexcept override { return Op::OUTPUTS; }
  int32_t initialize() noexcept override { return 0; }
  void terminate() noexcept override {}
  void destroy() noexcept override { delete this; }
  size_t getSerializationSize() const noexcept override { return sizeof(Fields); }
  void serialize(void *buffer) const noexcept override { std::memcpy(buffer, &fields_, sizeof(Fields)); }
  void setPluginNamespace(const char *name) noexcept override { namespace_ = name == nullptr ? "" : name; }
  const char *getPluginNamespace() const noexcept override { return namespace_.c_str(); }
  IPluginV2DynamicExt *clone() const noexcept override {
    Plugin *copy = new (std::nothrow) Plugin(fields_);
    if (copy != nullptr) copy->setPluginNamespace(namespace_.c_str());
    return copy;
  }

  DataType getOutputDataType(int32_t output, const DataType *inputs, int32_t) const noexcept override {
    return Op::type(output, inputs);
  }
  DimsExprs getOutputDimensions(int32_t output, const DimsExprs *inputs, int32_t, IExprBuilder &build) noexcept override {
    return Op::shape(output, fields_, inputs, build);
  }
  bool supportsFormatCombination(int32_t position, const PluginTensorDesc *tensors, int32_t inputs,
                                 int32_t outputs) noexcept override {
    return inputs == Op::INPUTS && outputs == Op::OUTPUTS && Op::fits(position, tensors[position], tensors[Op::TYPED_BY]);
  }
  void configurePlugin(const DynamicPluginTensorDesc *, int32_t, const DynamicPluginTensorDesc *,
                       int32_t) noexcept override {}
  size_t getWorkspaceSize(const PluginTensorDesc *inputs, int32_t, const PluginTensorDesc *,
                          int32_t) const noexcept override {
    return Op::workspace_bytes(fields_, inputs);
  }
  int32_t enqueue(const PluginTensorDesc *in, const PluginTensorDesc *, const void *const *inputs,
                  void *const *outputs, void *workspace, cudaStream_t stream) noexcept override {
    return Op::run(fields_, in, inputs, outputs, workspace, stream) ? 0 : 1;
  }

 private:
  Fields fields_;
  std::string namespace_;
};

template <class Op>
class PluginCreator : public IPluginCreator {
 public:
  typedef typename Op::Fields Fields;

  const char *getPluginName() const noexcept override { return Op::NAME; }
  const char *getPluginVersion() const noexcept override { return PLUGIN_VERSION; }
  const PluginFieldCollection *getFieldNames() noexcept override { return &names_; }
  IPluginV2 *createPlugin(const char *, const PluginFieldCollection *given) noexcept override {
    Fields fields;
    return given != nullptr && Op::read(*given, fields) ? made(fields) : nullptr;
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
    Plugin<Op> *plugin = new (std::nothrow) Plugin<Op>(fields);
    if (plugin != nullptr) plugin->setPluginNamespace(namespace_.c_str());
    return plugin;
  }

  std::string namespace_;
  PluginFieldCollection names_{(int32_t)Op::names().size(), Op::names().data()};
};

#endif

}  // namespace vsrt

#endif
