#pragma once

/// \file
/// The C++ client: a library for programs, and the `orchard` command on top of it. Stands on proto
/// and core alone. Read in this order:
///   client.h (calls, with fail-over), pictures.h (arguments → pictures), render.h (answers as JSON
///   and as lines for people), classify_command.h, describe_command.h, main.cc.
