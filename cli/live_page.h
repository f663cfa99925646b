// SPDX-License-Identifier: Apache-2.0
//
// The page at `/`, and the data that it asks for: a plot that moves, what grows and how fast, links to every profile.
#pragma once

#include <optional>

#include "cli/history.h"
#include "cli/http_message.h"
#include "cli/profile_source.h"

namespace leakwatch {

// Thread-safe. Both must outlive the answers.
class LivePage {
 public:
  LivePage(ProfileSource& source, const History& history) : source_(source), history_(history) {}

  // Empty when the path is none of its business.
  std::optional<HttpAnswer> answer(const HttpRequest& request);

 private:
  ProfileSource& source_;
  const History& history_;
};

}  // namespace leakwatch
