// SPDX-License-Identifier: Apache-2.0
//
// The symbol service: that its answers are the symbolizer's, that it gives each only once, and that threads may ask and
// leave as they like. Meant to run under the thread sanitizer too.
#include "symbolize/symbol_service.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "symbolize/symbolizer.h"
#include "tests/targets/symbols/fixture.h"
#include "tests/unit/catch.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {
namespace {

using fixture::module_at;
using fixture::Path;

std::vector<std::uint64_t> addresses_from(std::uint64_t first, std::uint64_t count) {
  std::vector<std::uint64_t> addresses;
  for (std::uint64_t index = 0; index < count; ++index) addresses.push_back(first + index);
  return addresses;
}

TEST_CASE("the service answers as the symbolizer does", "[symbol_service]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  fixture::compile("inlines.cc", "-O2 -g", file);
  const Module module = module_at(file);
  const std::uint64_t probe = fixture::address_of(file, "probe");
  SymbolService service;
  Symbolizer symbolizer;
  CHECK(service.frames(module, probe).size() == 3);
  CHECK(service.frames(module, probe) == symbolizer.resolve(module, probe));
  CHECK(service.source(module).lines);
}

TEST_CASE("options reach the symbolizer", "[symbol_service]") {
  const TemporaryFolder folder;
  fixture::compile("plain.c", "-O2 -shared -fPIC", folder.path() / "libplain.so");
  SymbolService service({.root = folder.path(), .debug_path = ""});
  CHECK(service.source(module_at("/libplain.so")).functions);
  CHECK_FALSE(service.source(module_at("/libplain.so")).lines);
}

TEST_CASE("an address is looked up once, wherever the module is mapped", "[symbol_service]") {
  SymbolService service;
  Module module = module_at("/missing.so", "ab");
  const auto& first = service.frames(module, 1);
  module.bias = 0x5000;
  module.segments = {{0x5000, 0x6000, 0}};
  CHECK(&service.frames(module, 1) == &first);
  CHECK(service.lookups() == 1);
}

TEST_CASE("modules differ by path and by build id", "[symbol_service]") {
  SymbolService service;
  service.frames(module_at("/one.so", "ab"), 1);
  service.frames(module_at("/two.so", "ab"), 1);
  service.frames(module_at("/one.so", "cd"), 1);
  CHECK(service.lookups() == 3);
}

TEST_CASE("modules without a name differ by their segments", "[symbol_service]") {
  SymbolService service;
  Module module;
  module.segments = {{0x1000, 0x2000, 0}};
  service.frames(module, 1);
  service.frames(module, 1);
  CHECK(service.lookups() == 1);
  module.segments = {{0x1000, 0x3000, 0}};
  service.frames(module, 1);
  CHECK(service.lookups() == 2);
}

TEST_CASE("what was prefetched is looked up in the background, once", "[symbol_service]") {
  SymbolService service;
  const Module module = module_at("/missing.so");
  service.prefetch(module, addresses_from(0, 100));
  service.prefetch(module, addresses_from(50, 100));
  while (service.lookups() < 150) std::this_thread::yield();
  for (const std::uint64_t address : addresses_from(0, 150)) CHECK(service.frames(module, address).size() == 1);
  CHECK(service.lookups() == 150);
}

TEST_CASE("references stay valid while more is looked up", "[symbol_service]") {
  SymbolService service;
  const Module module = module_at("/missing.so");
  const std::vector<Frame>& first = service.frames(module, 0xabc);
  const std::string* name = &first.front().function;
  for (const std::uint64_t address : addresses_from(0x1000, 5000)) service.frames(module, address);
  CHECK(&service.frames(module, 0xabc) == &first);
  CHECK(&first.front().function == name);
  CHECK(*name == "missing.so+0xabc");
}

TEST_CASE("many threads share the answers", "[symbol_service]") {
  SymbolService service;
  const Module module = module_at("/missing.so");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      service.prefetch(module, addresses_from(0, 200));
      for (const std::uint64_t address : addresses_from(100, 200)) {
        if (service.frames(module, address).size() != 1) ++wrong;
      }
      if (service.source(module).functions) ++wrong;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  while (service.lookups() < 300) std::this_thread::yield();
  CHECK(service.lookups() == 300);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One file as many modules, each of which must be opened for itself: its name is spelled with "//" and "/./" for the
// digits of a number.
std::vector<Module> spellings(const Path& file, unsigned count) {
  std::vector<Module> modules;
  for (unsigned index = 0; index < count; ++index) {
    std::string folder = file.parent_path();
    for (unsigned digits = index; digits != 0; digits /= 2) folder += digits % 2 == 0 ? "/" : "/.";
    modules.push_back(module_at(folder + "/" + file.filename().string()));
  }
  return modules;
}

TEST_CASE("the end drops what is still queued", "[symbol_service]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  fixture::compile("inlines.cc", "-O2 -g", file);
  // How long the whole queue would take is estimated from a hundredth of it. The end is to take less than half of that,
  // on one of five tries: others may use the machine meanwhile.
  const auto ends_early = [&] {
    Symbolizer symbolizer;
    auto start = std::chrono::steady_clock::now();
    for (const Module& module : spellings(file, 200)) symbolizer.resolve(module, 0x1000);
    const double whole_queue = seconds_since(start) * 100;
    auto service = std::make_unique<SymbolService>();
    for (const Module& module : spellings(file, 20000)) service->prefetch(module, {0x1000});
    start = std::chrono::steady_clock::now();
    service.reset();
    return seconds_since(start) < whole_queue / 2;
  };
  bool was_early = false;
  for (int i = 0; i < 5 && !was_early; ++i) was_early = ends_early();
  CHECK(was_early);
}

TEST_CASE("a service that nobody asks ends", "[symbol_service]") {
  const SymbolService service;
  CHECK(service.lookups() == 0);
}

}  // namespace
}  // namespace leakwatch
