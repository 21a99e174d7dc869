#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/ssl.h>

/// \file
/// A client for our HTTP pages over TLS, by OpenSSL itself.

namespace orchard::testing {

/// The whole answer of 127.0.0.1:port; empty when there is none, or its certificate is not of `ca`.
inline std::string HttpsGet(std::uint16_t port, const std::string& path, const std::string& ca) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  SSL_CTX_load_verify_locations(context.get(), ca.c_str(), nullptr);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new_ssl_connect(context.get()),
                                                          &BIO_free_all);
  BIO_set_conn_hostname(bio.get(), ("127.0.0.1:" + std::to_string(port)).c_str());
  if (BIO_do_handshake(bio.get()) != 1) return "";
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n";
  BIO_write(bio.get(), request.data(), static_cast<int>(request.size()));
  std::string all;
  char buffer[4096];
  for (int got = 0; (got = BIO_read(bio.get(), buffer, sizeof(buffer))) > 0;) {
    all.append(buffer, static_cast<size_t>(got));
  }
  return all;
}

}  // namespace orchard::testing
