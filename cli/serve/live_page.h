// SPDX-License-Identifier: Apache-2.0
//
// The page at `/` and the data that it asks for: a plot that moves, what grows and how fast, links to every profile.
//
//   /             the page itself, one answer with everything in it (cli/serve/live_page/)
//   /live.json    figures and points, `?after=N` those after point N: known anyway, and asked for each second
//   /growth.json  sites and thread groups that grow: may take a look at the program, asked for every few seconds
#pragma once

#include <optional>
#include <string_view>

#include "cli/http/http_message.h"
#include "cli/serve/growth.h"
#include "cli/serve/history.h"
#include "cli/serve/live_data.h"
#include "cli/session/profile_source.h"

namespace leakwatch {

// Thread-safe. `source` and `history` must outlive the answers.
class LivePage {
 public:
  // `pid` is the watched process's: it keeps it whatever it executes.
  LivePage(ProfileSource& source, const History& history, pid_t pid)
      : history_(history), growth_(source, history), program_{source.command(), pid} {}

  // Whether an answer takes a look at the program, or symbols.
  static bool is_much_work(std::string_view path);

  // Empty when the path is none of its business.
  std::optional<HttpAnswer> answer(const HttpRequest& request);

 private:
  HttpResponse live(const HttpRequest& request) const;

  const History& history_;
  Growth growth_;
  const WatchedProgram program_;
};

// Made at build time out of cli/serve/live_page/: the page, and the Content-Security-Policy that permits its own script
// and style alone, by their hashes.
extern const std::string_view kLivePageHtml;
extern const std::string_view kLivePagePolicy;

}  // namespace leakwatch
