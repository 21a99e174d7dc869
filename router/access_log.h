#pragma once

#include <string>

#include "router/observers.h"

namespace orchard::router {

/// One line a request in the log; of those refused, evicted or dropped for want of a place or of
/// time, one each ten seconds a limit, with how many were left out: a flood of them must not cost
/// the others. Lines wait for their writer in the log's own bounded queue (server/log.h). Requests
/// within the process have none. Thread-safe.
class AccessLog final : public Observer {
 public:
  void Finished(const RequestRecord& record) override;
};

/// The line, without time and level: "event=classify request_id=… code=OK …".
std::string AccessLogText(const RequestRecord& record);

}  // namespace orchard::router
