// SPDX-License-Identifier: Apache-2.0
//
// See the header. A file in a folder for all may have been put there by anybody: it must belong to us, to the process's
// user or to root, be closed to others, and have the right shape.

#include "cli/join/wake_page.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "cli/base/error.h"
#include "cli/process/process.h"
#include "cli/process/shared_folder.h"
#include "cli/process/status_file.h"
#include "cli/process/thread_files.h"
#include "proto/handshake.h"
#include "proto/shared_memory.h"
#include "symbolize/process_maps.h"

namespace leakwatch {

namespace {

using wake::Call;
using wake::Page;

constexpr auto kPatienceForOthers = std::chrono::seconds(5);
constexpr auto kBetweenAttempts = std::chrono::milliseconds(1);

bool is_name(std::string_view name) {
  return name.starts_with(wake::kNamePrefix);
}

std::uint32_t read_word(int file, std::size_t offset) {
  std::uint32_t word = 0;
  return pread(file, &word, sizeof word, static_cast<off_t>(offset)) == sizeof word ? word : 0;
}

void write_bytes(int file, std::size_t offset, const void* bytes, std::size_t size) {
  if (pwrite(file, bytes, size, static_cast<off_t>(offset)) != static_cast<ssize_t>(size))
    throw Error(fmt::format("cannot write to a wake page: {}", std::strerror(errno)));
}

void write_word(int file, std::size_t offset, std::uint32_t word) {
  write_bytes(file, offset, &word, sizeof word);
}

std::size_t offset_of(std::size_t place) {
  return offsetof(Page, calls) + place * sizeof(Call);
}

// F_WRLCK or F_UNLCK; false when somebody else has it.
bool try_lock(int file, short kind, std::size_t offset, std::size_t size) {
  struct flock bytes {};
  bytes.l_type = kind;
  bytes.l_whence = SEEK_SET;
  bytes.l_start = static_cast<off_t>(offset);
  bytes.l_len = static_cast<off_t>(size);
  return fcntl(file, F_OFD_SETLK, &bytes) == 0;
}

// For as long as somebody writes a call.
class NumberLock {
 public:
  explicit NumberLock(int file) : file_(file) {
    const auto give_up = std::chrono::steady_clock::now() + kPatienceForOthers;
    while (!try_lock(file_, F_WRLCK, offsetof(Page, last_number), sizeof(std::uint32_t))) {
      if (std::chrono::steady_clock::now() >= give_up)
        throw Error(
            "another leakwatch has stopped in the middle of calling a process by the same wake page. Continue "
            "or end that one");
      std::this_thread::sleep_for(kBetweenAttempts);
    }
  }
  ~NumberLock() { try_lock(file_, F_UNLCK, offsetof(Page, last_number), sizeof(std::uint32_t)); }
  NumberLock(const NumberLock&) = delete;
  NumberLock& operator=(const NumberLock&) = delete;

