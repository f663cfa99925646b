// SPDX-License-Identifier: Apache-2.0
//
// A small program that a test builds and starts, perhaps in namespaces of its own, and that sleeps until the test ends.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>

#include "cli/process/process.h"
#include "cli/process/status_file.h"
#include "tests/targets/symbols/fixture.h"
#include "tests/unit/temporary_folder.h"
#include "tests/unit/thread_target.h"

namespace leakwatch {

inline constexpr const char* kSleeper = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";

class SpawnedProgram {
 public:
  using Preparation = std::function<bool(std::string& program)>;  // may change where it is executed

  // Builds `source` with the compiler and its flags.
  explicit SpawnedProgram(const std::string& source, const std::string& flags = "",
                          const std::string& compiler = "gcc") {
    std::ofstream(folder_.path() / "program.c") << source;
    fixture::Arguments command{compiler, "-w", "-o", path(), folder_.path() / "program.c"};
    for (const std::string& flag : fixture::words(flags)) command.push_back(flag);
    fixture::run(command);
    std::filesystem::permissions(folder_.path(), std::filesystem::perms{0755});
  }
  ~SpawnedProgram() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  SpawnedProgram(const SpawnedProgram&) = delete;
  SpawnedProgram& operator=(const SpawnedProgram&) = delete;

  // In new namespaces (CLONE_NEW…), after `prepare`. False when that is not permitted here.
  bool start(unsigned long namespaces = 0, const Preparation& prepare = {}) {
    pid_ = static_cast<pid_t>(syscall(SYS_clone, namespaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (pid_ == 0) {
      std::string program = path();
      if (prepare && !prepare(program)) _exit(126);
      execl(program.c_str(), program.c_str(), nullptr);
      _exit(127);
    }
    // Once: it may sleep a little before it sleeps for good.
    bool sleeps = false;
    return pid_ > 0 && waits_for([&] { return (sleeps = is_asleep()) || has_ended(); }) && sleeps;
  }

  pid_t pid() const { return pid_; }
  std::string path() const { return folder_.path() / "program"; }
  std::filesystem::path folder() const { return folder_.path(); }

 private:
  bool is_asleep() const {
    const bool runs_itself = std::filesystem::path(main_executable(pid_).path).filename() == "program";
    return runs_itself && StatusFile::of_process(pid_).text("State").value_or("").starts_with('S');
  }
  bool has_ended() const { return StatusFile::of_process(pid_).text("State").value_or("Z").starts_with('Z'); }

  TemporaryFolder folder_;
  pid_t pid_ = -1;
};

}  // namespace leakwatch
