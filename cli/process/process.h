// SPDX-License-Identifier: Apache-2.0
//
// What /proc says about a process. Everything may be gone at any moment: then the answer is empty.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "symbolize/module.h"

namespace leakwatch {

std::uint64_t resident_bytes(pid_t pid);  // 0 when it is gone
std::uint64_t thread_count(pid_t pid);    // as the kernel counts them; 0 when it is gone
// Processor time that all its threads have used so far, also those that have ended; 0 when it is gone.
std::uint64_t processor_ns(pid_t pid);
std::uint64_t own_thread_processor_ns();  // of the thread that asks
std::string working_folder(pid_t pid);
std::vector<std::string> command_words(pid_t pid);  // its name and arguments, as it was started
std::string command_line(pid_t pid);                // the same joined by blanks
// All of it, as long as the process lets us look; without its file, the segments are what is mapped.
Module main_executable(pid_t pid);
// The number that the thread has in its own pid namespace; 0 when it is gone.
std::uint32_t own_thread_number(pid_t pid, pid_t tid);
// It has begun to end, or is about to for a signal that is on its way.
bool is_ending(pid_t pid);
bool thread_exists(pid_t pid, std::uint32_t tid);

// "/proc/PID/root" when the process sees another root than we do, else empty.
std::string foreign_root(pid_t pid);

// All that a session needs to know of its process; to be read while the process surely exists.
struct ProcessFacts {
  pid_t pid = 0;
  std::string command;
  std::string folder;                // working folder
  std::string root;                  // foreign_root
  bool shares_pid_namespace = true;  // its thread ids mean the same to us
  Module executable;
  std::string layout;  // memory_layout
};
ProcessFacts read_process_facts(pid_t pid);

}  // namespace leakwatch
