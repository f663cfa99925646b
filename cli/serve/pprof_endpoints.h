// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ as Go's net/http/pprof serves it: paths, parameters, statuses, headers and the words of errors, so that
// whatever asks a Go service can ask a native one. Source: the package's documentation and its behaviour.
//
// What differs on purpose: `threads` is there as a second name of `goroutine`; there is no `trace`; `block`, `mutex`
// and `profile` are always empty; `symbol` takes POST in every version, as `go tool pprof` sends it; until the program
// has called back, profiles are 503. Beyond Go's: `since=start` and `since=TIME` (5m) of heap and allocs give at once
// what came since then.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/http/http_message.h"
#include "cli/serve/history.h"
#include "cli/serve/served_profile.h"
#include "cli/session/profile_source.h"

namespace leakwatch {

// Thread-safe. It, `source` and `history` must outlive the answers.
class PprofEndpoints {
 public:
  PprofEndpoints(ProfileSource& source, const History& history) : source_(source), history_(history) {}

  // Whether an answer takes a look at the program, or symbols.
  static bool is_much_work(std::string_view path);

  // Empty when the path is none of its business.
  std::optional<HttpAnswer> answer(const HttpRequest& request);

 private:
  // Where the addresses of the last profile stand, for those who ask for their names afterwards.
  struct KnownModules {
    std::vector<Module> modules;
    SymbolLookup symbols;
  };

  HttpAnswer answer_to(const HttpRequest& request, std::string_view name);
  HttpResponse command_line() const;
  HttpResponse symbol(const HttpRequest& request);
  HttpAnswer named_profile(const HttpRequest& request, const std::string& name);
  HttpAnswer delta(const HttpRequest& request, const std::string& name);
  HttpResponse since(const HttpRequest& request, const std::string& name);
  HttpResponse delta_since(const ServedProfile& before);
  std::optional<ServedProfile> look(std::string_view name);
  std::shared_ptr<const KnownModules> known_modules();

  ProfileSource& source_;
  const History& history_;
  std::mutex mutex_;
  std::shared_ptr<const KnownModules> known_modules_;
};

}  // namespace leakwatch
