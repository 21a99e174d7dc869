#include <cstdlib>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "experts/expert_metrics.h"
#include "router/demand_metrics.h"
#include "router/fleet_metrics.h"
#include "router/metrics.h"
#include "router/model_metrics.h"
#include "server/credentials.h"
#include "server/metrics.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"

/// docs/metrics.md tells every metric of the router and of the expert service, and no other.

namespace orchard::router {
namespace {

/// Names in the first column of the tables under the headings that `wanted` accepts.
std::set<std::string> Documented(const std::string& heading_pattern) {
  const char* source = std::getenv("ORCHARD_SOURCE_DIR");
  if (source == nullptr) ADD_FAILURE() << "run by ctest, or set ORCHARD_SOURCE_DIR";
  const std::string page = core::ReadFile(std::string(source) + "/docs/metrics.md").value_or("");
  const std::regex wanted(heading_pattern);
  const std::regex row("^\\| `([a-z_]+)` ");
  std::set<std::string> names;
  bool inside = false;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) inside = std::regex_search(line, wanted);
    std::smatch match;
    if (inside && std::regex_search(line, match, row)) names.insert(match[1]);
  }
  return names;
}

std::set<std::string> Exposed(server::MetricsPage& page) {
  std::set<std::string> exposed;
  std::istringstream lines(page.Text());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) exposed.insert(line.substr(7, line.find(' ', 7) - 7));
  }
  return exposed;
}

TEST(MetricsPageTest, OfTheRouterIsWhatTheDocumentSays) {
  server::MetricsPage page("orchard-router", "0");
  const std::vector<std::string> domains = {"apple"};
  const Metrics metrics(page.registry());
  const ModelMetrics model(page.registry(), domains, {});
  const FleetMetrics fleet(page.registry(), "tiny", domains);
  const DemandMetrics demand(page.registry(), "tiny", domains);
  EXPECT_EQ(Exposed(page), Documented("Every process|Router"));
}

TEST(MetricsPageTest, OfAnExpertIsWhatTheDocumentSays) {
  server::MetricsPage page("orchard-expert", "0");
  const std::vector<experts::ExpertSpec> specs(1);
  experts::ExpertMetrics metrics(page.registry(), specs, "tiny", "1");
  metrics.SetLayerLoad("", 0, std::vector<double>{0.5, 0.5});  // Of a network that routes tokens.
  EXPECT_EQ(Exposed(page), Documented("Every process|Expert service"));
}

TEST(MetricsPageTest, OfAProcessWithTlsIsWhatTheDocumentSays) {
  const testing::TempDir dir;
  testing::TestCa ca(dir.path());
  const testing::Identity own = ca.Issue(dir.path(), "own");
  server::MetricsPage page("orchard-router", "0");
  server::Credentials credentials(page.registry());
  server::TlsSettings settings;
  settings.cert = own.cert;
  settings.key = own.key;
  settings.client_ca = ca.cert();
  ASSERT_TRUE(credentials.LoadListeners(settings).ok());
  EXPECT_EQ(Exposed(page), Documented("Every process|A process with TLS"));
}

}  // namespace
}  // namespace orchard::router
