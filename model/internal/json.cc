#include "model/internal/json.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

namespace orchard::model::internal {
namespace {

namespace pb = google::protobuf;

constexpr const char* kTypePrefix = "type.googleapis.com";

std::string DeterministicBinary(const pb::Message& message) {
  std::string binary;
  pb::io::StringOutputStream stream(&binary);
  pb::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);  // Sorts maps, which otherwise come in hash order.
  message.SerializeWithCachedSizes(&coded);
  coded.Trim();
  return binary;
}

}  // namespace

std::string ToJson(const pb::Message& message, Layout layout) {
  static_cast<void>(message.ByteSizeLong());  // Fills the cached sizes.
  const std::unique_ptr<pb::util::TypeResolver> types(pb::util::NewTypeResolverForDescriptorPool(
      kTypePrefix, message.GetDescriptor()->file()->pool()));
  pb::util::JsonPrintOptions options;
  options.add_whitespace = layout == Layout::kReadable;
  std::string json;
  const std::string url = absl::StrCat(kTypePrefix, "/", message.GetDescriptor()->full_name());
  // Fails for unresolved types only, and those of a generated message are in its own pool.
  static_cast<void>(
      pb::util::BinaryToJsonString(types.get(), url, DeterministicBinary(message), &json, options));
  return json;
}

absl::Status FromJson(std::string_view json, std::string_view file, pb::Message& message) {
  pb::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = pb::util::JsonStringToMessage(std::string(json), &message, options);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(file), ": ", std::string(status.message())));
}

}  // namespace orchard::model::internal
