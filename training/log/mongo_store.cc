#include "training/log/mongo_store.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include <mongoc/mongoc.h>
#include <nlohmann/json.hpp>

#include "core/status.h"

namespace orchard::training {
namespace {

using Json = nlohmann::ordered_json;

template <auto kDestroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    kDestroy(object);
  }
};
using Uri = std::unique_ptr<mongoc_uri_t, Destroy<mongoc_uri_destroy>>;
using Client = std::unique_ptr<mongoc_client_t, Destroy<mongoc_client_destroy>>;
using Collection = std::unique_ptr<mongoc_collection_t, Destroy<mongoc_collection_destroy>>;
using Cursor = std::unique_ptr<mongoc_cursor_t, Destroy<mongoc_cursor_destroy>>;
// By the struct's name: that of the typedef carries an alignment, which a template would drop.
using Bson = std::unique_ptr<_bson_t, Destroy<bson_destroy>>;

constexpr const char* kDot = "\uFF0E";
constexpr const char* kDollar = "\uFF04";
constexpr const char* kInner = "array";

/// The same as every server takes it: names of fields without dots and dollars, and no array right
/// inside another, which FerretDB refuses.
Json AsStored(const Json& json) {
  if (json.is_array()) {
    Json all = Json::array();
    for (const Json& element : json) {
      Json stored = AsStored(element);
      if (element.is_array()) stored = Json::object({{kInner, stored}});
      all.push_back(std::move(stored));
    }
    return all;
  }
  if (!json.is_object()) return json;
  Json all = Json::object();
  for (const auto& [name, value] : json.items()) {
    std::string safe = absl::StrReplaceAll(name, {{".", kDot}});
    if (safe.starts_with('$')) safe = absl::StrCat(kDollar, safe.substr(1));
    all[safe] = AsStored(value);
  }
  return all;
}

/// The reverse.
Json AsWritten(const Json& json) {
  if (json.is_array()) {
    Json all = Json::array();
    for (const Json& element : json) {
      const bool inner = element.is_object() && element.size() == 1 && element.contains(kInner);
      all.push_back(AsWritten(inner ? element.at(kInner) : element));
    }
    return all;
  }
  if (!json.is_object()) return json;
  Json all = Json::object();
  for (const auto& [name, value] : json.items()) {
    all[absl::StrReplaceAll(name, {{kDot, "."}, {kDollar, "$"}})] = AsWritten(value);
  }
  return all;
}

absl::StatusOr<Bson> ToBson(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  bson_error_t error;
  Bson bson(bson_new_from_json(reinterpret_cast<const std::uint8_t*>(text.data()),
                               static_cast<ssize_t>(text.size()), &error));
  if (bson == nullptr) return absl::InternalError(error.message);
  return bson;
}

Json FromBson(const bson_t& bson) {
  const std::unique_ptr<char, Destroy<bson_free>> text(
      bson_as_relaxed_extended_json(&bson, nullptr));
  return text == nullptr ? Json() : Json::parse(text.get(), nullptr, /*allow_exceptions=*/false);
}

// Where a record goes, and what it is told apart by there.
std::pair<const char*, std::string> KeyOf(const RunInfo& /*run*/) { return {"runs", ""}; }
std::pair<const char*, std::string> KeyOf(const Piece& piece) {
  return {"pieces", absl::StrCat("/", piece.number)};
}
std::pair<const char*, std::string> KeyOf(const EpochEntry& entry) {
  return {"epochs", absl::StrCat("/", entry.epoch.phase, "/", entry.epoch.epoch)};
}
std::pair<const char*, std::string> KeyOf(const FileEntry& file) {
  return {"files", absl::StrCat("/", file.name, "/", file.epoch)};
}

class MongoStore final : public RunStore {
 public:
  MongoStore(Client client, std::string database, std::string place)
      : client_(std::move(client)), database_(std::move(database)), place_(std::move(place)) {}

  std::string place() const override { return place_; }

