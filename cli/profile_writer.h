// SPDX-License-Identifier: Apache-2.0
//
// Turns snapshots into files and lines on the terminal, on a thread of its own: symbols of a large program can take
// seconds the first time, and a signal for the program must not wait for that.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cli/profile.h"
#include "cli/profile_folder.h"
#include "cli/snapshot.h"
#include "symbolize/symbol_service.h"

namespace leakwatch {

class ProfileWriter {
 public:
  // `quiet`: only errors are printed.
  ProfileWriter(ProfileFolder folder, bool quiet);
  ~ProfileWriter();
  ProfileWriter(const ProfileWriter&) = delete;
  ProfileWriter& operator=(const ProfileWriter&) = delete;

  const std::string& folder() const { return folder_.path(); }

  // The program became another one: changes count from its first snapshot.
  void begin_anew();

  // Queues the snapshot and returns. When several wait already, it is left out, and that is said.
  void write(HeapSnapshot snapshot, std::shared_ptr<SymbolService> symbols, std::chrono::duration<double> age);

  // Waits until all is written. The final report, empty when there was no snapshot.
  std::string finish();

 private:
  struct Job {
    HeapSnapshot snapshot;
    std::shared_ptr<SymbolService> symbols;
    std::chrono::duration<double> age;
    bool is_first;
  };

  void run();
  void process(Job job);

  ProfileFolder folder_;
  const bool quiet_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool next_is_first_ = true;
  bool leaving_ = false;

  // Only the thread touches these until it has ended.
  std::optional<HeapSnapshot> first_, last_;
  std::string first_profile_, last_profile_;
  std::shared_ptr<SymbolService> symbols_;
  std::thread thread_;
};

// A line on stderr, with the program's name in front.
void say(const std::string& line);

}  // namespace leakwatch
