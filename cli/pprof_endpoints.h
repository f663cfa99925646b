// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ as Go's net/http/pprof serves it: paths, parameters, statuses, headers and texts.
#pragma once

#include <optional>

#include "cli/http_message.h"
#include "cli/profile_source.h"

namespace leakwatch {

// Thread-safe. `source` must outlive the answers.
class PprofEndpoints {
 public:
  explicit PprofEndpoints(ProfileSource& source) : source_(source) {}

  // Empty when the path is none of its business.
  std::optional<HttpAnswer> answer(const HttpRequest& request);

 private:
  ProfileSource& source_;
};

}  // namespace leakwatch
