// SPDX-License-Identifier: Apache-2.0
//
// The sink for files: DIR/heap.0001.pb.gz, DIR/heap.0002.pb.gz, ... A file appears under its name only when it is whole
// and on the disk.
#pragma once

#include <map>
#include <string>
#include <utility>

namespace leakwatch {

class ProfileFolder {
 public:
  // Creates the folder (and its parents) with mode 0700 if it is missing. Throws Error when that fails, when it cannot
  // be written to, or when it already holds profiles (the message names -o).
  explicit ProfileFolder(std::string path);

  // A new or empty folder of this name, or where there is another, as process ids come back, PATH-2, PATH-3, ... Throws
  // as above.
  static ProfileFolder make_new(const std::string& path);

  struct Written {
    std::string path;   // empty when it failed
    std::string error;  // a sentence, empty when it worked
  };
  // Writes `bytes` as `KIND.NNNN.ENDING`: temporary file, fsync, rename, fsync of the folder. A failure (a full disk)
  // leaves nothing behind and is reported, not thrown. The number is used up only by a success.
  Written write(const std::string& kind, const std::string& bytes, const std::string& ending = "pb.gz");

  // Leaves the next number of a kind and ending out, so that numbers of several kinds stay those of one moment.
  void skip(const std::string& kind, const std::string& ending = "pb.gz");

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::string temporary_name(const std::string& kind) const;
  int& next_number(const std::string& kind, const std::string& ending);
  std::map<std::pair<std::string, std::string>, int> next_numbers_;  // by kind and ending, from 1 on
};

}  // namespace leakwatch
