// SPDX-License-Identifier: Apache-2.0
//
// The patcher on real libraries, linked in all the ways that make a difference to it. Hooks are functions of the test,
// which count; nothing but the library in question is touched.

#include "preload/slot_patcher.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/slot_fixture.h"

namespace {

using namespace leakwatch::preload;

int allocations, releases;

extern "C" void* counting_malloc(std::size_t size) {
  ++allocations;
  return std::malloc(size);
}
extern "C" void counting_free(void* block) {
  ++releases;
  std::free(block);
}

std::uint64_t in_library;  // an address in the one that is to be patched

bool is_the_library(const LoadedModule& module) {
  return module.contains(in_library);
}
bool is_any(const LoadedModule&) {
  return true;
}

// The page that something in the library lies on.
template <class Object>
char* page_of(Object* object) {
  auto* begin = const_cast<char*>(reinterpret_cast<const char*>(object));
  return begin - reinterpret_cast<std::uintptr_t>(begin) % 4096;
}

template <class Pointer>
std::uint64_t address(Pointer* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

class Fixture {
 public:
  explicit Fixture(const std::string& path) : handle_(dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL)) {
    if (handle_ == nullptr) FAIL(dlerror());
    allocate = symbol<void*(std::size_t)>("fixture_allocate");
    release = symbol<void(void*)>("fixture_release");
    constant = symbol<const FixtureFunctions>("fixture_constant");
    variable = symbol<FixtureFunctions>("fixture_variable");
    in_library = address(constant);
  }
  ~Fixture() { unload(); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  void unload() {
    if (handle_ != nullptr) dlclose(handle_);
    handle_ = nullptr;
  }

  void* (*allocate)(std::size_t);
  void (*release)(void*);
  const FixtureFunctions* constant;
  FixtureFunctions* variable;

  // Calls through all slots; how many of the eight arrived at the counting functions.
  int calls_that_arrive() const {
    allocations = releases = 0;
    release(allocate(10));
    constant->release(constant->allocate(10));
    variable->release(variable->allocate(10));
    void* block = allocate(20);
    release(block);
    return allocations + releases;
  }

 private:
  template <class Type>
  Type* symbol(const char* name) {
    void* found = dlsym(handle_, name);
    REQUIRE(found != nullptr);
    return reinterpret_cast<Type*>(found);
  }
  void* handle_;
};

struct Hooks {
  Hook hooks[2] = {{"malloc", address(counting_malloc), 0}, {"free", address(counting_free), 0}};
  Hooks() { find_originals(hooks, 2, is_any); }
  SlotPatcher::Job job() const { return {hooks, 2, is_the_library}; }
};

// What lies in the library's writable pages and those that were, and the protections of all.
struct Image {
  std::vector<std::uint64_t> words;
  std::string mappings;
  friend bool operator==(const Image&, const Image&) = default;
};

Image image_of_library() {
  Image image;
  std::ifstream maps("/proc/self/maps");
  std::string path;
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0, end = 0;
    char access[5] = {};
    REQUIRE(std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, access) == 3);
    const std::string file = line.find('/') == std::string::npos ? "" : line.substr(line.find('/'));
    if (in_library >= begin && in_library < end) path = file;
  }
  maps = std::ifstream("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    void *begin = nullptr, *end = nullptr;
    char access[5] = {};
    std::sscanf(line.c_str(), "%p-%p %4s", &begin, &end, access);
    if (path.empty() || line.find(path) == std::string::npos) continue;
    image.mappings += line.substr(0, line.find(' ', line.find(' ') + 1)) + "\n";
    if (access[0] == 'r')
      image.words.insert(image.words.end(), static_cast<std::uint64_t*>(begin), static_cast<std::uint64_t*>(end));
  }
  REQUIRE(image.words.size() > 100);
  return image;
}

const std::vector<std::string> kLibraries = {SLOT_FIXTURES};

}  // namespace

TEST_CASE("Slots of every kind of library lead to the hooks, and back as they were", "[slots]") {
  const Hooks hooks;
  for (const std::string& path : kLibraries) {
    CAPTURE(path);
    const Fixture fixture(path);
    const Image before = image_of_library();
    SlotPatcher patcher;
    const SlotPatcher::Counts counts = patcher.patch(hooks.job());
    CHECK(counts.patched == 6);
    CHECK(counts.refused == 0);
    CHECK(counts.unready == 0);
    CHECK(fixture.calls_that_arrive() == 8);
    const SlotPatcher::Counts restored = patcher.restore(hooks.job());
    CHECK(restored.refused == 0);
    CHECK(image_of_library() == before);  // never called without us: the lazy ones, too
    CHECK(fixture.calls_that_arrive() == 0);
  }
}

