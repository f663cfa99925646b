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
#include <memory>
#include <optional>
#include <utility>

#include "cli/base/error.h"
#include "cli/base/own_limits.h"
#include "cli/base/refusal.h"
#include "cli/base/signals.h"
#include "cli/base/terminal.h"
#include "cli/join/attached_object.h"
#include "cli/join/orphans.h"
#include "cli/join/rendezvous.h"
#include "cli/join/sleeping_object.h"
#include "cli/join/wake_page.h"
#include "cli/process/process.h"
#include "cli/process/stat_file.h"
#include "cli/process/status_file.h"
#include "cli/watcher.h"

namespace leakwatch {

namespace {

// From the call back to the end of the beginning it takes some milliseconds.
constexpr std::chrono::seconds kBeginsWithin{1};
constexpr std::chrono::seconds kPatienceWithSleeper{1};
constexpr std::chrono::seconds kPatienceWithStranger{10};  // who may not sleep at all

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

// In a folder of the process, or where its wake page is when its own folders are closed to us.
SharedFolder folder_for(const AttachFacts& facts, const std::vector<WakePage>& pages) {
  if (!pages.empty() && access(fmt::format("/proc/{}/root/", facts.pid).c_str(), F_OK) != 0)
    return SharedFolder(pages.front().folder(), pages.front().named_folder());
  return SharedFolder(facts.pid, facts.user, facts.group, SharedFolder::Purpose::kSocket);
}

// What a process does not do by itself, as it allocates nothing, a thread can be sent to do. False when that is not
// permitted, or in vain.
bool end_by_thread(pid_t pid) {
  try {
    return AttachedObject(inspect_process(pid)).end().empty();
  } catch (const Error&) {
    return false;
  }
}

// A process that is closed to us has its executable told by a page that may be its own: by one whose name is right.
void complete(AttachFacts& facts, const std::vector<WakePage>& pages) {
  constexpr std::size_t kKernelKeeps = 15;  // of a process's name
  if (facts.executable.find('/') != std::string::npos) return;
  for (const WakePage& page : pages) {
    const std::string name = page.executable().substr(page.executable().rfind('/') + 1, kKernelKeeps);
    if (name != facts.executable) continue;
    facts.executable = page.executable();
    return;
  }
}

class Attachment {
 public:
  // `pages` is empty unless the process sleeps, or may.
  Attachment(const AttachOptions& options, const AttachFacts& facts, WakePages pages)
      : options_(options),
        facts_(facts),
        pidfd_(open_process(facts.pid)),
        rendezvous_(folder_for(facts, pages.pages)),
        watcher_(options, signals_, rendezvous_,
                 {facts.pid, pidfd_.number(), command_of(facts), facts.warnings, facts.executable}),
        is_certain_(pages.is_certain) {
    if (pages.pages.empty()) {
      object_ = std::make_unique<AttachedObject>(facts);
      return;
    }
    auto sleeping = std::make_unique<SleepingObject>(facts, std::move(pages.pages));
    sleeping_ = sleeping.get();
    object_ = std::move(sleeping);
  }

  int go() {
    object_->load();
    object_->begin(rendezvous_.path());
    began_ = Clock::now();
    count_duration();
    watcher_.watch({.on_signal =
                        [this](const signalfd_siginfo& info) {
                          if (info.ssi_signo != SIGUSR2) watcher_.leave();
                        },
                    .on_session = [this] { note_beginning(kBeginsWithin); },
                    .on_tend = [this] { tend(); },
                    .on_silence = silence()});
    leave();
    if (!failure_.empty()) throw Error(failure_, 126);
    return watcher_.conclude() ? 0 : kCannotExecute;
  }

 private:
  using Clock = Watcher::Clock;

  // Said when everything is recorded that is done from now on: whoever waits for the words may begin.
  void note_beginning(std::chrono::milliseconds patience) {
    const bool is_over = !object_->is_beginning(patience);
    failure_ = object_->failure();
    if (!failure_.empty() || is_announced_ || !is_over || object_->is_beginning({})) return;
    is_announced_ = true;
    watcher_.announce();
  }

  std::string silence() const {
    return fmt::format("process {} has not called back yet{}", facts_.pid,
                       sleeping_ == nullptr ? "" : ": it sleeps, and wakes with its next allocations");
  }

  void tend() {
    reap_orphans({facts_.pid});
    note_beginning({});
    if (failure_.empty() && sleeping_ != nullptr && sleeping_->is_beginning({})) hurry();
    if (!failure_.empty() || (until_ && Clock::now() >= *until_)) return watcher_.leave();
    object_->tend();
  }

