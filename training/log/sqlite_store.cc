#include "training/log/sqlite_store.h"

#include <cstdint>
#include <limits>
#include <map>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <sqlite3.h>

#include "core/status.h"
#include "training/log/sqlite_schema.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

constexpr int kWaitMilliseconds = 5000;  // for another writer

using Value = std::variant<std::monostate, std::int64_t, double, std::string>;
using Row = std::vector<Value>;

absl::Status Failure(sqlite3* database) { return absl::UnavailableError(sqlite3_errmsg(database)); }

int Bind(sqlite3_stmt* statement, int at, const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    return sqlite3_bind_int64(statement, at, *whole);
  }
  if (const auto* number = std::get_if<double>(&value)) {
    return sqlite3_bind_double(statement, at, *number);  // NaN becomes NULL.
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    return sqlite3_bind_text(statement, at, text->data(), static_cast<int>(text->size()),
                             SQLITE_TRANSIENT);
  }
  return sqlite3_bind_null(statement, at);
}

Value Column(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return std::int64_t{sqlite3_column_int64(statement, column)};
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_NULL:
      return {};
    default:
      return std::string(reinterpret_cast<const char*>(sqlite3_column_text(statement, column)),
                         static_cast<size_t>(sqlite3_column_bytes(statement, column)));
  }
}

/// One statement, with `values` for its question marks. Errors: UNAVAILABLE with SQLite's words.
absl::StatusOr<std::vector<Row>> Ask(sqlite3* database, const std::string& sql,
                                     const Row& values = {}) {
  sqlite3_stmt* made = nullptr;
  if (sqlite3_prepare_v2(database, sql.c_str(), -1, &made, nullptr) != SQLITE_OK) {
    return Failure(database);
  }
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement(made, &sqlite3_finalize);
  for (size_t i = 0; i < values.size(); ++i) {
    if (Bind(made, static_cast<int>(i) + 1, values[i]) != SQLITE_OK) return Failure(database);
  }
  std::vector<Row> rows;
  for (;;) {
    const int code = sqlite3_step(made);
    if (code == SQLITE_DONE) return rows;
    if (code != SQLITE_ROW) return Failure(database);
    Row& row = rows.emplace_back();
    for (int i = 0; i < sqlite3_column_count(made); ++i) row.push_back(Column(made, i));
  }
}

absl::Status Do(sqlite3* database, const std::string& sql, const Row& values = {}) {
  return Ask(database, sql, values).status();
}

std::int64_t Whole(size_t number) { return static_cast<std::int64_t>(number); }

// A column as what it must be; a file that was written by hand may hold anything.
std::string Text(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? std::string() : *text;
}
std::int64_t Integer(const Value& value) {
  const auto* whole = std::get_if<std::int64_t>(&value);
  return whole == nullptr ? 0 : *whole;
}
size_t Size(const Value& value) { return static_cast<size_t>(Integer(value)); }
double Number(const Value& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  return std::numeric_limits<double>::quiet_NaN();
}

/// Writes the records of one run.
class Writer {
 public:
  Writer(sqlite3* database, const std::string& run) : database_(database), run_(run) {}

  absl::Status operator()(const RunInfo& run) const {
    ORCHARD_RETURN_IF_ERROR(Do(database_, "REPLACE INTO runs VALUES (?, ?, ?, ?, ?)",
                               {run_, run.name, run.study, run.recipe, run.work}));
    return Facts(/*piece=*/0, run.facts);
  }

  absl::Status operator()(const Piece& p) const {
    ORCHARD_RETURN_IF_ERROR(
        Do(database_, "REPLACE INTO pieces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
           {run_, Whole(p.number), p.started, p.seen, p.ended, p.outcome, p.message, p.process.host,
            p.process.boot, p.process.pid, p.process.started}));
    return Facts(p.number, p.facts);
  }