TEST_CASE("A second look changes nothing, and remembers what the first one found", "[slots]") {
  const Hooks hooks;
  for (const std::string& path : kLibraries) {
    CAPTURE(path);
    const Fixture fixture(path);
    const Image before = image_of_library();
    SlotPatcher patcher;
    patcher.patch(hooks.job());
    const Image patched = image_of_library();
    CHECK(patcher.patch(hooks.job()).patched == 6);
    CHECK(image_of_library() == patched);
    patcher.restore(hooks.job());
    CHECK(image_of_library() == before);
  }
}

TEST_CASE("A slot that was bound while it was patched is patched again", "[slots]") {
  const Hooks hooks;
  const Fixture fixture(kLibraries[0]);
  SlotPatcher patcher;
  patcher.patch(hooks.job());
  fixture.variable->allocate = std::malloc;  // as the loader does that was on its way
  CHECK(fixture.calls_that_arrive() == 7);
  patcher.patch(hooks.job());
  CHECK(fixture.calls_that_arrive() == 8);
  patcher.restore(hooks.job());
  CHECK(address(fixture.variable->allocate) == hooks.hooks[0].original);
}

TEST_CASE("A slot that leads elsewhere is left alone", "[slots]") {
  const Hooks hooks;
  const Fixture fixture(kLibraries[0]);
  const auto elsewhere = [](std::size_t size) { return std::calloc(1, size); };
  fixture.variable->allocate = elsewhere;
  SlotPatcher patcher;
  CHECK(patcher.patch(hooks.job()).patched == 5);
  CHECK(fixture.variable->allocate == static_cast<void* (*)(std::size_t)>(elsewhere));
  // The program itself put something else there meanwhile.
  fixture.variable->release = [](void* block) { std::free(block); };
  const Image before = image_of_library();
  CHECK(patcher.restore(hooks.job()).refused == 0);
  CHECK(fixture.calls_that_arrive() == 0);
  CHECK(image_of_library().mappings == before.mappings);
}

TEST_CASE("A hook without an original has no slots", "[slots]") {
  Hook hooks[] = {{"malloc", address(counting_malloc), 0}, {"there_is_no_such_function", address(counting_free), 0}};
  find_originals(hooks, 2, is_any);
  CHECK(hooks[0].original != 0);
  CHECK(hooks[1].original == 0);
  const Fixture fixture(kLibraries[0]);
  hooks[0].original = 0;
  SlotPatcher patcher;
  CHECK(patcher.patch({hooks, 2, is_the_library}).patched == 0);
  CHECK(fixture.calls_that_arrive() == 0);
}

TEST_CASE("A library that the loader is not done with is left for later", "[slots]") {
  const Hooks hooks;
  const Fixture fixture(kLibraries[0]);
  const Image before = image_of_library();
  REQUIRE(mprotect(page_of(fixture.constant), 4096, PROT_READ | PROT_WRITE) == 0);
  SlotPatcher patcher;
  const SlotPatcher::Counts early = patcher.patch(hooks.job());
  CHECK(early.patched == 0);
  CHECK(early.unready == 1);
  CHECK(image_of_library().words == before.words);
  REQUIRE(mprotect(page_of(fixture.constant), 4096, PROT_READ) == 0);
  CHECK(patcher.patch(hooks.job()).patched == 6);
  patcher.restore(hooks.job());
  CHECK(image_of_library() == before);
}

TEST_CASE("A library that was unloaded is never written to again", "[slots]") {
  const Hooks hooks;
  Fixture fixture(kLibraries[0]);
  SlotPatcher patcher;
  REQUIRE(patcher.patch(hooks.job()).patched == 6);
  char* const place = page_of(fixture.variable);
  const std::size_t offset = (address(fixture.variable) - address(place)) / sizeof(std::uint64_t);
  fixture.unload();
  // Something else lies there now, and looks as if it were ours.
  void* mapped = mmap(place, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (mapped != place) {
    WARN("the place was taken at once: only that nothing faults was tested");
    patcher.restore(hooks.job());
    return;
  }
  static_cast<std::uint64_t*>(mapped)[offset] = address(counting_malloc);
  patcher.restore(hooks.job());
  CHECK(static_cast<std::uint64_t*>(mapped)[offset] == address(counting_malloc));
  munmap(mapped, 4096);
}

TEST_CASE("Loading and unloading for ever does not use up the room for old values", "[slots]") {
  const Hooks hooks;
  SlotPatcher patcher;
  for (int i = 0; i < 300; ++i) {
    const Fixture fixture(kLibraries[static_cast<std::size_t>(i) % kLibraries.size()]);
    REQUIRE(patcher.patch(hooks.job()).patched == 6);
  }
  CHECK(patcher.restore(hooks.job()).patched == 0);
}
