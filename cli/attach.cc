// SPDX-License-Identifier: Apache-2.0
//
// See the header. All that can fail on our side comes before the process is touched.

#include "cli/attach.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include "cli/attached_object.h"
#include "cli/error.h"
#include "cli/process.h"
#include "cli/refusal.h"
#include "cli/rendezvous.h"
#include "cli/signals.h"
#include "cli/status_file.h"
#include "cli/terminal.h"
#include "cli/watcher.h"

namespace leakwatch {

namespace {

// From the call back to the end of the beginning it takes some milliseconds.
constexpr std::chrono::seconds kBeginsWithin{1};

Descriptor open_process(pid_t pid) {
  Descriptor pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.is_open()) throw Error(fmt::format("cannot follow process {}: {}", pid, std::strerror(errno)), 127);
  return pidfd;
}

// A process may have overwritten its arguments (nginx, postgres): its name is that of the executable then.
std::vector<std::string> command_of(const AttachFacts& facts) {
  std::vector<std::string> words = command_words(facts.pid);
  if (words.empty()) words.emplace_back();
  words[0] = facts.executable;
  return words;
}

class Attachment {
 public:
  Attachment(const AttachOptions& options, const AttachFacts& facts)
      : options_(options),
        facts_(facts),
        pidfd_(open_process(facts.pid)),
        rendezvous_(SharedFolder(facts.pid, facts.user, facts.group, SharedFolder::Purpose::kSocket)),
        watcher_(options, signals_, rendezvous_, {facts.pid, pidfd_.number(), command_of(facts), facts.warnings}),
        object_(facts) {}

  int go() {
    object_.load();
    object_.begin(rendezvous_.path());
    if (options_.duration) until_ = Watcher::Clock::now() + *options_.duration;
    watcher_.watch({.on_signal =
                        [this](const signalfd_siginfo& info) {
                          if (info.ssi_signo != SIGUSR2) watcher_.leave();
                        },
                    .on_session = [this] { note_beginning(kBeginsWithin); },
                    .on_tend = [this] { tend(); },
                    .on_silence = fmt::format("process {} has not called back yet", facts_.pid)});
    leave();
    if (!failure_.empty()) throw Error(failure_, 126);
    watcher_.conclude();
    return 0;
  }

 private:
  // Said when everything is recorded that is done from now on: whoever waits for the words may begin.
  void note_beginning(std::chrono::milliseconds patience) {
    const bool is_over = !object_.is_beginning(patience);
    failure_ = object_.failure();
    if (!failure_.empty() || is_announced_ || !is_over || object_.is_beginning({})) return;
    is_announced_ = true;
    watcher_.announce();
  }

  void tend() {
    note_beginning({});
    if (!failure_.empty() || (until_ && Watcher::Clock::now() >= *until_)) return watcher_.leave();
    object_.follow_modules();
  }

  // Before the last profile: while nobody takes what the process records, it must not record.
  void leave() {
    if (kill(facts_.pid, 0) != 0 && errno == ESRCH) return;
    const std::string reason = failure_.empty() ? object_.end() : std::string();
    if (!reason.empty())
      say(
          fmt::format("process {} could not be left as it was: {}. Its hooks do nothing from now on; try 'leakwatch "
                      "detach {}'",
                      facts_.pid, reason, facts_.pid));
  }

  const AttachOptions& options_;
  const AttachFacts facts_;
  Signals signals_;  // first of all that has threads: they inherit the mask
  Descriptor pidfd_;
  Rendezvous rendezvous_;
  Watcher watcher_;
  AttachedObject object_;
  std::optional<Watcher::Clock::time_point> until_;
  std::string failure_;
  bool is_announced_ = false;
};

// A process that ends meanwhile fails at any step of it, for a reason that is none.
template <class Step>
int unless_it_ends(pid_t pid, Step step) {
  try {
    return step();
  } catch (const Error& error) {
    if (error.status() == kNotFound || !StatusFile::of_process(pid).has_ended()) throw;
    throw Error(fmt::format("process {} ended in the meantime", pid), kNotFound);
  }
}

int detach(pid_t pid) {
  const AttachFacts facts = inspect_process(pid);
  if (!facts.object) throw Error(fmt::format("process {} has nothing of leakwatch's", pid), 126);
  const std::string reason = AttachedObject(facts).end();
  if (!reason.empty()) throw Error(fmt::format("process {} was not detached from: {}", pid, reason), 126);
  return 0;
}

}  // namespace

int attach_to_process(const AttachOptions& options) {
  return unless_it_ends(options.pid, [&] { return Attachment(options, inspect_process(options.pid)).go(); });
}

int detach_from_process(const DetachOptions& options) {
  return unless_it_ends(options.pid, [&] { return detach(options.pid); });
}

}  // namespace leakwatch
