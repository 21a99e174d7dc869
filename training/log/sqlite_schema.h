#pragma once

namespace orchard::training {

inline constexpr int kSchema = 1;                ///< PRAGMA user_version
inline constexpr int kApplication = 0x4F724C67;  ///< PRAGMA application_id, "OrLg"

/// Makes the tables of an empty file. Moments are texts in UTC; `validation` is NULL where an epoch
/// had none; `piece` is 0 where a fact holds for the whole run.
inline constexpr const char* kMakeTables = R"sql(
CREATE TABLE runs (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, study TEXT NOT NULL, recipe TEXT NOT NULL,
  work TEXT NOT NULL);
CREATE TABLE pieces (
  run TEXT NOT NULL, number INTEGER NOT NULL, started TEXT NOT NULL, seen TEXT NOT NULL,
  ended TEXT NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL,
  host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL, process_started INTEGER NOT NULL,
  PRIMARY KEY (run, number)) WITHOUT ROWID;
CREATE TABLE facts (
  run TEXT NOT NULL, piece INTEGER NOT NULL, topic TEXT NOT NULL, name TEXT NOT NULL,
  place INTEGER NOT NULL, value NOT NULL,
  PRIMARY KEY (run, piece, topic, name)) WITHOUT ROWID;
CREATE TABLE epochs (
  run TEXT NOT NULL, phase TEXT NOT NULL, epoch INTEGER NOT NULL, piece INTEGER NOT NULL,
  at TEXT NOT NULL, steps INTEGER NOT NULL, loss REAL, rate_factor REAL, gradient_norm REAL,
  validation REAL, seconds REAL, pictures_per_second REAL,
  PRIMARY KEY (run, phase, epoch)) WITHOUT ROWID;
CREATE TABLE figures (
  run TEXT NOT NULL, phase TEXT NOT NULL, epoch INTEGER NOT NULL,
  kind TEXT NOT NULL,  -- 'term' of the loss, 'measure' of the validation, 'verdict'
  name TEXT NOT NULL, place INTEGER NOT NULL, value,
  PRIMARY KEY (run, phase, epoch, kind, name)) WITHOUT ROWID;
CREATE TABLE loads (
  run TEXT NOT NULL, phase TEXT NOT NULL, epoch INTEGER NOT NULL,
  layer INTEGER NOT NULL, expert INTEGER NOT NULL,  -- from 0
  share REAL,  -- of the layer's picks
  PRIMARY KEY (run, phase, epoch, layer, expert)) WITHOUT ROWID;
CREATE TABLE files (
  run TEXT NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL, at TEXT NOT NULL,
  sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (run, name, epoch)) WITHOUT ROWID;
)sql";

}  // namespace orchard::training
