#include "model/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <c10/util/Half.h>
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/text.h"

namespace orchard::model {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are stored little-endian");

using Json = nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // bytes; the format's own limit
constexpr const char* kMetadata = "__metadata__";

struct TypeName {
  StoredType type;
  const char* name;
};
constexpr TypeName kTypes[] = {
    {StoredType::kF32, "F32"}, {StoredType::kF16, "F16"}, {StoredType::kI64, "I64"}};

const char* NameOf(StoredType type) {
  return std::ranges::find(kTypes, type, &TypeName::type)->name;
}

absl::Status Broken(std::string_view file, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(std::string(file), ": ", why));
}

absl::Status BrokenTensor(std::string_view file, const std::string& name, const std::string& why) {
  return Broken(file, absl::StrCat("tensor \"", name, "\" ", why));
}

/// The header's JSON object. A JSON parser keeps the last of two equal keys: a name given twice
/// would hide bytes from every check, so keys are counted while parsing.
absl::StatusOr<Json> ParseHeader(std::string_view text, std::string_view file) {
  std::set<std::string> names;
  std::set<std::string> fields;  // of the tensor being read
  std::string twice;
  const auto count_keys = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event != Json::parse_event_t::key || depth > 2) return true;
    if (depth == 1) fields.clear();
    const std::string key = value.get<std::string>();
    if (!(depth == 1 ? names : fields).insert(key).second) twice = key;
    return true;
  };
  Json header = Json::parse(text, count_keys, /*allow_exceptions=*/false);
  if (header.is_discarded() || !header.is_object()) {
    return Broken(file, "the safetensors header is not a JSON object");
  }
  if (!twice.empty()) {
    return Broken(file, absl::StrCat("the safetensors header gives \"", twice, "\" twice"));
  }
  return header;
}

/// A tensor as its header entry describes it.
struct Entry {
  std::string name;
  StoredType type = StoredType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // in the data section
  std::uint64_t end = 0;
};

bool IsNatural(const Json& value) { return value.is_number_unsigned(); }

/// Bytes of a tensor, or nothing when they would not fit 64 bits.
std::optional<std::uint64_t> BytesOf(StoredType type, const std::vector<std::int64_t>& shape) {
  std::uint64_t bytes = SizeOf(type);
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dimension), &bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

absl::StatusOr<Entry> ParseEntry(const std::string& name, const Json& json, std::string_view file) {
  const bool complete = json.is_object() && json.size() == 3 && json.contains("dtype") &&
                        json.contains("shape") && json.contains("data_offsets");
  if (!complete) {
    return BrokenTensor(file, name, "must have exactly dtype, shape and data_offsets");
  }
  Entry entry;
  entry.name = name;
  const Json& dtype = json["dtype"];
  const auto known =
      std::ranges::find_if(kTypes, [&](const TypeName& t) { return dtype == t.name; });
  if (known == std::end(kTypes)) {
    return BrokenTensor(file, name,
                        absl::StrCat("has dtype ", dtype.dump(), "; known: F32, F16, I64"));
  }
  entry.type = known->type;
  const Json& shape = json["shape"];
  const Json& offsets = json["data_offsets"];
  if (!shape.is_array() || !std::ranges::all_of(shape, IsNatural)) {
    return BrokenTensor(file, name, absl::StrCat("has shape ", shape.dump()));
  }
  if (!offsets.is_array() || offsets.size() != 2 || !std::ranges::all_of(offsets, IsNatural)) {
    return BrokenTensor(file, name, absl::StrCat("has data_offsets ", offsets.dump()));
  }
  entry.shape = shape.get<std::vector<std::int64_t>>();
  entry.begin = offsets[0].get<std::uint64_t>();
  entry.end = offsets[1].get<std::uint64_t>();
  const std::optional<std::uint64_t> bytes = BytesOf(entry.type, entry.shape);
  if (entry.end < entry.begin || bytes != entry.end - entry.begin) {
    return BrokenTensor(file, name,
                        absl::StrCat("of shape ", shape.dump(), " and dtype ", known->name,
                                     " has data_offsets ", offsets.dump()));
  }
  return entry;
}

/// Whether an element is NaN or ±∞: its exponent bits are all ones.
template <typename Bits>
bool AnyNonFinite(const std::string& bytes, Bits exponent) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(Bits)) {
    Bits bits = 0;
    std::memcpy(&bits, bytes.data() + at, sizeof(Bits));
    if ((bits & exponent) == exponent) return true;
  }
  return false;
}

bool AnyNonFinite(const StoredTensor& tensor) {
  switch (tensor.type) {
    case StoredType::kF32:
      return AnyNonFinite<std::uint32_t>(tensor.bytes, 0x7f800000U);
    case StoredType::kF16:
      return AnyNonFinite<std::uint16_t>(tensor.bytes, 0x7c00U);
    case StoredType::kI64:
      return false;
  }
  return false;
}

