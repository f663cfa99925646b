// SPDX-License-Identifier: Apache-2.0
//
// attach-listener [--exact] [--last] FOLDER COMMAND...: runs a program that attaches itself
// (tests/targets/attach_self.h) and is the leakwatch that it calls, at the socket that ATTACH_SOCKET names. One heap
// profile for each session, written when that has ended: FOLDER/heap.0001.pb.gz and so on; with --last, only that of
// the last one. Ends with the program's status.

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>

#include "cli/base/descriptor.h"
#include "cli/join/rendezvous.h"
#include "cli/profile/heap_profile.h"
#include "cli/report/profile_folder.h"
#include "cli/session/session.h"
#include "cli/session/watch.h"
#include "symbolize/symbol_service.h"

namespace {

using namespace leakwatch;

struct Settings {
  bool exact = false;
  bool last_only = false;
  std::string folder;
  char** command = nullptr;
};

Settings parse(char** arguments) {
  Settings settings;
  for (++arguments; *arguments != nullptr && std::string_view(*arguments).starts_with("--"); ++arguments) {
    settings.exact |= std::string_view(*arguments) == "--exact";
    settings.last_only |= std::string_view(*arguments) == "--last";
  }
  if (*arguments != nullptr) settings.folder = *arguments++;
  settings.command = arguments;
  return settings;
}

class Listener {
 public:
  explicit Listener(Settings settings) : settings_(std::move(settings)), folder_(settings_.folder), watch_({}) {}

  int run() {
    const pid_t child = fork();
    if (child == 0) {
      setenv("ATTACH_SOCKET", rendezvous_.path().c_str(), 1);
      execv(settings_.command[0], settings_.command);
      _exit(127);
    }
    const Descriptor pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
    bool has_ended = false;
    while (!has_ended) {
      pollfd events[] = {{pidfd.number(), POLLIN, 0}, {rendezvous_.descriptor(), POLLIN, 0}};
      poll(events, 2, 20);
      if ((events[1].revents & POLLIN) != 0) welcome(child);
      if (header_ != nullptr && header_->ended.load(std::memory_order_acquire) != 0) end_session();
      has_ended = (events[0].revents & POLLIN) != 0;
    }
    end_session();
    if (settings_.last_only) write_profile();
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  void welcome(pid_t child) {
    const std::uint64_t interval = settings_.exact ? 1 : 64 * 1024;
    auto guest = rendezvous_.accept(child, {interval, 128, 1, best_clock()});
    if (!guest || !guest->error.empty()) return;
    end_session();
    if (!symbols_) symbols_ = std::make_shared<SymbolService>(SymbolizerOptions{guest->facts.root, child, {}});
    header_ = &guest->region->header();
    session_ = std::make_shared<Session>(std::move(guest->region), guest->facts, std::vector<std::string>());
    watch_.begin(session_, symbols_);
  }

  void end_session() {
    if (header_ == nullptr) return;
    session_->finish(leakwatch::Session::End::kProcess);
    header_ = nullptr;
    if (!settings_.last_only) write_profile();
  }

  void write_profile() {
    if (!session_) return;
    const HeapSnapshot snapshot = session_->snapshot();
    const Moment<HeapSnapshot> moment = watch_.heap();
    const auto written = folder_.write("heap", build_heap_profile(snapshot, moment.symbols, HeapProfileKind::kHeap));
    if (written.path.empty()) fmt::print(stderr, "attach-listener: {}\n", written.error);
  }

  const Settings settings_;
  Rendezvous rendezvous_;
  ProfileFolder folder_;
  Watch watch_;
  std::shared_ptr<SymbolService> symbols_;
  std::shared_ptr<Session> session_;
  shared::Header* header_ = nullptr;  // of the session that runs
};

}  // namespace

int main(int, char** arguments) {
  try {
    return Listener(parse(arguments)).run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "attach-listener: {}\n", error.what());
    return 125;
  }
}
