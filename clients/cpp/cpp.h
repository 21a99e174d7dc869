#pragma once

/// \file
/// The C++ client: a library for programs, and the `orchard` command on top of it. Stands on proto,
/// core and rpc alone. Read in this order:
///   client.h (calls, with fail-over), retry.h (whether and when again), channel.h (connections);
///   pictures.h and read_picture.h (arguments → pictures), display.h (columns on a terminal),
///   render.h (answers as JSON and as lines for people), policy.h; command.h (what all commands
///   share), classify_command.h, describe_command.h, bench_command.h, main.cc;
///   bench/: load.h (asks at a rate or in a circle), arrivals.h, histogram.h, tally.h (what became
///   of it), report.h.
