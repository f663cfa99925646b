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
#include "cli/thread_snapshot.h"
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

  // What was seen at one moment.
  struct Moment {
    HeapSnapshot heap;
    ThreadSnapshot threads;
    std::chrono::duration<double> age;  // since the program started
  };

  // Queues the moment and returns. When several wait already, it is left out, and that is said.
  void write(Moment moment, std::shared_ptr<SymbolService> symbols);

  // Waits until all is written. The final report, empty when there was no snapshot.
  std::string finish();

 private:
  struct Job {
    Moment moment;
    std::shared_ptr<SymbolService> symbols;
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
  struct Written {
    Moment moment;
    std::string path;  // of the heap profile, empty when it could not be written
  };

  std::string write_files(const Moment& moment);
  std::optional<Written> first_, last_;
  std::optional<Written> last_alive_;  // the last one taken while the program ran
  std::shared_ptr<SymbolService> symbols_;
  std::thread thread_;
};

// A line on stderr, with the program's name in front.
void say(const std::string& line);

}  // namespace leakwatch
