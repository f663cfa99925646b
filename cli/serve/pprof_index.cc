// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/serve/pprof_index.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace leakwatch {

namespace {

struct Entry {
  std::string_view name;
  std::uint64_t count;
  std::string_view description;
};

std::array<Entry, 10> entries(const LiveTotals& totals) {
  const auto created = static_cast<std::uint64_t>(totals.threads.created);
  return {{{"allocs", totals.sites, "Every allocation so far, by stack and size; sampled unless the session is exact."},
           {"block", 0, "Always empty: leakwatch does not watch locks."},
           {"cmdline", 0, "The program and its arguments, with NUL bytes between them."},
           {"goroutine", totals.kernel_threads,
            "The threads by where they are now. With debug=2: one by one, as Go prints goroutines when it panics."},
           {"heap", totals.sites, "The allocations that are live now, by stack and size. The parameter gc is ignored."},
           {"mutex", 0, "Always empty: leakwatch does not watch locks."},
           {"profile", 0, "Always empty: leakwatch does not watch the processor. Takes its time, 30 s or seconds=N."},
           {"symbol", 0, "The names of addresses, given in the query or in the body of a POST, joined by '+'."},
           {"threadcreate", created, "All threads that were ever created, by the stack that created them."},
           {"threads", totals.kernel_threads, "Another name for goroutine."}}};
}

constexpr std::string_view kHead = R"(<html>
<head>
<title>/debug/pprof/</title>
<style>
td { padding-right: 1em; }
dt { font-weight: bold; }
</style>
</head>
<body>
<h1>/debug/pprof/</h1>
<p>Links show text; without debug=1 they give what <code>go tool pprof</code> reads.
With seconds=N: what changes during that time.</p>
<table>
<thead><tr><td>Count</td><td>Profile</td></tr></thead>
)";

}  // namespace

std::string pprof_index(const LiveTotals& totals) {
  std::string page(kHead);
  for (const Entry& entry : entries(totals)) {
    page +=
        fmt::format("<tr><td>{}</td><td><a href='{}?debug=1'>{}</a></td></tr>\n", entry.count, entry.name, entry.name);
  }
  page += "</table>\n<p><a href=\"goroutine?debug=2\">the stacks of all threads</a></p>\n<dl>\n";
  for (const Entry& entry : entries(totals)) {
    page += fmt::format("<dt>{}</dt><dd>{}</dd>\n", entry.name, entry.description);
  }
  return page + "</dl>\n</body>\n</html>\n";
}

}  // namespace leakwatch
