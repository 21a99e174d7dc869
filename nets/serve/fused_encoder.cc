#include "nets/serve/fused_encoder.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "core/mutex.h"
#include "nets/guarded.h"
#include "nets/internal/onednn.h"
#include "nets/serve/folded.h"

namespace orchard::nets {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

constexpr int64_t kSide = 224;  // pixels
constexpr int64_t kChannels = 3;
constexpr size_t kBytes = static_cast<size_t>(kSide * kSide * kChannels);  // of a picture

// Whole vectors of 16 pixels: a loop over three channels would run byte by byte.
constexpr size_t kStride = 16 * kChannels;
static_assert(kBytes % kStride == 0);
using Strip = std::array<float, kStride>;

/// The buffers that steps read and write. A block reads one of the block buffers and writes the
/// other one, or, when its input is added to its output, the same one.
enum Buffer : size_t {
  kInput,  // standardised pixels, FP32, channels last
  kBlock0,
  kBlock1,
  kHidden0,
  kHidden1,
  kReordered,
  kTop,
  kScratch,
  kMap,     // the caller's
  kPooled,  // the caller's
  kBuffers,
};

/// What stands in a buffer between two steps.
struct Value {
  memory::desc desc;
  Buffer buffer;
};

/// A primitive with its constant arguments; source and destination are bound by each Workspace.
struct Step {
  dnnl::primitive primitive;
  std::unordered_map<int, memory> constants;
  int source_argument;
  int destination_argument;
  Value source;
  Value destination;
  memory::desc scratch;
};

/// Primitives keep the number of threads of whoever makes them: one, for the time of its life.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// Translates blocks into steps, layer by layer.
class Compiler {
 public:
  Compiler(const dnnl::engine& engine, Precision precision)
      : engine_(engine),
        stream_(engine),
        type_(precision == Precision::kBf16 ? Type::bf16 : Type::f32) {}

  std::vector<Step> Compile(const MobileNetV2& network) {
    Value value{{{1, kChannels, kSide, kSide}, Type::f32, Tag::nhwc}, kInput};
    const size_t last = static_cast<size_t>(kEncoderBlocks) - 1;
    for (size_t i = 0; i < last; ++i) {
      // The last of these makes the map: what leaves the encoder isn't rounded to BF16.
      const Type out_type = i + 1 == last ? Type::f32 : type_;
      value = Block(Fold(*network->features->ptr(i)), value, out_type);
    }
    Reorder(value, {{{1, kMapChannels, kMapSide, kMapSide}, Type::f32, Tag::nchw}, kMap});
    const FoldedBlock top = Fold(*network->features->ptr(last));
    value = Convolve(top.layers.front(), value, kTop, nullptr, Type::f32);
    Pool(value);
    return std::move(steps_);
  }

 private:
  /// `out_type`: of what the block's last layer writes; with a skip it is the input's.
  Value Block(const FoldedBlock& block, const Value& input, Type out_type) {
    const Buffer other = input.buffer == kBlock0 ? kBlock1 : kBlock0;
    Value value = input;
    for (size_t i = 0; i < block.layers.size(); ++i) {
      const bool last = i + 1 == block.layers.size();
      const Buffer hidden = value.buffer == kHidden0 ? kHidden1 : kHidden0;
      const Buffer out = !last ? hidden : block.skip ? input.buffer : other;
      value = Convolve(block.layers[i], value, out, last && block.skip ? &input : nullptr,
                       last ? out_type : type_);
    }
    return value;
  }

  /// `added`, if any, is what stands in `out` already: the result is added to it in place.
  Value Convolve(const FoldedConvolution& layer, const Value& input, Buffer out, const Value* added,
                 Type out_type) {
    const memory::dims in_dims = internal::Dims(input.desc);
    const int64_t padding = layer.padding();
    const int64_t side = (in_dims[2] + 2 * padding - layer.kernel.size(2)) / layer.stride + 1;
    const memory::dims out_dims{1, layer.kernel.size(0), side, side};
    const dnnl::convolution_forward::primitive_desc primitive = internal::DescribeConvolution(
        engine_,
        {.source = {in_dims, type_, Tag::any},
         .weights = {KernelDims(layer), type_, Tag::any},
         .bias = {{out_dims[1]}, Type::f32, Tag::a},
         .destination = added != nullptr ? added->desc : memory::desc(out_dims, out_type, Tag::any),
         .strides = {layer.stride, layer.stride},
         .padding = {padding, padding}},
        Attributes(layer, added));
    const Value source = Reorder(input, {primitive.src_desc(), kReordered});
    const Value destination{primitive.dst_desc(), out};
    steps_.push_back({.primitive = dnnl::convolution_forward(primitive),
                      .constants = {{DNNL_ARG_WEIGHTS, Pack(layer, primitive.weights_desc())},
                                    {DNNL_ARG_BIAS, Copy(layer.bias, primitive.bias_desc())}},
                      .source_argument = DNNL_ARG_SRC,
                      .destination_argument = DNNL_ARG_DST,
                      .source = source,
                      .destination = destination,
                      .scratch = primitive.scratchpad_desc()});
    return destination;
  }

