// SPDX-License-Identifier: Apache-2.0
//
// See the header. Six small files per thread, so they are read with three system calls each and no stream.

#include "cli/process/thread_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <memory>

#include "cli/base/descriptor.h"

namespace leakwatch {

namespace {

std::string_view take_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
  const std::size_t end = std::min(text.find_first_of(" \t\n"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

// Decimal, or hexadecimal after 0x.
template <typename Number>
bool take_number(std::string_view& text, Number& value) {
  std::string_view word = take_word(text);
  const bool is_hexadecimal = word.starts_with("0x");
  if (is_hexadecimal) word.remove_prefix(2);
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, is_hexadecimal ? 16 : 10);
  return error == std::errc() && end == word.data() + word.size();
}

std::string without_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::optional<std::uint64_t> field(std::string_view status, std::string_view name) {
  const std::size_t place = status.find(name);
  if (place == std::string_view::npos) return std::nullopt;
  status.remove_prefix(place + name.size());
  std::uint64_t value = 0;
  return take_number(status, value) ? std::optional(value) : std::nullopt;
}

}  // namespace

// "running", or "-1 sp pc", or "number six arguments sp pc".
ThreadPlace parse_place(std::string_view text) {
  ThreadPlace place;
  if (text.starts_with("running")) {
    place.kind = ThreadPlace::Kind::kRunning;
    return place;
  }
  if (!take_number(text, place.call)) return {};
  place.kind = place.call < 0 ? ThreadPlace::Kind::kBlocked : ThreadPlace::Kind::kInCall;
  if (place.kind == ThreadPlace::Kind::kInCall) {
    for (std::uint64_t& argument : place.arguments) {
      if (!take_number(text, argument)) return {};
    }
  }
  return take_number(text, place.stack_pointer) && take_number(text, place.pc) ? place : ThreadPlace{};
}

MachineRegisters registers_of(const ThreadPlace& place) {
  MachineRegisters registers;
  registers.set(MachineRegisters::kPc, place.pc);
  registers.set(MachineRegisters::kStackPointer, place.stack_pointer);
  if (place.kind != ThreadPlace::Kind::kInCall) return registers;
  for (std::size_t index = 0; index < place.arguments.size(); ++index) {
    registers.set(MachineRegisters::kCallArguments[index], place.arguments[index]);
  }
  return registers;
}

// "nanoseconds run, nanoseconds waited to run, times put on a processor". The second goes on while a thread is ready.
// A kernel that keeps no such statistics writes three zeros.
std::optional<RunCount> parse_schedstat(std::string_view text) {
  std::uint64_t run = 0, waited = 0, times = 0;
  if (!take_number(text, run) || !take_number(text, waited) || !take_number(text, times) || times == 0) return {};
  return RunCount{{run, times}};
}

std::optional<RunCount> parse_switches(std::string_view status) {
  // The name of the second contains that of the first, so the line's beginning belongs to it.
  const auto voluntary = field(status, "\nvoluntary_ctxt_switches:");
  const auto involuntary = field(status, "\nnonvoluntary_ctxt_switches:");
  if (!voluntary || !involuntary) return std::nullopt;
  return RunCount{{*voluntary, *involuntary}};
}

ThreadFiles::ThreadFiles(pid_t pid, pid_t tid) : folder_(fmt::format("/proc/{}/task/{}/", pid, tid)) {}

std::string ThreadFiles::read(std::string_view name, int* error) const {
  std::string path = folder_;
  path += name;
  std::string text(4096, '\0');
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t size = file.is_open() ? ::read(file.number(), text.data(), text.size()) : -1;
  if (size < 0 && error != nullptr) *error = errno;
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return text;
}

ThreadPlace ThreadFiles::place() const {
  int error = 0;
  ThreadPlace place = parse_place(read("syscall", &error));
  if (error == EACCES || error == EPERM) place.kind = ThreadPlace::Kind::kDenied;
  return place;
}

// The scheduler's statistics cost a tenth of the status, but not every kernel has them.
std::optional<RunCount> ThreadFiles::run_count() const {
  const auto count = parse_schedstat(read("schedstat"));
  return count ? count : parse_switches(read("status"));
}

std::optional<std::uint64_t> ThreadFiles::sleeps() const {
  const auto switches = parse_switches(read("status"));
  return switches ? std::optional(switches->values[0]) : std::nullopt;
}

std::string ThreadFiles::name() const {
  return without_newline(read("comm"));
}

std::string ThreadFiles::wait_channel() const {
  std::string channel = read("wchan");
  return channel == "0" ? std::string() : channel;
}

// "tid (name) state …", where the name may hold anything.
char ThreadFiles::state() const {
  const std::string text = read("stat");
  const std::size_t end = text.rfind(')');
  return end == std::string::npos || end + 2 >= text.size() ? '\0' : text[end + 2];
}

bool ThreadFiles::has_ended() const {
  const char letter = state();
  return letter == '\0' || letter == 'Z' || letter == 'X';
}

// The twenty-second word of stat, of which the name is the second and the state the third: ticks since the boot.
std::int64_t ThreadFiles::age_ns() const {
  const std::string text = read("stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::string_view rest = std::string_view(text).substr(name_end + 1);
  for (int number = 3; number < 22; ++number) take_word(rest);
  std::int64_t began = 0;
  timespec now{};
  if (!take_number(rest, began) || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t age = now.tv_sec * kSecond + now.tv_nsec - began * (kSecond / sysconf(_SC_CLK_TCK));
  return std::max<std::int64_t>(age, 0);
}

std::string ThreadFiles::descriptor_kind(std::uint64_t descriptor) const {
  std::array<char, 4096> target{};
  const std::string path = fmt::format("{}fd/{}", folder_, static_cast<std::uint32_t>(descriptor));
  const ssize_t size = readlink(path.c_str(), target.data(), target.size());
  const std::string_view name(target.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  constexpr std::string_view kAnonymous = "anon_inode:";
  if (name.empty()) return {};
  if (name.starts_with("/dev/pts/") || name.starts_with("/dev/tty")) return "terminal";
  if (name.starts_with("/dev/")) return "device";
  if (name.starts_with("/")) return "file";
  if (!name.starts_with(kAnonymous)) return std::string(name.substr(0, name.find(':')));  // "pipe:[4711]"
  std::string kind(name.substr(kAnonymous.size()));
  std::erase_if(kind, [](char c) { return c == '[' || c == ']'; });
  return kind;
}

std::vector<pid_t> list_threads(pid_t pid) {
  std::vector<pid_t> threads;
  const auto close = [](DIR* folder) { closedir(folder); };
  const std::unique_ptr<DIR, decltype(close)> folder(opendir(fmt::format("/proc/{}/task", pid).c_str()), close);
  if (folder == nullptr) return threads;
  while (const dirent* entry = readdir(folder.get())) {  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    std::string_view name = entry->d_name;
    pid_t tid = 0;
    if (take_number(name, tid)) threads.push_back(tid);
  }
  std::sort(threads.begin(), threads.end());
  return threads;
}

pid_t living_thread(pid_t pid) {
  if (!ThreadFiles(pid, pid).has_ended()) return pid;
  const std::vector<pid_t> threads = list_threads(pid);
  const auto living =
      std::find_if(threads.begin(), threads.end(), [pid](pid_t tid) { return !ThreadFiles(pid, tid).has_ended(); });
  return living == threads.end() ? 0 : *living;
}

}  // namespace leakwatch
