// SPDX-License-Identifier: Apache-2.0
//
// The sink for files on a real file system: what it refuses, what it writes, and what is left after a write that could
// not work. A full disk is made twice: by a limit on the size of files, which anybody may set, and by a file system of
// a few pages, which takes root.
#include "cli/report/profile_folder.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "cli/base/error.h"
#include "tests/unit/catch.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {
namespace {

namespace fs = std::filesystem;

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

void touch(const fs::path& path) {
  std::ofstream(path) << "x";
}

// The message of the Error that opening the folder ends in, empty when it works.
std::string refusal(const fs::path& path) {
  try {
    const ProfileFolder folder(path);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

bool contains(const std::string& whole, const std::string& part) {
  return whole.find(part) != std::string::npos;
}

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{bytes, previous_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit previous_{};
  void (*previous_handler_)(int) = SIG_DFL;
};

class TinyFileSystem {
 public:
  explicit TinyFileSystem(const fs::path& path) : path_(path) {
    is_mounted_ = mount("none", path_.c_str(), "tmpfs", 0, "size=64k") == 0;
  }
  ~TinyFileSystem() {
    if (is_mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  TinyFileSystem(const TinyFileSystem&) = delete;
  TinyFileSystem& operator=(const TinyFileSystem&) = delete;

  bool is_mounted() const { return is_mounted_; }

 private:
  fs::path path_;
  bool is_mounted_ = false;
};

}  // namespace

TEST_CASE("a folder that is to be new leaves those of its name alone") {
  const TemporaryFolder above;
  const std::string name = above.path() / "leakwatch-service-7";
  CHECK(ProfileFolder::make_new(name).path() == name);
  CHECK(mode_of(name) == 0700);
  touch(fs::path(name) / "heap.0001.pb.gz");
  CHECK(ProfileFolder::make_new(name).path() == name + "-2");
  CHECK(ProfileFolder::make_new(name).path() == name + "-2");  // nothing is in it yet
  touch(fs::path(name + "-2") / "heap.0001.pb.gz");
  touch(name + "-3");
  ProfileFolder folder = ProfileFolder::make_new(name);
  CHECK(folder.path() == name + "-4");
  CHECK(folder.write("heap", "profile").path == name + "-4/heap.0001.pb.gz");
  CHECK(names_in(name) == std::set<std::string>{"heap.0001.pb.gz"});
}

TEST_CASE("a new folder that cannot be made is an error") {
  CHECK_THROWS_AS(ProfileFolder::make_new("/proc/leakwatch-service-7"), Error);
}

TEST_CASE("a folder is made with its parents, for its owner alone") {
  const TemporaryFolder temporary;
  const ProfileFolder folder(temporary.path() / "a/b/c///");
  CHECK(folder.path() == temporary.path() / "a/b/c");
  for (const char* each : {"a", "a/b", "a/b/c"}) CHECK(mode_of(temporary.path() / each) == 0700);
}

TEST_CASE("a relative folder works, and so does one that is there") {
  const TemporaryFolder temporary;
  const fs::path before = fs::current_path();
  fs::current_path(temporary.path());
  ProfileFolder made("out");
  const ProfileFolder::Written written = made.write("heap", "bytes");
  const ProfileFolder here(".");
  fs::current_path(before);
  CHECK(written.path == "out/heap.0001.pb.gz");
  CHECK(contents(temporary.path() / "out/heap.0001.pb.gz") == "bytes");
}

TEST_CASE("names count from one, each kind for itself") {
  const TemporaryFolder temporary;
  ProfileFolder folder(temporary.path());
  CHECK(folder.write("heap", "first").path == temporary.path() / "heap.0001.pb.gz");
  CHECK(folder.write("heap", "second").path == temporary.path() / "heap.0002.pb.gz");
  CHECK(folder.write("threads", "").path == temporary.path() / "threads.0001.pb.gz");
  CHECK(folder.write("heap", std::string(1 << 20, 'z')).error.empty());
  CHECK(names_in(temporary.path()) ==
        std::set<std::string>{"heap.0001.pb.gz", "heap.0002.pb.gz", "heap.0003.pb.gz", "threads.0001.pb.gz"});
  CHECK(contents(temporary.path() / "heap.0002.pb.gz") == "second");
  CHECK(contents(temporary.path() / "heap.0003.pb.gz").size() == 1 << 20);
  CHECK(mode_of(temporary.path() / "heap.0001.pb.gz") == 0600);
}

TEST_CASE("a text of the same kind has numbers of its own, and keeps the folder as a profile does") {
  const TemporaryFolder temporary;
  ProfileFolder folder(temporary.path());
  CHECK(folder.write("threads", "first", "txt").path == temporary.path() / "threads.0001.txt");
  CHECK(folder.write("threads", "first").path == temporary.path() / "threads.0001.pb.gz");
  folder.skip("threads");
  CHECK(folder.write("threads", "second", "txt").path == temporary.path() / "threads.0002.txt");
  CHECK(folder.write("threads", "third").path == temporary.path() / "threads.0003.pb.gz");
  for (const char* name : {"threads.0001.pb.gz", "threads.0003.pb.gz"}) fs::remove(temporary.path() / name);
  CHECK(contains(refusal(temporary.path()), "threads.0001.txt"));
}

TEST_CASE("a folder with profiles is refused, and the message knows a way out") {
  const TemporaryFolder temporary;
  touch(temporary.path() / "heap.0007.pb.gz");
  const std::string message = refusal(temporary.path());
  CHECK(contains(message, "heap.0007.pb.gz"));
  CHECK(contains(message, "-o"));
  CHECK(contains(message, temporary.path().string()));
}

TEST_CASE("other files are no reason to refuse a folder") {
  const TemporaryFolder temporary;
  for (const char* name : {"cpu.pb.gz", "heap.txt", "pb.gz", ".pb.gz", ".heap.17.part"}) {
    touch(temporary.path() / name);
  }
  CHECK(refusal(temporary.path()).empty());
  touch(temporary.path() / "threads.0001.pb.gz");
  CHECK_FALSE(refusal(temporary.path()).empty());
}

TEST_CASE("what cannot be a folder is refused in words") {
  const TemporaryFolder temporary;
  touch(temporary.path() / "file");
  CHECK(contains(refusal(temporary.path() / "file"), "-o"));
  CHECK(contains(refusal(temporary.path() / "file/below"), "-o"));
  CHECK(contains(refusal(""), "-o"));
  CHECK(contains(refusal("/proc/leakwatch"), "-o"));
}

TEST_CASE("a folder that may not be written to is refused") {
  if (geteuid() == 0) {
    WARN("root may write everywhere: not tried");
    return;
  }
  const TemporaryFolder temporary;
  fs::permissions(temporary.path(), fs::perms::owner_read | fs::perms::owner_exec);
  const std::string message = refusal(temporary.path());
  fs::permissions(temporary.path(), fs::perms::owner_all);
  CHECK(contains(message, "-o"));
}

TEST_CASE("a write that fails leaves nothing, costs no number, and is told") {
  const TemporaryFolder temporary;
  ProfileFolder folder(temporary.path());
  REQUIRE(folder.write("heap", "first").error.empty());
  ProfileFolder::Written failed;
  {
    const FileSizeLimit limit(4096);
    failed = folder.write("heap", std::string(10'000, 'x'));
  }
  CHECK(failed.path.empty());
  CHECK(contains(failed.error, "heap.0002.pb.gz was not written; the session goes on"));
  CHECK(contains(failed.error, std::strerror(EFBIG)));
  CHECK(names_in(temporary.path()) == std::set<std::string>{"heap.0001.pb.gz"});
  CHECK(folder.write("heap", "second").path == temporary.path() / "heap.0002.pb.gz");
}

TEST_CASE("a full disk costs one profile") {
  const TemporaryFolder temporary;
  const TinyFileSystem tiny(temporary.path());
  if (!tiny.is_mounted()) {
    WARN("no file system could be mounted (that takes root): a full disk was not tried");
    return;
  }
  ProfileFolder folder(temporary.path());
  CHECK(folder.write("heap", std::string(20'000, '1')).error.empty());
  CHECK(folder.write("heap", std::string(20'000, '2')).error.empty());
  const ProfileFolder::Written failed = folder.write("heap", std::string(40'000, '3'));
  CHECK(failed.path.empty());
  CHECK(failed.error ==
        "no space left on " + temporary.path().string() + ": heap.0003.pb.gz was not written; the session goes on");
  CHECK(names_in(temporary.path()) == std::set<std::string>{"heap.0001.pb.gz", "heap.0002.pb.gz"});
  CHECK(contents(temporary.path() / "heap.0002.pb.gz") == std::string(20'000, '2'));
  CHECK(folder.write("heap", "4").path == temporary.path() / "heap.0003.pb.gz");
}

TEST_CASE("a folder that vanished is told, and may come back") {
  const TemporaryFolder temporary;
  ProfileFolder folder(temporary.path() / "out");
  fs::remove_all(temporary.path() / "out");
  CHECK(contains(folder.write("heap", "x").error, "the session goes on"));
  fs::create_directory(temporary.path() / "out");
  CHECK(folder.write("heap", "x").path == temporary.path() / "out/heap.0001.pb.gz");
}

TEST_CASE("a profile of somebody else is never overwritten") {
  const TemporaryFolder temporary;
  ProfileFolder folder(temporary.path());
  std::ofstream(temporary.path() / "heap.0001.pb.gz") << "theirs";
  CHECK(contains(folder.write("heap", "ours").error, "somebody else"));
  CHECK(contents(temporary.path() / "heap.0001.pb.gz") == "theirs");
  CHECK(names_in(temporary.path()).size() == 1);
}

}  // namespace leakwatch
