#include "clients/cpp/command.h"

#include <cstdlib>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace orchard::client {
namespace {

/// What a command takes from an environment of one variable.
rpc::TlsFiles TlsFrom(const char* variable, const char* value) {
  Client::Options options;
  CLI::App app;
  DeclareServer(app, options);
  ::setenv(variable, value, 1);
  app.parse("", /*program_name_included=*/false);
  ::unsetenv(variable);
  return options.tls;
}

TEST(CommandTest, TlsOfTheEnvironmentIsThatOfClients) {
  EXPECT_EQ(TlsFrom("ORCHARD_CLIENT_TLS_CA", "ca.pem").ca, "ca.pem");
  EXPECT_EQ(TlsFrom("ORCHARD_CLIENT_TLS_CERT", "own.pem").cert, "own.pem");
  EXPECT_EQ(TlsFrom("ORCHARD_CLIENT_TLS_KEY", "own.key").key, "own.key");
  EXPECT_EQ(TlsFrom("ORCHARD_CLIENT_TLS_NAME", "router.example").name, "router.example");
}

TEST(CommandTest, WhatServersOnTheSameMachineShowIsNotTakenForOurs) {
  for (const char* variable :
       {"ORCHARD_TLS_CA", "ORCHARD_TLS_CERT", "ORCHARD_TLS_KEY", "ORCHARD_TLS_NAME"}) {
    EXPECT_FALSE(TlsFrom(variable, "server.pem").any()) << variable;
  }
}

}  // namespace
}  // namespace orchard::client
