#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

/// \file
/// A certificate authority of a test's own, made with OpenSSL's library: short keys (P-256), any
/// dates, no files but those asked for.

namespace orchard::testing {

/// Files of one identity.
struct Identity {
  std::filesystem::path cert, key;
};

class TestCa {
 public:
  /// Writes FOLDER/NAME.pem, its own certificate.
  explicit TestCa(const std::filesystem::path& folder, const std::string& name = "ca");
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  const std::filesystem::path& cert() const { return cert_; }

  struct Wish {
    std::string names = "DNS:localhost,IP:127.0.0.1";  ///< as OpenSSL writes subjectAltName
    std::chrono::hours begin{-1};                      ///< from now
    std::chrono::hours end{24};
  };
  /// A fresh key and a certificate of this authority: FOLDER/NAME.pem and FOLDER/NAME.key, written
  /// in place when they are there.
  Identity Issue(const std::filesystem::path& folder, const std::string& name, const Wish& wish);
  Identity Issue(const std::filesystem::path& folder, const std::string& name) {
    return Issue(folder, name, Wish{});
  }

 private:
  struct Own;
  std::unique_ptr<Own> own_;
  std::filesystem::path cert_;
};

}  // namespace orchard::testing
