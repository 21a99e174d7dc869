# Writes OUT, the source of training/log/revision.h, with what git says of SOURCE; OUT is touched only
# where that has changed. Run at every build: cmake -DSOURCE=… -DOUT=… -P cmake/Revision.cmake
# The environment's ORCHARD_REVISION wins: a tree in an image has no history.
set(revision "$ENV{ORCHARD_REVISION}")
if(NOT revision)
  execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --exclude=*
                  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE
                  RESULT_VARIABLE code ERROR_QUIET)
  if(NOT code EQUAL 0)
    set(revision "")
  endif()
endif()
string(REGEX REPLACE "[^A-Za-z0-9._+-]" "" revision "${revision}")
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT [[
#include "training/log/revision.h"

namespace orchard::training {

const char* const kRevision = "@revision@";

}  // namespace orchard::training
]])