  static dnnl::primitive_attr Attributes(const FoldedConvolution& layer, const Value* added) {
    dnnl::post_ops after;
    if (added != nullptr) after.append_sum(1.0F);
    if (layer.relu6) {
      internal::AppendEltwise(after, dnnl::algorithm::eltwise_clip, 0.0F, 6.0F);
    }
    dnnl::primitive_attr attributes = Plain();
    attributes.set_post_ops(after);
    return attributes;
  }

  /// With scratch memory from us: oneDNN's own belongs to the thread that made the primitive.
  static dnnl::primitive_attr Plain() {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
  }

  static memory::dims KernelDims(const FoldedConvolution& layer) {
    memory::dims dims = layer.kernel.sizes().vec();
    if (layer.groups > 1) {  // [groups, out/groups, in/groups, k, k]
      dims[0] /= layer.groups;
      dims.insert(dims.begin(), layer.groups);
    }
    return dims;
  }

  memory Pack(const FoldedConvolution& layer, const memory::desc& desc) {
    const torch::Tensor kernel = layer.kernel.contiguous();
    memory plain({KernelDims(layer), Type::f32, layer.groups > 1 ? Tag::goihw : Tag::oihw}, engine_,
                 kernel.data_ptr());
    memory packed(desc, engine_);
    dnnl::reorder(plain, packed).execute(stream_, plain, packed);
    stream_.wait();
    return packed;
  }

  memory Copy(const torch::Tensor& vector, const memory::desc& desc) const {
    memory copy(desc, engine_);
    const torch::Tensor plain = vector.contiguous();
    std::copy_n(plain.data_ptr<float>(), plain.numel(),
                static_cast<float*>(copy.get_data_handle()));
    return copy;
  }

  /// `value` as `wanted`, by a further step unless it is that already.
  Value Reorder(const Value& value, const Value& wanted) {
    if (value.desc == wanted.desc && wanted.buffer != kMap) return value;
    const dnnl::reorder::primitive_desc primitive(engine_, value.desc, engine_, wanted.desc,
                                                  Plain());
    steps_.push_back({.primitive = dnnl::reorder(primitive),
                      .constants = {},
                      .source_argument = DNNL_ARG_FROM,
                      .destination_argument = DNNL_ARG_TO,
                      .source = value,
                      .destination = wanted,
                      .scratch = primitive.scratchpad_desc()});
    return wanted;
  }

  void Pool(const Value& top) {
    const memory::desc pooled({1, kPooledWidth, 1, 1}, Type::f32, Tag::any);
    const dnnl::pooling_forward::primitive_desc primitive =
        internal::DescribeAveragePooling(engine_, top.desc, pooled, {kMapSide, kMapSide}, Plain());
    // Whatever its layout is called: over a single position channels are contiguous.
    steps_.push_back({.primitive = dnnl::pooling_forward(primitive),
                      .constants = {},
                      .source_argument = DNNL_ARG_SRC,
                      .destination_argument = DNNL_ARG_DST,
                      .source = top,
                      .destination = {primitive.dst_desc(), kPooled},
                      .scratch = primitive.scratchpad_desc()});
  }

  const dnnl::engine& engine_;
  dnnl::stream stream_;
  const Type type_;
  std::vector<Step> steps_;
};

/// Buffers for one picture on its way, and the steps' arguments that point to them.
class Workspace {
 public:
  Workspace(const std::vector<Step>& steps, const dnnl::engine& engine) : stream_(engine) {
    std::array<size_t, kBuffers> bytes{};
    const auto fit = [&bytes](const memory::desc& desc, Buffer buffer) {
      bytes[buffer] = std::max(bytes[buffer], desc.get_size());
    };
    for (const Step& step : steps) {
      fit(step.source.desc, step.source.buffer);
      fit(step.destination.desc, step.destination.buffer);
      fit(step.scratch, kScratch);
    }
    for (size_t i = 0; i < kMap; ++i) {
      buffers_[i] = memory({{static_cast<int64_t>(bytes[i])}, Type::u8, Tag::a}, engine);
    }
    for (const Step& step : steps) {
      std::unordered_map<int, memory> arguments = step.constants;
      arguments[step.source_argument] = View(step.source, engine);
      arguments[step.destination_argument] = View(step.destination, engine);
      arguments[DNNL_ARG_SCRATCHPAD] = View({step.scratch, kScratch}, engine);
      arguments_.push_back(std::move(arguments));
    }
  }

  float* input() { return static_cast<float*>(buffers_[kInput].get_data_handle()); }

  void Run(const std::vector<Step>& steps, float* map, float* pooled) {
    for (memory& view : map_) view.set_data_handle(map);
    for (memory& view : pooled_) view.set_data_handle(pooled);
    for (size_t i = 0; i < steps.size(); ++i) steps[i].primitive.execute(stream_, arguments_[i]);
    stream_.wait();
  }

