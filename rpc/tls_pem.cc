// ReadTls: what is in the files, and whether it can be used.
#include <arpa/inet.h>
#include <ctime>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/status.h"
#include "core/text.h"
#include "rpc/tls.h"

namespace orchard::rpc {
namespace {

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    free(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Time = TlsPem::Time;

constexpr size_t kMaxFileBytes = size_t{4} << 20;  // a bundle of all authorities has 0.2 MB

absl::Status Fault(const std::filesystem::path& file, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(file.string(), ": ", absl::string_view(why.data(), why.size())));
}

/// OpenSSL's reason for what failed last on this thread.
std::string Reason() {
  const unsigned long error = ERR_peek_last_error();
  const char* const reason = ERR_reason_error_string(error);
  ERR_clear_error();
  return reason == nullptr ? "" : absl::StrCat(" (", reason, ")");
}

Bio Over(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::StatusOr<std::string> Read(const std::filesystem::path& file) {
  absl::StatusOr<std::string> text = core::ReadFile(file);
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  if (text->size() > kMaxFileBytes) return Fault(file, "is too large for certificates");
  return text;
}

absl::StatusOr<std::vector<Certificate>> ParseCertificates(const std::filesystem::path& file,
                                                           const std::string& text) {
  const Bio bio = Over(text);
  std::vector<Certificate> found;
  while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    found.emplace_back(next);
  }
  // The end of the text is "no start line"; anything else is a broken block.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end) return Fault(file, absl::StrCat("holds a damaged certificate", Reason()));
  ERR_clear_error();
  if (found.empty()) return Fault(file, "holds no certificate in PEM form");
  return found;
}

absl::StatusOr<Time> TimeOf(const std::filesystem::path& file, const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return Fault(file, "has a date that can't be read");
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

std::string Date(Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromChrono(time), absl::UTCTimeZone());
}

/// As people write it; empty for kinds of names that nobody checks.
std::string TextOf(const GENERAL_NAME& name) {
  const auto text = [](const ASN1_STRING* string) {
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
                       static_cast<size_t>(ASN1_STRING_length(string)));
  };
  switch (name.type) {
    case GEN_DNS:
      return text(name.d.dNSName);
    case GEN_URI:
      return text(name.d.uniformResourceIdentifier);
    case GEN_EMAIL:
      return text(name.d.rfc822Name);
    case GEN_IPADD: {
      const std::string bytes = text(name.d.iPAddress);
      char written[INET6_ADDRSTRLEN] = "";
      inet_ntop(bytes.size() == sizeof(in_addr) ? AF_INET : AF_INET6, bytes.data(), written,
                sizeof written);
      return written;
    }
    default:
      return "";
  }
}

/// The end of a certificate that holds at `now`.
absl::StatusOr<Time> NotAfter(const std::filesystem::path& file, const X509& certificate,
                              Time now) {
  ORCHARD_ASSIGN_OR_RETURN(const Time begin, TimeOf(file, X509_get0_notBefore(&certificate)));
  ORCHARD_ASSIGN_OR_RETURN(const Time end, TimeOf(file, X509_get0_notAfter(&certificate)));
  if (end <= now) return Fault(file, absl::StrCat("expired at ", Date(end)));
  if (now < begin) {
    return Fault(file,
                 absl::StrCat("is not valid before ", Date(begin), "; it is ", Date(now), " here"));
  }
  return end;
}

/// Some authorities of a bundle may have expired, as in the system's own.
absl::StatusOr<Time> EarliestEnd(const std::filesystem::path& file,
                                 const std::vector<Certificate>& authorities, Time now) {
  std::optional<Time> earliest;
  absl::Status fault;
  for (const Certificate& authority : authorities) {
    const absl::StatusOr<Time> end = NotAfter(file, *authority, now);
    if (!end.ok()) {
      fault = end.status();
    } else if (!earliest || *end < *earliest) {
      earliest = *end;
    }
  }
  if (!earliest) return fault;
  return *earliest;
}

absl::Status CheckKey(const TlsFiles& files, const TlsPem& pem, const X509& certificate) {
  const Bio bio = Over(pem.key);
  // Without a function of its own OpenSSL would ask for a passphrase on the terminal.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) {
    return Fault(files.key, absl::StrCat("holds no private key in PEM form, or one with a "
                                         "passphrase, which nobody could type",
                                         Reason()));
  }
  if (X509_check_private_key(&certificate, key.get()) == 1) return absl::OkStatus();
  ERR_clear_error();
  return Fault(files.key,
               absl::StrCat("is not the key of the certificate in ", files.cert.string()));
}

}  // namespace

absl::StatusOr<TlsPem> ReadTls(const TlsFiles& files, Time now) {
  ERR_clear_error();
  TlsPem pem;
  if (!files.ca.empty()) {
    ORCHARD_ASSIGN_OR_RETURN(pem.ca, Read(files.ca));
    ORCHARD_ASSIGN_OR_RETURN(const auto authorities, ParseCertificates(files.ca, pem.ca));
    ORCHARD_ASSIGN_OR_RETURN(pem.ca_not_after, EarliestEnd(files.ca, authorities, now));
  }
  if (files.cert.empty() && files.key.empty()) return pem;
  if (files.cert.empty()) return Fault(files.key, "is a key without a certificate; name it too");
  if (files.key.empty()) return Fault(files.cert, "is a certificate without a key; name it too");
  ORCHARD_ASSIGN_OR_RETURN(pem.cert, Read(files.cert));
  ORCHARD_ASSIGN_OR_RETURN(pem.key, Read(files.key));
  ORCHARD_ASSIGN_OR_RETURN(const auto chain, ParseCertificates(files.cert, pem.cert));
  ORCHARD_ASSIGN_OR_RETURN(pem.cert_not_after, NotAfter(files.cert, *chain.front(), now));
  ORCHARD_RETURN_IF_ERROR(CheckKey(files, pem, *chain.front()));
  return pem;
}

absl::StatusOr<std::string> FirstNameOf(const std::filesystem::path& cert) {
  ERR_clear_error();
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, Read(cert));
  ORCHARD_ASSIGN_OR_RETURN(const auto chain, ParseCertificates(cert, text));
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(chain.front().get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    std::string name = TextOf(*sk_GENERAL_NAME_value(names.get(), i));
    if (!name.empty()) return name;
  }
  return Fault(cert, "has no subject alternative name");
}

bool NameMatches(std::string_view certificate_name, std::string_view name) {
  const absl::string_view theirs(certificate_name.data(), certificate_name.size());
  const absl::string_view ours(name.data(), name.size());
  if (absl::EqualsIgnoreCase(theirs, ours)) return !ours.empty();
  if (!absl::StartsWith(theirs, "*.")) return false;
  const size_t dot = ours.find('.');
  return dot != absl::string_view::npos && dot > 0 &&
         absl::EqualsIgnoreCase(theirs.substr(1), ours.substr(dot));
}

}  // namespace orchard::rpc
