// SPDX-License-Identifier: Apache-2.0
//
// Which modules the reader is told of.
#include "preload/modules.h"

#include <dlfcn.h>

#include <barrier>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cli/drain/shared_region.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

// One address in each of some modules of this process.
std::vector<dl_find_object> some_modules() {
  std::vector<dl_find_object> modules;
  std::set<const void*> seen;
  for (const char* name : {"malloc", "_ZSt9terminatev", "_dl_find_object", "_Unwind_Backtrace", "cos", "crc32"}) {
    dl_find_object found{};
    void* address = dlsym(RTLD_DEFAULT, name);
    if (address == nullptr || _dl_find_object(address, &found) != 0) continue;
    if (seen.insert(found.dlfo_map_start).second) modules.push_back(found);
  }
  return modules;
}

// A stack is remembered with its first sight: a module that could not be announced then might never be again.
TEST_CASE("modules that threads first see at the same time are all announced") {
  const std::vector<dl_find_object> modules = some_modules();
  REQUIRE(modules.size() >= 3);
  std::vector<preload::Modules::Known> known(preload::Modules::kMostKnown);
  for (int round = 0; round < 200; ++round) {
    SharedRegion region({});
    known.assign(known.size(), {});
    preload::Modules announcer{};
    announcer.start(&region.header(), known.data());
    std::barrier together(static_cast<std::ptrdiff_t>(modules.size()));
    std::vector<std::thread> threads;
    threads.reserve(modules.size());
    for (const dl_find_object& module : modules) {
      threads.emplace_back([&] {
        together.arrive_and_wait();
        announcer.announce(module);
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::uint64_t position = 0;
    REQUIRE(region.modules(position).size() == modules.size());
  }
}

}  // namespace
}  // namespace leakwatch