/// Cuts the data section at the entries, which must cover it without overlaps and holes.
absl::StatusOr<TensorMap> Cut(std::string_view data, std::vector<Entry> entries,
                              std::string_view file) {
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  TensorMap tensors;
  std::uint64_t covered = 0;
  for (Entry& entry : entries) {
    if (entry.begin != covered || entry.end > data.size()) {
      return BrokenTensor(file, entry.name,
                          absl::StrCat("lies at bytes ", entry.begin, " to ", entry.end, " of ",
                                       data.size(), "; expected to start at ", covered,
                                       ": offsets overlap, leave a hole or leave the file"));
    }
    covered = entry.end;
    StoredTensor tensor{.type = entry.type,
                        .shape = std::move(entry.shape),
                        .bytes = std::string(data.substr(entry.begin, entry.end - entry.begin))};
    if (AnyNonFinite(tensor)) return BrokenTensor(file, entry.name, "holds NaN or an infinity");
    tensors.emplace(std::move(entry.name), std::move(tensor));
  }
  if (covered != data.size()) {
    return Broken(file, absl::StrCat(data.size() - covered, " bytes after the last tensor"));
  }
  return tensors;
}

}  // namespace

size_t SizeOf(StoredType type) {
  switch (type) {
    case StoredType::kF32:
      return 4;
    case StoredType::kF16:
      return 2;
    case StoredType::kI64:
      return 8;
  }
  return 0;
}

std::vector<float> StoredTensor::Floats() const {
  std::vector<float> values(bytes.size() / SizeOf(type));
  if (type == StoredType::kF32) {
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == StoredType::kF16) {
      c10::Half half;
      std::memcpy(&half.x, bytes.data() + i * sizeof(half.x), sizeof(half.x));
      values[i] = static_cast<float>(half);
    } else {
      std::int64_t integer = 0;
      std::memcpy(&integer, bytes.data() + i * sizeof(integer), sizeof(integer));
      values[i] = static_cast<float>(integer);
    }
  }
  return values;
}

std::ostream& operator<<(std::ostream& out, const StoredTensor& tensor) {
  return out << NameOf(tensor.type) << " [" << absl::StrJoin(tensor.shape, ", ") << "]";
}

StoredTensor Store(std::vector<std::int64_t> shape, const std::vector<float>& values,
                   StoredType type) {
  StoredTensor tensor{.type = type, .shape = std::move(shape), .bytes = {}};
  tensor.bytes.resize(values.size() * SizeOf(type));
  for (size_t i = 0; i < values.size(); ++i) {
    char* const at = tensor.bytes.data() + i * SizeOf(type);
    if (type == StoredType::kF16) {
      const c10::Half half(values[i]);  // Rounds to nearest, ties to even.
      std::memcpy(at, &half.x, sizeof(half.x));
    } else if (type == StoredType::kI64) {
      const auto integer = static_cast<std::int64_t>(values[i]);
      std::memcpy(at, &integer, sizeof(integer));
    } else {
      std::memcpy(at, &values[i], sizeof(float));
    }
  }
  return tensor;
}

absl::StatusOr<TensorMap> ParseSafetensors(std::string_view bytes, std::string_view file) {
  if (bytes.size() < kLengthBytes) {
    return Broken(file, absl::StrCat(bytes.size(), " bytes are no safetensors file"));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  bytes.remove_prefix(kLengthBytes);
  if (length > kMaxHeader || length > bytes.size()) {
    return Broken(file, absl::StrCat("a safetensors header of ", length, " bytes; the file has ",
                                     bytes.size(), ", the limit is ", kMaxHeader));
  }
  ORCHARD_ASSIGN_OR_RETURN(const Json header, ParseHeader(bytes.substr(0, length), file));
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name == kMetadata) continue;  // Free text of whoever wrote the file.
    ORCHARD_ASSIGN_OR_RETURN(Entry entry, ParseEntry(name, json, file));
    entries.push_back(std::move(entry));
  }
  return Cut(bytes.substr(length), std::move(entries), file);
}

absl::StatusOr<TensorMap> ReadSafetensors(const std::filesystem::path& path) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(path));
  return ParseSafetensors(bytes, path.string());
}

std::string SerialiseSafetensors(const TensorMap& tensors) {
  Json header = Json::object();
  size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t end = offset + tensor.bytes.size();
    header[name] = {
        {"dtype", NameOf(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');
  const std::uint64_t length = text.size();
  std::string file(reinterpret_cast<const char*>(&length), kLengthBytes);
  file.reserve(kLengthBytes + text.size() + offset);
  file += text;
  for (const auto& [name, tensor] : tensors) file += tensor.bytes;
  return file;
}

}  // namespace orchard::model
