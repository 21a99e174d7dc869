#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "training/log/run_store.h"

namespace orchard::training {

/// Runs in a MongoDB, or in what speaks its protocol: the records as documents (ToJson) of the
/// collections runs, pieces, epochs and files, each with its run's id in `run`. A dot in the name
/// of a field is written "．" (U+FF0E) and a dollar at its beginning "＄" (U+FF04), which MongoDB
/// allows; an array in an array is {"array": […]}, as FerretDB takes none.
///
/// `uri`: mongodb://[USER:PASSWORD@]HOST[:PORT][,…]/[DATABASE][?options]; the database is "orchard"
/// unless it is named. A server that is away costs a call three seconds, one that hangs ten, unless
/// the URI's options (serverSelectionTimeoutMS, connectTimeoutMS, socketTimeoutMS) say otherwise.
/// Errors: INVALID_ARGUMENT for a URI that is none, or where the program was built without MongoDB.
absl::StatusOr<std::unique_ptr<RunStore>> MakeMongoStore(const std::string& uri);

/// Removes what libmongoc put into /dev/shm when it was loaded (its counters, a file by the
/// process's id): a program that starts again in place would find it there, complain, and leave it.
/// Where it does not start again after all, stores work as before.
void PutMongoAway();

}  // namespace orchard::training
