// SPDX-License-Identifier: Apache-2.0
//
// See the header. Between fork and exec only what is safe in the child of a threaded program: everything is prepared
// before.

#include "cli/join/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "cli/base/error.h"
#include "proto/handshake.h"

namespace leakwatch {

namespace {

struct Pipe {
  Descriptor reading, writing;
};

Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

// Our object comes first: it must stand in front of an allocator that the user preloads.
std::vector<std::string> environment(const LaunchPlan& plan) {
  constexpr std::string_view kPreload = "LD_PRELOAD=";
  const std::string socket = std::string(handshake::kSocketVariable) + "=";
  std::vector<std::string> result;
  std::string preload = std::string(kPreload) + plan.preload;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with(kPreload))
      preload += (text.size() > kPreload.size() ? ":" : "") + std::string(text.substr(kPreload.size()));
    else if (!text.starts_with(socket))
      result.emplace_back(text);
  }
  result.push_back(preload);
  result.push_back(socket + plan.socket);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (std::string& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

Child::Child(const LaunchPlan& plan, const sigset_t& signal_mask, const std::optional<rlimit>& descriptors) {
  Pipe go = make_pipe(), failure = make_pipe();
  std::vector<std::string> arguments = plan.arguments, variables = environment(plan);
  const std::vector<char*> argv = pointers(arguments), envp = pointers(variables);
  pid_ = fork();
  if (pid_ < 0) throw Error(fmt::format("cannot fork: {}", std::strerror(errno)));
  if (pid_ == 0) {
    char byte;
    close(go.writing.number());
    if (read(go.reading.number(), &byte, 1) != 1) _exit(125);
    sigprocmask(SIG_SETMASK, &signal_mask, nullptr);
    if (descriptors) setrlimit(RLIMIT_NOFILE, &*descriptors);
    execvpe(plan.file.c_str(), argv.data(), envp.data());
    const int error = errno;
    if (write(failure.writing.number(), &error, sizeof error) < 0) _exit(124);
    _exit(126);
  }
  pidfd_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  go_ = std::move(go.writing);
  failure_ = std::move(failure.reading);
  if (!pidfd_.is_open())
    throw Error(fmt::format("this kernel has no pidfd_open ({}): Linux 5.3 is needed", std::strerror(errno)));
}

Child::~Child() {
  go_.reset();
  if (!started_ && pid_ > 0) waitpid(pid_, nullptr, 0);
}

void Child::start() {
  started_ = true;
  int error = 0;
  if (write(go_.number(), "g", 1) != 1) throw Error(fmt::format("cannot start the program: {}", std::strerror(errno)));
  ssize_t got;
  do got = read(failure_.number(), &error, sizeof error);  // end of file: it was executed
  while (got < 0 && errno == EINTR);
  failure_.reset();
  if (got != sizeof error) return;
  wait();
  throw Error(fmt::format("cannot execute the program: {}", std::strerror(error)), error == ENOENT ? 127 : 126);
}

int Child::wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace leakwatch
