#pragma once

namespace orchard::core {

/// Makes nothing of what a parent left behind: descriptors 0 to 2 that are closed become /dev/null
/// (else a socket or a file gets the number, and lines for people go to a caller or into it),
/// blocked signals are unblocked, SIGPIPE ends the process again (a service ignores it later on),
/// and the limit of open files is raised as far as it may be (nothing here uses select()). What is
/// still inherited: the working folder, the environment (ORCHARD_… and gRPC's own GRPC_…), the
/// umask, and whether SIGHUP and SIGINT are ignored, which nohup and shells mean so. First thing in
/// a main: before anything opens a file or starts a thread. Descriptors are put right even before
/// that, in every program that calls this, because libraries open some before main.
void PutInheritedRight();

}  // namespace orchard::core
