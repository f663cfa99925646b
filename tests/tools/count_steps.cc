// SPDX-License-Identifier: Apache-2.0
//
// count-steps PID ADDRESS ROUNDS: how many instructions the process takes for that many steps of the counter that it
// has at the address, one at a time. It is let go afterwards.

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

pid_t process = 0;
void* counter = nullptr;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::uint64_t count() {
  errno = 0;
  const long value = ptrace(PTRACE_PEEKDATA, process, counter, nullptr);
  if (errno != 0) fail("count-steps: cannot read the counter");
  return static_cast<std::uint64_t>(value);
}

void wait_for_stop() {
  int status = 0;
  if (waitpid(process, &status, __WALL) != process || !WIFSTOPPED(status)) fail("count-steps: it did not stop");
}

std::uint64_t steps_until(std::uint64_t rounds) {
  std::uint64_t steps = 0;
  for (; count() < rounds; ++steps) {
    if (ptrace(PTRACE_SINGLESTEP, process, nullptr, nullptr) != 0) fail("count-steps: cannot step");
    wait_for_stop();
  }
  return steps;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  process = std::atoi(argv[1]);
  counter = reinterpret_cast<void*>(std::strtoull(argv[2], nullptr, 16));  // NOLINT(performance-no-int-to-ptr)
  if (ptrace(PTRACE_SEIZE, process, nullptr, nullptr) != 0 || ptrace(PTRACE_INTERRUPT, process, nullptr, nullptr) != 0)
    fail("count-steps: cannot trace");
  wait_for_stop();
  const std::uint64_t first = count() + 1;
  steps_until(first);
  std::printf("%llu\n", static_cast<unsigned long long>(steps_until(first + std::strtoull(argv[3], nullptr, 10))));
  if (ptrace(PTRACE_DETACH, process, nullptr, nullptr) != 0) fail("count-steps: cannot let go");
}