  absl::Status operator()(const EpochEntry& entry) const {
    const EpochRecord& e = entry.epoch;
    const Row key = {run_, e.phase, Whole(e.epoch)};
    for (const char* table : {"figures", "loads"}) {
      ORCHARD_RETURN_IF_ERROR(Do(
          database_,
          absl::StrCat("DELETE FROM ", table, " WHERE run = ? AND phase = ? AND epoch = ?"), key));
    }
    ORCHARD_RETURN_IF_ERROR(
        Do(database_, "REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
           {run_, e.phase, Whole(e.epoch), Whole(entry.piece), entry.at, Whole(e.steps), e.loss,
            e.rate_factor, e.gradient_norm, e.validated ? Value(e.validation) : Value(), e.seconds,
            e.pictures_per_second}));
    ORCHARD_RETURN_IF_ERROR(Figures(key, "term", e.terms));
    ORCHARD_RETURN_IF_ERROR(Figures(key, "measure", e.measures));
    ORCHARD_RETURN_IF_ERROR(Figures(key, "verdict", e.verdicts));
    return Loads(key, e.expert_load);
  }

  absl::Status operator()(const FileEntry& f) const {
    return Do(database_, "REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
              {run_, f.name, Whole(f.epoch), f.at, f.sha256, f.bytes});
  }

 private:
  absl::Status Facts(size_t piece, const std::vector<Fact>& facts) const {
    std::int64_t place = 0;
    for (const Fact& fact : facts) {
      const Value value = std::visit([](const auto& v) { return Value(v); }, fact.value);
      ORCHARD_RETURN_IF_ERROR(Do(database_, "REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?)",
                                 {run_, Whole(piece), fact.topic, fact.name, place++, value}));
    }
    return absl::OkStatus();
  }

  template <typename T>
  absl::Status Figures(const Row& key, const char* kind,
                       const std::vector<std::pair<std::string, T>>& figures) const {
    std::int64_t place = 0;
    for (const auto& [name, value] : figures) {
      ORCHARD_RETURN_IF_ERROR(
          Do(database_, "REPLACE INTO figures VALUES (?, ?, ?, ?, ?, ?, ?)",
             {key[0], key[1], key[2], std::string(kind), name, place++, Value(value)}));
    }
    return absl::OkStatus();
  }

  absl::Status Loads(const Row& key, const std::vector<std::vector<double>>& layers) const {
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      for (size_t expert = 0; expert < layers[layer].size(); ++expert) {
        ORCHARD_RETURN_IF_ERROR(
            Do(database_, "INSERT INTO loads VALUES (?, ?, ?, ?, ?, ?)",
               {key[0], key[1], key[2], Whole(layer), Whole(expert), layers[layer][expert]}));
      }
    }
    return absl::OkStatus();
  }

  sqlite3* database_;
  const std::string& run_;
};

/// Puts rows together into histories.
class Reader {
 public:
  Reader(sqlite3* database, const std::string& run, RunStore::Detail detail)
      : database_(database), run_(run), all_(detail == RunStore::Detail::kAll) {}

  absl::StatusOr<std::vector<RunHistory>> Read() {
    ORCHARD_ASSIGN_OR_RETURN(
        const auto runs, Rows("SELECT id, name, study, recipe, work FROM runs", "id", "id DESC"));
    for (const Row& row : runs) {
      index_[Text(row[0])] = histories_.size();
      histories_.push_back({.run = {.id = Text(row[0]),
                                    .name = Text(row[1]),
                                    .study = Text(row[2]),
                                    .recipe = Text(row[3]),
                                    .work = Text(row[4]),
                                    .facts = {}},
                            .pieces = {},
                            .epochs = {},
                            .files = {}});
    }
    ORCHARD_RETURN_IF_ERROR(Pieces());
    ORCHARD_RETURN_IF_ERROR(Facts());
    ORCHARD_RETURN_IF_ERROR(Epochs());
    if (!all_) return std::move(histories_);
    ORCHARD_RETURN_IF_ERROR(Figures());
    ORCHARD_RETURN_IF_ERROR(Loads());
    ORCHARD_RETURN_IF_ERROR(Files());
    return std::move(histories_);
  }

 private:
  absl::StatusOr<std::vector<Row>> Rows(const std::string& select, const char* id,
                                        const char* order) const {
    return Ask(database_, absl::StrCat(select, " WHERE ?1 = '' OR ", id, " = ?1 ORDER BY ", order),
               {run_});
  }

  /// Of a row that begins with its run; null where another process has just removed that.
  RunHistory* HistoryOf(const Row& row) {
    const auto found = index_.find(Text(row[0]));
    return found == index_.end() ? nullptr : &histories_[found->second];
  }

