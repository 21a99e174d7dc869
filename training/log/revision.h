#pragma once

namespace orchard::training {

/// What git said of the tree when the program was built ("71596f6", "71596f6-dirty"); empty where
/// there was no git. Written by cmake/Revision.cmake.
extern const char* const kRevision;

}  // namespace orchard::training
