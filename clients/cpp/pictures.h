#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "clients/cpp/read_picture.h"

namespace orchard::client {

/// Names of the pictures that the arguments FILE… | DIR | - stand for, in order: a folder is
/// walked, in name order, for files that end in .jpg .jpeg .png .webp in any case; a file is taken
/// whatever its name; "-" is standard input. Repeats stay.
///
/// Inside a folder what users do not see is passed over: names that begin with a dot (among them
/// the sidecars `._a.jpg` of macOS) and the folders `__MACOSX` and `@eaDir`, which archives and
/// storage boxes add. So are pipes, sockets and devices. Links to folders are not followed.
///
/// A folder may also give errors in place of names, which name it: NOT_FOUND when it has no
/// pictures, UNAVAILABLE for each folder in it that can't be read. A file that doesn't exist is no
/// error here: reading it is.
std::vector<absl::StatusOr<std::string>> ExpandPictures(const std::vector<std::string>& arguments);

/// The bytes of the pictures: "-" is read once, however often it is named. Thread-safe.
class PictureReader {
 public:
  /// Reads all of `in` when one of `pictures` is "-". `limit` outlives this.
  PictureReader(const std::vector<absl::StatusOr<std::string>>& pictures, std::istream& in,
                SizeLimit& limit, std::chrono::milliseconds patience);

  /// Errors name the picture: those of ReadPictureFile and ReadPictureStream.
  absl::StatusOr<std::string> Read(const std::string& name) const;

 private:
  SizeLimit& limit_;
  const std::chrono::milliseconds patience_;
  absl::StatusOr<std::string> standard_input_;
};

}  // namespace orchard::client
