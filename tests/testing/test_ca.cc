#include "tests/testing/test_ca.h"

#include <atomic>
#include <cstdio>
#include <stdexcept>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace orchard::testing {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

void Check(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string("test CA: ") + what);
}

Key MakeKey() {
  Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  Check(key != nullptr, "no key");
  return key;
}

void AddExtension(X509& certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer == nullptr ? &certificate : issuer, &certificate, nullptr,
                 nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Check(extension != nullptr, value.c_str());
  X509_add_ext(&certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate MakeCertificate(const std::string& name, EVP_PKEY& key, const X509* issuer,
                            const TestCa::Wish& wish) {
  static std::atomic<long> serial = 1;
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  using std::chrono::seconds;
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), seconds(wish.begin).count());
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), seconds(wish.end).count());
  X509_set_pubkey(certificate.get(), &key);
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate.get(),
                       issuer == nullptr ? subject : X509_get_subject_name(issuer));
  return certificate;
}

File Open(const std::filesystem::path& path) {
  File file(std::fopen(path.c_str(), "wb"));
  Check(file != nullptr, path.c_str());
  return file;
}

void WriteCertificate(const std::filesystem::path& path, X509& certificate) {
  const File file = Open(path);
  Check(PEM_write_X509(file.get(), &certificate) == 1, path.c_str());
}

}  // namespace

struct TestCa::Own {
  Key key = MakeKey();
  Certificate certificate{nullptr, &X509_free};
};

TestCa::TestCa(const std::filesystem::path& folder, const std::string& name)
    : own_(std::make_unique<Own>()), cert_(folder / (name + ".pem")) {
  own_->certificate = MakeCertificate(name, *own_->key, nullptr, Wish{});
  AddExtension(*own_->certificate, nullptr, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(*own_->certificate, nullptr, NID_key_usage, "critical,keyCertSign");
  Check(X509_sign(own_->certificate.get(), own_->key.get(), EVP_sha256()) > 0, "not signed");
  WriteCertificate(cert_, *own_->certificate);
}

TestCa::~TestCa() = default;

Identity TestCa::Issue(const std::filesystem::path& folder, const std::string& name,
                       const Wish& wish) {
  const Key key = MakeKey();
  const Certificate certificate = MakeCertificate(name, *key, own_->certificate.get(), wish);
  AddExtension(*certificate, own_->certificate.get(), NID_subject_alt_name, wish.names);
  Check(X509_sign(certificate.get(), own_->key.get(), EVP_sha256()) > 0, "not signed");
  Identity identity{.cert = folder / (name + ".pem"), .key = folder / (name + ".key")};
  WriteCertificate(identity.cert, *certificate);
  const File file = Open(identity.key);
  Check(PEM_write_PrivateKey(file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
        "no key file");
  return identity;
}

}  // namespace orchard::testing
