#include "model/fingerprint.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/digest.h"
#include "model/internal/json.h"

namespace orchard::model {
namespace {

constexpr size_t kDigits = 16;

}  // namespace

std::string Fingerprint(const TensorMap& encoder, const v1::Preprocessing& preprocessing) {
  core::Sha256 digest;
  for (const auto& [name, tensor] : encoder) {
    // Every piece ends in a newline or has a length that the pieces before it say, so that no two
    // encoders give the same stream.
    digest.Add(absl::StrCat(name, "\n", static_cast<int>(tensor.type), "\n",
                            absl::StrJoin(tensor.shape, ","), "\n"));
    digest.Add(tensor.bytes);
  }
  digest.Add(internal::ToJson(preprocessing, internal::Layout::kCompact));
  return digest.Hex().substr(0, kDigits);
}

std::string PictureFingerprint(const v1::Preprocessing& preprocessing) {
  core::Sha256 digest;
  digest.Add(absl::StrCat("orchard picture 1\n", preprocessing.shorter_side(), "\n",
                          preprocessing.crop(), "\n", v1::Framing_Name(preprocessing.framing()),
                          "\n"));
  return digest.Hex().substr(0, kDigits);
}

}  // namespace orchard::model