 private:
  memory View(const Value& value, const dnnl::engine& engine) {
    if (value.buffer < kMap) {
      return {value.desc, engine, buffers_[value.buffer].get_data_handle()};
    }
    memory view(value.desc, engine, DNNL_MEMORY_NONE);  // Bound by each Run; copies share it.
    (value.buffer == kMap ? map_ : pooled_).push_back(view);
    return view;
  }

  dnnl::stream stream_;
  std::array<memory, kMap> buffers_;
  std::vector<memory> map_, pooled_;
  std::vector<std::unordered_map<int, memory>> arguments_;  // of each step
};

/// As nets::Standardise, without tensors.
void StandardiseInto(const std::uint8_t* __restrict pixels, const Strip& scale, const Strip& shift,
                     float* __restrict out) {
  for (size_t begin = 0; begin < kBytes; begin += kStride) {
    for (size_t i = 0; i < kStride; ++i) {
      out[begin + i] = static_cast<float>(pixels[begin + i]) * scale[i] - shift[i];
    }
  }
}

}  // namespace

bool CpuHasBf16() {
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto bf16 = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  return (isa & bf16) == bf16;  // An instruction set's number has the bits of those it includes.
}

struct FusedEncoder::Impl {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  Strip scale{};  // pixel · scale - shift is the standardised value
  Strip shift{};
  std::vector<Step> steps;

  std::unique_ptr<Workspace> Take() {
    {
      core::MutexLock lock(mutex);
      if (!idle.empty()) {
        std::unique_ptr<Workspace> workspace = std::move(idle.back());
        idle.pop_back();
        return workspace;
      }
    }
    return std::make_unique<Workspace>(steps, engine);
  }

  void GiveBack(std::unique_ptr<Workspace> workspace) {
    core::MutexLock lock(mutex);
    idle.push_back(std::move(workspace));
  }

  core::Mutex mutex;
  std::vector<std::unique_ptr<Workspace>> idle ABSL_GUARDED_BY(mutex);  // at most one a thread
};

FusedEncoder::FusedEncoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FusedEncoder::~FusedEncoder() = default;
FusedEncoder::FusedEncoder(FusedEncoder&&) noexcept = default;
FusedEncoder& FusedEncoder::operator=(FusedEncoder&&) noexcept = default;

absl::StatusOr<FusedEncoder> FusedEncoder::Make(const MobileNetV2& network,
                                                const torch::Tensor& mean, const torch::Tensor& std,
                                                Precision precision) {
  if (precision == Precision::kBf16 && !CpuHasBf16()) {
    return absl::FailedPreconditionError("this CPU has no BF16 arithmetic (AVX512-BF16 or AMX)");
  }
  return Guarded("compiling the encoder", [&]() -> absl::StatusOr<FusedEncoder> {
    const torch::NoGradGuard guard;
    const OneThread one_thread;
    auto impl = std::make_unique<Impl>();
    for (size_t i = 0; i < kStride; ++i) {
      const int64_t channel = static_cast<int64_t>(i) % kChannels;
      const float deviation = std[channel].item<float>();
      impl->scale[i] = 1.0F / (deviation * 255.0F);
      impl->shift[i] = mean[channel].item<float>() / deviation;
    }
    impl->steps = Compiler(impl->engine, precision).Compile(network);
    return FusedEncoder(std::move(impl));
  });
}

absl::Status FusedEncoder::Run(const std::uint8_t* pixels, float* map, float* pooled) const {
  return Guarded("running the encoder", [&]() -> absl::Status {
    std::unique_ptr<Workspace> workspace = impl_->Take();
    StandardiseInto(pixels, impl_->scale, impl_->shift, workspace->input());
    workspace->Run(impl_->steps, map, pooled);
    impl_->GiveBack(std::move(workspace));
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<torch::Tensor>> FusedEncoder::Run(const torch::Tensor& input) const {
  if (input.dim() != 4 || input.scalar_type() != torch::kUInt8 ||
      static_cast<size_t>(input[0].numel()) != kBytes) {
    return absl::InternalError("running the encoder: its input is no uint8 [N, 224, 224, 3]");
  }
  const torch::Tensor pixels = input.contiguous();
  torch::Tensor map = torch::empty({pixels.size(0), kMapChannels, kMapSide, kMapSide});
  torch::Tensor pooled = torch::empty({pixels.size(0), kPooledWidth});
  for (int64_t row = 0; row < pixels.size(0); ++row) {
    const absl::Status status = Run(pixels[row].data_ptr<std::uint8_t>(),
                                    map[row].data_ptr<float>(), pooled[row].data_ptr<float>());
    if (!status.ok()) return status;
  }
  return std::vector<torch::Tensor>{map, pooled};
}

}  // namespace orchard::nets