  // It may allocate nothing for long. A thread can be sent in instead, where that is permitted.
  void hurry() {
    if (Clock::now() - began_ < kPatienceWithSleeper) return;
    if (refusal_.empty() && send_in()) return;
    if (!is_certain_ && Clock::now() - began_ > kPatienceWithStranger)
      failure_ = fmt::format(
          "{}. If it sleeps with leakwatch's object it has not allocated anything for {} s: then try "
          "again",
          refusal_, kPatienceWithStranger.count());
  }

  // False when it is refused before anything has changed.
  bool send_in() {
    std::unique_ptr<AttachedObject> object;
    try {
      const AttachFacts facts = inspect_process(facts_.pid);
      refuse_other_version(facts);
      object = std::make_unique<AttachedObject>(facts);
    } catch (const Error& error) {
      refusal_ = error.what();
      return false;
    }
    if (!sleeping_->withdraw()) return true;  // it wakes just now
    sleeping_ = nullptr;
    object_ = std::move(object);
    try {
      object_->load();
      object_->begin(rendezvous_.path());
      count_duration();
    } catch (const Error& error) {
      failure_ = error.what();  // nobody would wake it any more
    }
    return true;
  }

  void count_duration() {
    if (options_.duration) until_ = Clock::now() + *options_.duration;
  }

  // Before the last profile: while nobody takes what the process records, it must not record.
  void leave() {
    if (syscall(SYS_pidfd_send_signal, pidfd_.number(), 0, nullptr, 0) != 0 && errno == ESRCH) return;
    if (!failure_.empty()) return;
    std::string reason = object_->end();
    if (reason.empty() || (sleeping_ != nullptr && end_by_thread(facts_.pid))) return;
    // Threads that do little else than record are nearly always inside of our object, where they cannot be made to
    // call.
    if (watcher_.end_recording()) reason = object_->end();
    if (reason.empty()) return;
    if (sleeping_ != nullptr) return say(fmt::format("process {} {}", facts_.pid, reason));
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
  std::unique_ptr<ObjectControl> object_;
  SleepingObject* sleeping_ = nullptr;  // object_, as long as that is one
  const bool is_certain_;               // that it sleeps
  Clock::time_point began_;
  std::optional<Clock::time_point> until_;
  std::string failure_;
  bool is_announced_ = false;
  std::string refusal_;  // why no thread can be sent in
};

// A process that ends meanwhile, or becomes another program, fails at any step of it, for a reason that is none.
template <class Step>
int unless_it_ends(pid_t pid, Step step) {
  const std::string layout = memory_layout(pid);
  try {
    return step();
  } catch (const Error& error) {
    if (error.status() == kNotFound) throw;
    if (StatusFile::of_process(pid).has_ended())
      throw Error(fmt::format("process {} ended in the meantime", pid), kNotFound);
    if (!has_executed_since(pid, layout)) throw;
    throw Error(fmt::format("process {} became another program in the meantime: try again", pid), error.status());
  }
}

// `also` is what stands in the way of waking it.
AttachFacts inspect_awake_process(pid_t pid, const std::string& also) {
  try {
    return inspect_process(pid);
  } catch (const Error& error) {
    if (also.empty()) throw;
    throw Error(fmt::format("{} {}", also, error.what()), error.status());
  }
}

int join(const AttachOptions& options) {
  const OwnLimits limits;
  remove_abandoned_wake_pages();
  WakePages pages = find_wake_pages(options.pid);
  AttachFacts facts =
      pages.pages.empty() ? inspect_awake_process(options.pid, pages.obstacle) : inspect_sleeping_process(options.pid);
  complete(facts, pages.pages);
  refuse_other_version(facts);  // before a folder is made for its profiles
  return Attachment(options, facts, std::move(pages)).go();
}

int detach(pid_t pid) {
  remove_abandoned_wake_pages();
  WakePages pages = find_wake_pages(pid);
  if (!pages.pages.empty()) {
    const std::string reason = SleepingObject(inspect_sleeping_process(pid), std::move(pages.pages)).end();
    if (reason.empty()) return 0;
    pages.obstacle = fmt::format("It {}.", reason);
  }
  const AttachFacts facts = inspect_awake_process(pid, pages.obstacle);
  if (!facts.object) throw Error(fmt::format("process {} has nothing of leakwatch's", pid), 126);
  const std::string reason = AttachedObject(facts).end();
  if (!reason.empty()) throw Error(fmt::format("process {} was not detached from: {}", pid, reason), 126);
  return 0;
}

}  // namespace

int attach_to_process(const AttachOptions& options) {
  return unless_it_ends(options.pid, [&] { return join(options); });
}

int detach_from_process(const DetachOptions& options) {
  return unless_it_ends(options.pid, [&] { return detach(options.pid); });
}

}  // namespace leakwatch
