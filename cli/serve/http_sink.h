// SPDX-License-Identifier: Apache-2.0
//
// The sink for those who ask: all that is served under one address. Nothing here names a file.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "cli/http/http_server.h"
#include "cli/serve/history.h"
#include "cli/serve/live_page.h"
#include "cli/serve/metrics.h"
#include "cli/serve/pprof_endpoints.h"
#include "cli/session/profile_source.h"

namespace leakwatch {

class HttpSink {
 public:
  // Serves at once; `source` and `history` must outlive it. Throws Error when the address cannot be had. `hosts` are
  // further names that the Host header may have, `pid` is the watched process's.
  HttpSink(const HttpAddress& address, std::vector<std::string> hosts, ProfileSource& source, const History& history,
           pid_t pid);

  const std::string& url() const { return server_.url(); }

 private:
  HttpAnswer answer(const HttpRequest& request);
  static HttpWork weigh(const HttpRequest& request);

  ProfileSource& source_;
  LivePage page_;
  PprofEndpoints pprof_;
  Metrics metrics_;
  HttpServer server_;  // last: its threads use the others
};

}  // namespace leakwatch