 private:
  int file_;
};

std::vector<std::string> names_in(int folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/self/fd/{}", folder), error)) {
    const std::string name = entry.path().filename();
    if (is_name(name)) names.push_back(name);
  }
  return names;
}

// Nobody has it mapped any more. `file` is opened anew for this: the lock goes with it.
bool is_abandoned(int folder, const std::string& name) {
  const Descriptor file(openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return file.is_open() && flock(file.number(), LOCK_EX | LOCK_NB) == 0;
}

bool is_trustworthy(int file, uid_t user) {
  struct stat status {};
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != wake::kBytes) return false;
  const uid_t owner = status.st_uid;
  return (owner == geteuid() || owner == user || owner == 0) && (status.st_mode & 077U) == 0 && status.st_nlink == 1;
}

struct Search {
  uid_t user = 0;                   // of the process
  std::optional<std::string> name;  // of its page, when that is known
  WakePages found;
  std::vector<std::pair<dev_t, ino_t>> seen;  // a folder may be reached by two ways
};

void look_at(Search& search, int folder, const std::string& name) {
  Descriptor file(openat(folder, name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.is_open()) {
    if (search.name && errno != ENOENT)
      search.found.obstacle = fmt::format(
          "It sleeps with leakwatch's object, and its wake page {} cannot be opened: "
          "{}. Run leakwatch as the user that started it.",
          name, std::strerror(errno));
    return;
  }
  Page page{};
  if (!is_trustworthy(file.number(), search.user) || is_abandoned(folder, name) ||
      pread(file.number(), &page, sizeof page, 0) != sizeof page || page.magic != wake::kMagic)
    return;
  if (page.version != wake::kVersion || page.shared_memory_version != shared::kVersion ||
      page.handshake_version != handshake::kVersion) {
    search.found.obstacle =
        "It sleeps with the object of another version of leakwatch. Use the leakwatch that it came "
        "with, or restart the program.";
    return;
  }
  const std::string named(page.folder, strnlen(page.folder, sizeof page.folder));
  const std::string executable(page.executable, strnlen(page.executable, sizeof page.executable));
  search.found.pages.emplace_back(Descriptor(fcntl(folder, F_DUPFD_CLOEXEC, 0)), std::move(file), named, executable);
}

void look_in(Search& search, const Descriptor& folder) {
  struct stat status {};
  if (!folder.is_open() || fstat(folder.number(), &status) != 0) return;
  const std::pair<dev_t, ino_t> identity{status.st_dev, status.st_ino};
  if (std::find(search.seen.begin(), search.seen.end(), identity) != search.seen.end()) return;
  search.seen.push_back(identity);
  if (search.name) return look_at(search, folder.number(), *search.name);
  for (const std::string& name : names_in(folder.number())) look_at(search, folder.number(), name);
}

// The process's own view comes first, where we may have it.
void look_everywhere(Search& search, pid_t pid) {
  for (const std::string& root : {fmt::format("/proc/{}/root", pid), std::string("/")}) {
    const Descriptor top(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!top.is_open()) continue;
    for (const char* folder : wake::kFolders)
      look_in(search, Descriptor(open_as(top.number(), folder, O_RDONLY | O_DIRECTORY, geteuid(), getegid())));
  }
}

// The name of the page that the process has mapped; empty when it has none.
std::string mapped_name(const std::vector<MemoryMapping>& mappings) {
  for (const MemoryMapping& mapping : mappings) {
    const std::string name = std::filesystem::path(mapping.name).filename();
    if (is_name(name)) return name.substr(0, name.find(' '));
  }
  return {};
}

}  // namespace

// Where others call at the same time, one takes another place. Places of callers that have gone are free: at first
// that of the same process, then those whose call was answered, and at last those whose process never came.
bool WakePage::is_claimable(std::size_t place, std::uint32_t process, int pass) const {
  const int file = file_.number();
  const std::size_t at = offset_of(place);
  const std::uint32_t number = read_word(file, at + offsetof(Call, number));
  if (pass == 0) return read_word(file, at + offsetof(Call, process)) == process;
  return pass == 2 || number == 0 || number == read_word(file, at + offsetof(Call, answered));
}

void WakePage::claim_place(std::uint32_t process) {
  for (int pass = 0; pass < 3; ++pass) {
    for (std::size_t place = 0; place < wake::kCalls; ++place) {
      if (!try_lock(file_.number(), F_WRLCK, offset_of(place), sizeof(Call))) continue;
      if (is_claimable(place, process, pass)) {
        place_ = place;
        return;
      }
      try_lock(file_.number(), F_UNLCK, offset_of(place), sizeof(Call));
    }
  }
  throw Error("too many others are calling processes by the same wake page just now. Try again when they are through");
}

void WakePage::call(std::uint32_t process, wake::Action action, const std::string& socket) {
  std::array<char, wake::kPathBytes> path{};
  if (socket.size() >= path.size()) throw Error(fmt::format("the path {} is too long for a socket", socket));
  std::copy(socket.begin(), socket.end(), path.begin());
  if (!place_) claim_place(process);
  const int file = file_.number();
  const std::size_t at = offset_of(*place_);
  const NumberLock lock(file);
  number_ = new_number();
  write_word(file, at + offsetof(Call, number), 0);
  write_word(file, at + offsetof(Call, process), process);
  write_word(file, at + offsetof(Call, action), static_cast<std::uint32_t>(action));
  write_bytes(file, at + offsetof(Call, socket), path.data(), path.size());
  write_word(file, at + offsetof(Call, number), number_);
  write_word(file, offsetof(Page, last_number), number_);
}

void WakePage::call_again() {
  const NumberLock lock(file_.number());
  write_word(file_.number(), offsetof(Page, last_number), new_number());
}

std::uint32_t WakePage::new_number() const {
  return std::max(read_word(file_.number(), offsetof(Page, last_number)) + 1, 1U);
}

void WakePage::silence() {
  if (place_) write_word(file_.number(), offset_of(*place_) + offsetof(Call, number), 0);
}

void WakePage::withdraw() {
  if (!place_) return;
  silence();
  try_lock(file_.number(), F_UNLCK, offset_of(*place_), sizeof(Call));
  place_.reset();
}

std::uint32_t WakePage::word(std::size_t member) const {
  return place_ ? read_word(file_.number(), offset_of(*place_) + member) : 0;
}

bool WakePage::is_taken() const {
  return number_ != 0 && word(offsetof(Call, taken)) == number_;
}

std::optional<attach::Outcome> WakePage::answer() const {
  if (number_ == 0 || word(offsetof(Call, answered)) != number_) return {};
  return static_cast<attach::Outcome>(word(offsetof(Call, outcome)));
}

WakePages find_wake_pages(pid_t pid) {
  const StatusFile status = StatusFile::of_process(pid);
  if (status.is_empty()) return {};
  Search search{status.file_identity("Uid"), {}, {}, {}};
  const std::string maps = read_maps_text(living_thread(pid));
  if (!maps.empty()) {
    search.name = mapped_name(parse_maps(maps));
    if (search.name->empty()) return {};
    search.found.is_certain = true;
  } else if (search.user != geteuid() && geteuid() != 0) {
    return {};
  }
  look_everywhere(search, pid);
  if (search.name && search.found.pages.empty() && search.found.obstacle.empty())
    search.found.obstacle = fmt::format(
        "It sleeps with leakwatch's object, and its wake page {} was removed or is "
        "out of reach. Restart the program.",
        *search.name);
  return std::move(search.found);
}

void remove_abandoned_wake_pages() {
  for (const char* path : wake::kFolders) {
    const Descriptor folder(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.is_open()) continue;
    for (const std::string& name : names_in(folder.number())) {
      struct stat status {};
      const bool is_ours = fstatat(folder.number(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                           S_ISREG(status.st_mode) && (status.st_uid == geteuid() || geteuid() == 0);
      if (is_ours && is_abandoned(folder.number(), name)) unlinkat(folder.number(), name.c_str(), 0);
    }
  }
}

}  // namespace leakwatch