  absl::Status Put(const std::string& id, std::span<const RunRecord> records) override {
    for (const RunRecord& record : records) {
      ORCHARD_RETURN_IF_ERROR(core::Annotate(
          std::visit([&](const auto& one) { return Replace(id, one); }, record), place_));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<RunHistory>> Read(const std::string& id, Detail detail) override {
    auto histories = ReadAll(id, detail);
    if (!histories.ok()) return core::Annotate(histories.status(), place_);
    return histories;
  }

  absl::Status Remove(const std::string& id) override {
    ORCHARD_ASSIGN_OR_RETURN(const Bson selector, ToBson({{"run", id}}));
    for (const char* name : {"runs", "pieces", "epochs", "files"}) {
      bson_error_t error;
      if (!mongoc_collection_delete_many(CollectionOf(name).get(), selector.get(), nullptr, nullptr,
                                         &error)) {
        return absl::UnavailableError(absl::StrCat(place_, ": ", error.message));
      }
    }
    return absl::OkStatus();
  }

 private:
  Collection CollectionOf(const char* name) const {
    return Collection(mongoc_client_get_collection(client_.get(), database_.c_str(), name));
  }

  template <typename T>
  absl::Status Replace(const std::string& id, const T& record) {
    const auto [name, key] = KeyOf(record);
    Json json = {{"_id", id + key}, {"run", id}};
    json.update(AsStored(ToJson(record)));
    ORCHARD_ASSIGN_OR_RETURN(const Bson selector, ToBson({{"_id", id + key}}));
    ORCHARD_ASSIGN_OR_RETURN(const Bson document, ToBson(json));
    ORCHARD_ASSIGN_OR_RETURN(const Bson upsert, ToBson({{"upsert", true}}));
    bson_error_t error;
    if (mongoc_collection_replace_one(CollectionOf(name).get(), selector.get(), document.get(),
                                      upsert.get(), nullptr, &error)) {
      return absl::OkStatus();
    }
    return absl::UnavailableError(error.message);
  }

  /// The documents of a run, or of all; `options`: of find.
  absl::StatusOr<std::vector<Json>> Find(const char* name, const std::string& id,
                                         const Json& options = Json::object()) const {
    ORCHARD_ASSIGN_OR_RETURN(const Bson filter,
                             ToBson(id.empty() ? Json::object() : Json{{"run", id}}));
    ORCHARD_ASSIGN_OR_RETURN(const Bson how, ToBson(options));
    const Collection collection = CollectionOf(name);
    const Cursor cursor(
        mongoc_collection_find_with_opts(collection.get(), filter.get(), how.get(), nullptr));
    std::vector<Json> found;
    for (const bson_t* document = nullptr; mongoc_cursor_next(cursor.get(), &document);) {
      found.push_back(AsWritten(FromBson(*document)));
    }
    bson_error_t error;
    if (mongoc_cursor_error(cursor.get(), &error)) return absl::UnavailableError(error.message);
    return found;
  }

  /// Adds the documents of a collection to the histories that they belong to.
  template <typename T>
  static absl::Status Add(const std::vector<Json>& documents,
                          absl::StatusOr<T> (*read)(const Json&),
                          std::map<std::string, RunHistory>& runs,
                          std::vector<T> RunHistory::* member) {
    for (const Json& document : documents) {
      const auto name = document.find("run");
      if (name == document.end() || !name->is_string()) continue;  // None of ours.
      const auto run = runs.find(name->get<std::string>());
      if (run == runs.end()) continue;  // Just removed.
      ORCHARD_ASSIGN_OR_RETURN(T record, read(document));
      (run->second.*member).push_back(std::move(record));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<RunHistory>> ReadAll(const std::string& id, Detail detail) const {
    std::map<std::string, RunHistory> runs;
    ORCHARD_ASSIGN_OR_RETURN(const auto infos, Find("runs", id));
    for (const Json& document : infos) {
      ORCHARD_ASSIGN_OR_RETURN(RunInfo run, RunInfoFromJson(document));
      runs[run.id].run = run;
    }
    ORCHARD_ASSIGN_OR_RETURN(const auto pieces, Find("pieces", id));
    ORCHARD_RETURN_IF_ERROR(Add(pieces, &PieceFromJson, runs, &RunHistory::pieces));
    Json options = Json::object();
    if (detail == Detail::kSummary) {
      options = {{"projection", {{"measures", 0}, {"expert_load", 0}, {"verdicts", 0}}}};
    }
    ORCHARD_ASSIGN_OR_RETURN(const auto epochs, Find("epochs", id, options));
    ORCHARD_RETURN_IF_ERROR(Add(epochs, &EpochFromJson, runs, &RunHistory::epochs));
    if (detail == Detail::kAll) {
      ORCHARD_ASSIGN_OR_RETURN(const auto files, Find("files", id));
      ORCHARD_RETURN_IF_ERROR(Add(files, &FileFromJson, runs, &RunHistory::files));
    }
    std::vector<RunHistory> histories;
    for (auto& [name, run] : runs) histories.push_back(InOrder(std::move(run), detail));
    std::ranges::reverse(histories);  // Newest first.
    return histories;
  }

  static RunHistory InOrder(RunHistory run, Detail detail) {
    std::ranges::sort(run.pieces, {}, &Piece::number);
    std::ranges::sort(run.epochs, {}, [](const EpochEntry& entry) {
      return std::tie(entry.at, entry.epoch.epoch);
    });
    std::ranges::sort(run.files, {},
                      [](const FileEntry& file) { return std::tie(file.at, file.name); });
    if (detail == Detail::kSummary) {
      for (EpochEntry& entry : run.epochs) entry.epoch.terms.clear();
    }
    return run;
  }

  Client client_;
  std::string database_, place_;
};

/// Without user and password.
std::string PlaceOf(const mongoc_uri_t& uri, const std::string& database) {
  std::string hosts;
  for (const mongoc_host_list_t* host = mongoc_uri_get_hosts(&uri); host != nullptr;
       host = host->next) {
    absl::StrAppend(&hosts, hosts.empty() ? "" : ",", host->host_and_port);
  }
  return absl::StrCat("mongodb://", hosts, "/", database);
}

void SetUnlessSaid(mongoc_uri_t& uri, const char* option, std::int32_t milliseconds) {
  if (mongoc_uri_has_option(&uri, option)) return;
  mongoc_uri_set_option_as_int32(&uri, option, milliseconds);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunStore>> MakeMongoStore(const std::string& text) {
  static const bool started = [] {
    mongoc_init();
    mongoc_log_set_handler(nullptr, nullptr);  // What matters comes back as an error.
    return true;
  }();
  static_cast<void>(started);
  bson_error_t error;
  const Uri uri(mongoc_uri_new_with_error(text.c_str(), &error));
  if (uri == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("run log: the MongoDB URI: ", error.message));
  }
  const char* named = mongoc_uri_get_database(uri.get());
  const std::string database = named == nullptr || *named == '\0' ? "orchard" : named;
  SetUnlessSaid(*uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 3000);
  SetUnlessSaid(*uri, MONGOC_URI_CONNECTTIMEOUTMS, 3000);
  SetUnlessSaid(*uri, MONGOC_URI_SOCKETTIMEOUTMS, 10000);
  const std::string place = PlaceOf(*uri, database);
  Client client(mongoc_client_new_from_uri(uri.get()));
  if (client == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("run log ", place, ": the client library refuses the URI's options"));
  }
  mongoc_client_set_error_api(client.get(), MONGOC_ERROR_API_VERSION_2);
  return std::make_unique<MongoStore>(std::move(client), database, place);
}

/// Not mongoc_cleanup(), after which the library can't be used: the file's name is all that has to
/// go, and the counters stay where they are mapped.
void PutMongoAway() { shm_unlink(absl::StrCat("/mongoc-", getpid()).c_str()); }

}  // namespace orchard::training
