#pragma once

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/// \file
/// A client of ports with TLS, by OpenSSL itself.

namespace orchard::testing {

struct HttpsAnswer {
  std::string text;               ///< whole; empty when there is none, or it is not of `ca`
  bool asked_who_we_are = false;  ///< the server asked for a certificate of ours
};

/// What 127.0.0.1:port says to one who has no certificate.
inline HttpsAnswer HttpsAsk(std::uint16_t port, const std::string& path, const std::string& ca) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to those who have hung up.
  HttpsAnswer answer;
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  SSL_CTX_load_verify_locations(context.get(), ca.c_str(), nullptr);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_app_data(context.get(), &answer);
  SSL_CTX_set_client_cert_cb(context.get(), [](SSL* ssl, X509**, EVP_PKEY**) {
    static_cast<HttpsAnswer*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->asked_who_we_are = true;
    return 0;  // We have none.
  });
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new_ssl_connect(context.get()),
                                                          &BIO_free_all);
  BIO_set_conn_hostname(bio.get(), ("127.0.0.1:" + std::to_string(port)).c_str());
  if (BIO_do_handshake(bio.get()) != 1) return answer;
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n";
  BIO_write(bio.get(), request.data(), static_cast<int>(request.size()));
  char buffer[4096];
  for (int got = 0; (got = BIO_read(bio.get(), buffer, sizeof(buffer))) > 0;) {
    answer.text.append(buffer, static_cast<size_t>(got));
  }
  return answer;
}

/// Whether 127.0.0.1:port shows the certificate in the PEM file `cert` to those who connect now.
inline bool ShowsCertificate(std::uint16_t port, const std::string& cert) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> file(BIO_new_file(cert.c_str(), "r"),
                                                           &BIO_free_all);
  const std::unique_ptr<X509, decltype(&X509_free)> wanted(
      file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr, &X509_free);
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new_ssl_connect(context.get()),
                                                          &BIO_free_all);
  BIO_set_conn_hostname(bio.get(), ("127.0.0.1:" + std::to_string(port)).c_str());
  SSL* ssl = nullptr;
  BIO_get_ssl(bio.get(), &ssl);
  static constexpr unsigned char kHttp2[] = {2, 'h', '2'};  // gRPC talks to nobody else.
  SSL_set_alpn_protos(ssl, kHttp2, sizeof(kHttp2));
  BIO_do_handshake(bio.get());  // It may want a certificate of ours afterwards; its own we have.
  const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(ssl),
                                                          &X509_free);
  return wanted && shown && X509_cmp(wanted.get(), shown.get()) == 0;
}

/// The text alone.
inline std::string HttpsGet(std::uint16_t port, const std::string& path, const std::string& ca) {
  return HttpsAsk(port, path, ca).text;
}

}  // namespace orchard::testing