  absl::Status Pieces() {
    ORCHARD_ASSIGN_OR_RETURN(
        const auto rows,
        Rows("SELECT run, number, started, seen, ended, outcome, message, host, boot, pid, "
             "process_started FROM pieces",
             "run", "run, number"));
    for (const Row& row : rows) {
      RunHistory* history = HistoryOf(row);
      if (history == nullptr) continue;
      history->pieces.push_back({.number = Size(row[1]),
                                 .started = Text(row[2]),
                                 .seen = Text(row[3]),
                                 .ended = Text(row[4]),
                                 .outcome = Text(row[5]),
                                 .message = Text(row[6]),
                                 .process = {.host = Text(row[7]),
                                             .boot = Text(row[8]),
                                             .pid = Integer(row[9]),
                                             .started = Integer(row[10])},
                                 .facts = {}});
    }
    return absl::OkStatus();
  }

  absl::Status Facts() {
    ORCHARD_ASSIGN_OR_RETURN(
        const auto rows,
        Rows("SELECT run, piece, topic, name, value FROM facts", "run", "run, piece, place"));
    for (const Row& row : rows) {
      RunHistory* history = HistoryOf(row);
      if (history == nullptr) continue;
      std::vector<Fact>* facts = &history->run.facts;
      for (Piece& piece : history->pieces) {
        if (piece.number == Size(row[1])) facts = &piece.facts;
      }
      facts->push_back({.topic = Text(row[2]), .name = Text(row[3]), .value = {}});
      if (std::holds_alternative<std::int64_t>(row[4])) {
        facts->back().value = Integer(row[4]);
      } else {
        facts->back().value = Text(row[4]);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Epochs() {
    ORCHARD_ASSIGN_OR_RETURN(
        const auto rows,
        Rows("SELECT run, phase, epoch, piece, at, steps, loss, rate_factor, gradient_norm, "
             "validation, seconds, pictures_per_second FROM epochs",
             "run", "run, at, epoch"));
    for (const Row& row : rows) {
      RunHistory* history = HistoryOf(row);
      if (history == nullptr) continue;
      const bool validated = !std::holds_alternative<std::monostate>(row[9]);
      EpochEntry& entry = history->epochs.emplace_back();
      entry.piece = Size(row[3]);
      entry.at = Text(row[4]);
      entry.epoch.phase = Text(row[1]);
      entry.epoch.epoch = Size(row[2]);
      entry.epoch.steps = Size(row[5]);
      entry.epoch.loss = Number(row[6]);
      entry.epoch.rate_factor = Number(row[7]);
      entry.epoch.gradient_norm = Number(row[8]);
      entry.epoch.validated = validated;
      entry.epoch.validation = validated ? Number(row[9]) : 0.0;
      entry.epoch.seconds = Number(row[10]);
      entry.epoch.pictures_per_second = Number(row[11]);
      epochs_[{Text(row[0]), Text(row[1]), Integer(row[2])}] = history->epochs.size() - 1;
    }
    return absl::OkStatus();
  }

  /// Of a row that begins with run, phase and epoch.
  EpochRecord* EpochOf(const Row& row) {
    const auto found = epochs_.find({Text(row[0]), Text(row[1]), Integer(row[2])});
    if (found == epochs_.end()) return nullptr;
    return &HistoryOf(row)->epochs[found->second].epoch;
  }

  absl::Status Figures() {
    ORCHARD_ASSIGN_OR_RETURN(const auto rows,
                             Rows("SELECT run, phase, epoch, kind, name, value FROM figures", "run",
                                  "run, phase, epoch, kind, place"));
    for (const Row& row : rows) {
      EpochRecord* epoch = EpochOf(row);
      if (epoch == nullptr) continue;
      const std::string kind = Text(row[3]), name = Text(row[4]);
      if (kind == "term") epoch->terms.emplace_back(name, Number(row[5]));
      if (kind == "measure") epoch->measures.emplace_back(name, Number(row[5]));
      if (kind == "verdict") epoch->verdicts.emplace_back(name, Text(row[5]));
    }
    return absl::OkStatus();
  }

  absl::Status Loads() {
    ORCHARD_ASSIGN_OR_RETURN(const auto rows,
                             Rows("SELECT run, phase, epoch, layer, share FROM loads", "run",
                                  "run, phase, epoch, layer, expert"));
    for (const Row& row : rows) {
      EpochRecord* epoch = EpochOf(row);
      if (epoch == nullptr) continue;
      if (Size(row[3]) >= epoch->expert_load.size()) epoch->expert_load.emplace_back();
      epoch->expert_load.back().push_back(Number(row[4]));
    }
    return absl::OkStatus();
  }

  absl::Status Files() {
    ORCHARD_ASSIGN_OR_RETURN(
        const auto rows,
        Rows("SELECT run, name, epoch, at, sha256, bytes FROM files", "run", "run, at, name"));
    for (const Row& row : rows) {
      RunHistory* history = HistoryOf(row);
      if (history == nullptr) continue;
      history->files.push_back({.name = Text(row[1]),
                                .epoch = Size(row[2]),
                                .at = Text(row[3]),
                                .sha256 = Text(row[4]),
                                .bytes = Integer(row[5])});
    }
    return absl::OkStatus();
  }

  sqlite3* database_;
  const std::string& run_;
  bool all_;
  std::vector<RunHistory> histories_;
  std::map<std::string, size_t> index_;
  std::map<std::tuple<std::string, std::string, std::int64_t>, size_t> epochs_;
};

absl::StatusOr<std::int64_t> Pragma(sqlite3* database, const char* name) {
  ORCHARD_ASSIGN_OR_RETURN(const auto rows, Ask(database, absl::StrCat("PRAGMA ", name)));
  return rows.empty() ? 0 : Integer(rows[0][0]);
}

/// Whether the tables are there, in a schema that we know; with `create` they are made where the
/// file is empty.
absl::Status Prepare(sqlite3* database, bool create) {
  ORCHARD_ASSIGN_OR_RETURN(std::int64_t schema, Pragma(database, "user_version"));
  if (schema == 0 && create) {
    // Under the lock, so that of two runs that begin at once one makes the tables.
    ORCHARD_RETURN_IF_ERROR(Do(database, "BEGIN IMMEDIATE"));
    ORCHARD_ASSIGN_OR_RETURN(schema, Pragma(database, "user_version"));
    ORCHARD_ASSIGN_OR_RETURN(const auto tables,
                             Ask(database, "SELECT count(*) FROM sqlite_master"));
    if (schema == 0 && Integer(tables[0][0]) == 0) {
      const std::string all = absl::StrCat(kMakeTables, "PRAGMA application_id = ", kApplication,
                                           "; PRAGMA user_version = ", kSchema, ";");
      if (sqlite3_exec(database, all.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        return Failure(database);
      }
      schema = kSchema;
    }
    ORCHARD_RETURN_IF_ERROR(Do(database, "COMMIT"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::int64_t application, Pragma(database, "application_id"));
  if (application != kApplication) {
    return absl::FailedPreconditionError("a SQLite file, but no run log");
  }
  if (schema == kSchema) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "a run log of schema ", schema, "; this program reads and writes schema ", kSchema));
}

/// Whether that is why nothing can be read: in write-ahead mode readers leave their marks beside
/// the file.
bool MayNotWrite(sqlite3* database) {
  const int code = sqlite3_errcode(database) & 0xFF;
  return code == SQLITE_CANTOPEN || code == SQLITE_READONLY;
}

/// What tells SQLite that nobody writes the file (sqlite.org/uri.html).
std::string UriAsItStands(const fs::path& file) {
  std::string uri = "file:";
  for (const char byte : file.string()) {
    const auto code = static_cast<unsigned char>(byte);
    const bool plain =
        absl::ascii_isalnum(code) || std::string_view("/-_.~").find(byte) != std::string_view::npos;
    absl::StrAppend(&uri, plain ? std::string(1, byte) : absl::StrFormat("%%%02X", code));
  }
  return uri + "?immutable=1";
}

/// Whether the file that is open no longer goes by its name: it was deleted, or moved away.
bool HasMoved(sqlite3* database) {
  int moved = 0;
  return sqlite3_file_control(database, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
         moved != 0;
}

}  // namespace

void SqliteStore::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

SqliteStore::SqliteStore(fs::path file) : file_(std::move(file)) {}
SqliteStore::~SqliteStore() = default;

absl::StatusOr<SqliteStore::Database> SqliteStore::Connect(const std::string& where,
                                                           int flags) const {
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(where.c_str(), &opened, flags, nullptr);
  Database database(opened);
  if (code != SQLITE_OK) {
    return absl::UnavailableError(absl::StrCat(file_.string(), ": ", sqlite3_errstr(code)));
  }
  sqlite3_busy_timeout(opened, kWaitMilliseconds);
  return database;
}

absl::StatusOr<SqliteStore::Database> SqliteStore::ConnectAsItStands() const {
  const std::string beside = file_.string() + "-wal";
  std::error_code missing;
  const std::uintmax_t bytes = fs::file_size(beside, missing);
  if (!missing && bytes > 0) {
    return absl::UnavailableError(
        absl::StrCat(file_.string(), ": can't be read where nothing may be written beside it, as ",
                     beside, " holds what came last; copy both into a folder that may be written"));
  }
  return Connect(UriAsItStands(file_), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

absl::Status SqliteStore::Open(bool create) {
  if (database_ != nullptr && !HasMoved(database_.get())) return absl::OkStatus();
  database_.reset();  // What goes into a file that was deleted would be lost.
  std::error_code error;
  if (!create && !fs::exists(file_, error)) {
    return absl::NotFoundError(absl::StrCat(file_.string(), ": there is no such run log"));
  }
  ORCHARD_ASSIGN_OR_RETURN(
      Database database,
      Connect(file_.string(), SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0)));
  absl::Status ready = Prepare(database.get(), create);
  if (!ready.ok() && !create && MayNotWrite(database.get())) {
    ORCHARD_ASSIGN_OR_RETURN(database, ConnectAsItStands());
    ready = Prepare(database.get(), create);
  }
  ORCHARD_RETURN_IF_ERROR(core::Annotate(ready, file_.string()));
  // Not before it is known to be ours: the mode is written into the file. Where it can't be
  // (another program opens the file just now, or it may only be read), it is the file's mode
  // already or works without.
  Do(database.get(), "PRAGMA journal_mode = WAL").IgnoreError();
  Do(database.get(), "PRAGMA synchronous = NORMAL").IgnoreError();
  database_ = std::move(database);
  return absl::OkStatus();
}

template <typename Work>
absl::Status SqliteStore::Transaction(const Work& work) {
  absl::Status status = Do(database_.get(), "BEGIN IMMEDIATE");
  if (status.ok()) status = work();
  if (status.ok()) status = Do(database_.get(), "COMMIT");
  if (status.ok()) return status;
  database_.reset();  // Closing undoes what was begun.
  return core::Annotate(status, file_.string());
}

absl::Status SqliteStore::Put(const std::string& id, std::span<const RunRecord> records) {
  ORCHARD_RETURN_IF_ERROR(Open(/*create=*/true));
  return Transaction([&]() -> absl::Status {
    const Writer writer(database_.get(), id);
    for (const RunRecord& record : records) ORCHARD_RETURN_IF_ERROR(std::visit(writer, record));
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<RunHistory>> SqliteStore::Read(const std::string& id, Detail detail) {
  ORCHARD_RETURN_IF_ERROR(Open(/*create=*/false));
  // In one transaction: what is written meanwhile is not seen in half.
  ORCHARD_RETURN_IF_ERROR(core::Annotate(Do(database_.get(), "BEGIN"), file_.string()));
  auto histories = Reader(database_.get(), id, detail).Read();
  Do(database_.get(), "ROLLBACK").IgnoreError();
  if (!histories.ok()) return core::Annotate(histories.status(), file_.string());
  return histories;
}

absl::Status SqliteStore::Remove(const std::string& id) {
  ORCHARD_RETURN_IF_ERROR(Open(/*create=*/false));
  return Transaction([&]() -> absl::Status {
    ORCHARD_RETURN_IF_ERROR(Do(database_.get(), "DELETE FROM runs WHERE id = ?", {id}));
    for (const char* table : {"pieces", "facts", "epochs", "figures", "loads", "files"}) {
      ORCHARD_RETURN_IF_ERROR(
          Do(database_.get(), absl::StrCat("DELETE FROM ", table, " WHERE run = ?"), {id}));
    }
    return absl::OkStatus();
  });
}

}  // namespace orchard::training
