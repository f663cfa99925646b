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

#include "cli/report/profile_folder.h"
#include "cli/session/profile_source.h"

namespace leakwatch {

class ProfileWriter {
 public:
  // `quiet`: only errors are printed.
  ProfileWriter(ProfileFolder folder, bool quiet);
  ~ProfileWriter();
  ProfileWriter(const ProfileWriter&) = delete;
  ProfileWriter& operator=(const ProfileWriter&) = delete;

  const std::string& folder() const { return folder_.path(); }

  // What was seen at one moment. Changes count from the first one of the same program.
  struct Entry {
    Moment<HeapSnapshot> heap;
    Moment<ThreadSnapshot> threads;
    std::chrono::duration<double> age;  // since the program started
    bool is_last = false;               // of this program: never left out
  };

  // Queues the entry and returns. When several wait already, it is left out unless it is a last one, and that is said.
  void write(Entry entry);

  // Waits until all is written. The final report, empty when there was no snapshot.
  std::string finish();

 private:
  void run();
  void process(const Entry& entry);

  ProfileFolder folder_;
  const bool quiet_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> entries_;
  bool leaving_ = false;

  // Only the thread touches these until it has ended.
  struct Written {
    Entry entry;
    std::string path;  // of the heap profile, empty when it could not be written
  };

  std::string write_files(const Entry& entry);
  void write_beside(const std::string& kind, const std::string& bytes, const std::string& ending = "pb.gz");
  std::optional<Written> first_, last_;
  std::optional<Written> last_alive_;  // the last one taken while the program ran
  std::thread thread_;
};

}  // namespace leakwatch
