// SPDX-License-Identifier: Apache-2.0
//
// Taking ourselves out of the environment, on an environment that stands in for the real one: strings are shortened in
// place, so they are copied here as the kernel would have put them.
#include "preload/environment.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch::preload {
namespace {

// The process's environment for the length of a scope.
class Environment {
 public:
  explicit Environment(std::vector<std::string> variables) : strings_(std::move(variables)), saved_(environ) {
    for (std::string& variable : strings_) pointers_.push_back(variable.data());
    pointers_.push_back(nullptr);
    environ = pointers_.data();
  }
  ~Environment() { environ = saved_; }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::string> strings_;
  std::vector<char*> pointers_;
  char** saved_;
};

std::vector<std::string> current() {
  std::vector<std::string> result;
  for (char** place = environ; *place != nullptr; ++place) result.emplace_back(*place);
  return result;
}

std::vector<std::string> forgotten(const std::vector<std::string>& variables) {
  const Environment environment(variables);
  forget_environment();
  return current();
}

using Variables = std::vector<std::string>;

TEST_CASE("the socket is found by its exact name") {
  {
    const Environment environment({"A=1", "LEAKWATCH_SOCKET_X=/no", "LEAKWATCH_SOCKET=/run/x/socket", "B=2"});
    REQUIRE(socket_from_environment() != nullptr);
    CHECK(std::string(socket_from_environment()) == "/run/x/socket");
  }
  const Environment environment({"A=LEAKWATCH_SOCKET=/no", "XLEAKWATCH_SOCKET=/no", "LEAKWATCH_SOCKET"});
  CHECK(socket_from_environment() == nullptr);
}

TEST_CASE("our variables go and all others stay as they are, in order") {
  CHECK(forgotten({"A=1", "LEAKWATCH_SOCKET=/run/x", "B=2", "LD_PRELOAD=/usr/lib/libleakwatch.so", "C="}) ==
        Variables{"A=1", "B=2", "C="});
  CHECK(forgotten({}) == Variables{});
  CHECK(forgotten({"A=1"}) == Variables{"A=1"});
  CHECK(forgotten({"LEAKWATCH_SOCKET=", "LEAKWATCH_SOCKET=/again"}) == Variables{});
}

TEST_CASE("what others preload stays in the list") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"/a/libleakwatch.so:/b/x.so", "/b/x.so"},
      {"/b/x.so:/a/libleakwatch.so", "/b/x.so"},
      {"/b/x.so:/a/libleakwatch.so:/c/y.so", "/b/x.so:/c/y.so"},
      {"/b/x.so /a/libleakwatch.so /c/y.so", "/b/x.so:/c/y.so"},
      {"libleakwatch.so:x.so", "x.so"},
      {"x.so", "x.so"},
      {"/libleakwatch/x.so:/a/libleakwatch-operators.so", "/libleakwatch/x.so"},
      {"::x.so::/a/libleakwatch.so:", "x.so"},
      {"/a/mylibleakwatch.so", "/a/mylibleakwatch.so"},
  };
  for (const auto& [before, after] : table)
    CHECK(forgotten({"LD_PRELOAD=" + before}) == Variables{"LD_PRELOAD=" + after});
}

TEST_CASE("an empty list goes altogether") {
  CHECK(forgotten({"LD_PRELOAD=/a/libleakwatch.so", "B=1"}) == Variables{"B=1"});
  CHECK(forgotten({"LD_PRELOAD=/a/libleakwatch.so:/b/libleakwatch.so"}) == Variables{});
  CHECK(forgotten({"LD_PRELOAD= : "}) == Variables{});
}

TEST_CASE("variables that only look like LD_PRELOAD stay") {
  const Variables variables = {"LD_PRELOAD_X=/a/libleakwatch.so", "XLD_PRELOAD=/a/libleakwatch.so", "LD_PRELOAD"};
  CHECK(forgotten(variables) == variables);
}

TEST_CASE("a session may start from the program but not from inside the loader") {
  const std::uint64_t loader = getauxval(AT_BASE);
  CHECK(may_start_from(0));
  CHECK(may_start_from(reinterpret_cast<std::uintptr_t>(&current)));
  CHECK(may_start_from(reinterpret_cast<std::uintptr_t>(&getauxval)));
  if (loader != 0) {
    CHECK_FALSE(may_start_from(loader + 0x1000));
    CHECK(may_start_from(loader - 1));
  }
}

// The kernel's vector: argc, argv, a null, the environment, a null.
TEST_CASE("before libc has its environment, the one on the initial stack is looked at") {
  const auto* argc = static_cast<const long*>(initial_stack());
  REQUIRE(argc != nullptr);
  REQUIRE(*argc >= 1);
  const auto* argv = reinterpret_cast<char* const*>(argc + 1);
  CHECK(argv[*argc] == nullptr);
  char** saved = environ;
  environ = nullptr;
  const char* socket = socket_from_environment();
  environ = saved;
  CHECK(socket == nullptr);
}

}  // namespace
}  // namespace leakwatch::preload
