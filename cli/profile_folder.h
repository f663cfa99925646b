// SPDX-License-Identifier: Apache-2.0
//
// The sink for files: DIR/heap.0001.pb.gz, DIR/heap.0002.pb.gz, ... A profile appears under its name only when it is
// whole and on the disk.
#pragma once

#include <string>
#include <vector>

namespace leakwatch {

class ProfileFolder {
 public:
  // Creates the folder (and its parents) with mode 0700 if it is missing. Throws Error when that fails, when it cannot
  // be written to, or when it already holds profiles (the message names -o).
  explicit ProfileFolder(std::string path);

  struct Written {
    std::string path;   // empty when it failed
    std::string error;  // a sentence, empty when it worked
  };
  // Writes `bytes` as `KIND.NNNN.pb.gz`: temporary file, fsync, rename, fsync of the folder. A failure (a full disk)
  // leaves nothing behind and is reported, not thrown. The number is used up only by a success.
  Written write(const std::string& kind, const std::string& bytes);

  // Leaves the next number of a kind out, so that numbers of several kinds stay those of one moment.
  void skip(const std::string& kind);

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  // next number per kind: see the source
  struct Counter {
    std::string kind;
    int next = 1;
  };
  std::string temporary_name(const std::string& kind) const;
  Counter& counter(const std::string& kind);
  std::vector<Counter> counters_;
};

}  // namespace leakwatch
