// SPDX-License-Identifier: Apache-2.0
//
// The program `called` (tests/targets/called.c), built when a test first needs it, running in one of its modes.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <string>

#include "cli/process/thread_files.h"
#include "tests/targets/called.h"
#include "tests/targets/symbols/fixture.h"
#include "tests/unit/temporary_folder.h"
#include "tests/unit/thread_target.h"

namespace leakwatch {

// Built once, with the flags that released programs have.
inline const std::string& called_program() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    std::string program = folder.path() / "called";
    fixture::Arguments command{"gcc", "-O2", "-pthread", "-rdynamic", "-fomit-frame-pointer", "-o", program};
    for (const char* source : {"../called.c", "../called_cancellable.c", "../called_registers.c"})
      command.push_back(fixture::source(source));
    fixture::run(command);
    return program;
  }();
  return path;
}

class CalledProgram {
 public:
  // Waits until that many threads are at their place, and asleep there if they are to sleep.
  explicit CalledProgram(const std::string& mode, int threads_ready = 1, bool sleeps = true) {
    const std::string file = folder_.path() / "counters";
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, kPage) != 0) throw std::runtime_error("no counters");
    void* memory = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) throw std::runtime_error("no counters");
    counters_ = static_cast<called_counters*>(memory);
    const std::string& program = called_program();
    pid_ = fork();
    if (pid_ == 0) {
      execl(program.c_str(), program.c_str(), file.c_str(), mode.c_str(), nullptr);
      _exit(127);
    }
    const bool is_ready = waits_for([&] { return counters().ready >= threads_ready && (!sleeps || is_asleep()); });
    if (!is_ready) throw std::runtime_error("the program did not begin");
  }
  ~CalledProgram() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    munmap(counters_, kPage);
  }
  CalledProgram(const CalledProgram&) = delete;
  CalledProgram& operator=(const CalledProgram&) = delete;

  pid_t pid() const { return pid_; }
  called_counters& counters() const { return *counters_; }
  bool is_asleep() const { return ThreadFiles(pid_, pid_).place().kind == ThreadPlace::Kind::kInCall; }
  bool is_alive() const { return waitpid(pid_, nullptr, WNOHANG) == 0; }

 private:
  static constexpr std::size_t kPage = 4096;

  TemporaryFolder folder_;
  called_counters* counters_ = nullptr;
  pid_t pid_ = -1;
};

}  // namespace leakwatch
