// SPDX-License-Identifier: Apache-2.0
//
// The life of one watched program, as one loop over four things that can happen: it calls us, the clock strikes, a
// signal comes, it ends. After the start nothing here may hurt the program: what goes wrong is said and passed over.

#include "cli/run.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "cli/error.h"
#include "cli/group_signals.h"
#include "cli/history.h"
#include "cli/http_sink.h"
#include "cli/launch.h"
#include "cli/preflight.h"
#include "cli/preload_object.h"
#include "cli/process.h"
#include "cli/profile_folder.h"
#include "cli/profile_writer.h"
#include "cli/rendezvous.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/terminal.h"
#include "cli/watch.h"
#include "symbolize/symbol_service.h"

namespace leakwatch {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kTendEvery{1};
constexpr std::chrono::seconds kExpectHelloWithin{10};

// The signals that we handle ourselves are blocked everywhere and read from a descriptor.
class Signals {
 public:
  Signals() {
    sigset_t ours;
    sigemptyset(&ours);
    for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&ours, number);
    pthread_sigmask(SIG_BLOCK, &ours, &before_);
    // A stderr whose reader left and a limit on file sizes are errors of a write, not reasons to die. Blocked rather
    // than ignored: the program would inherit that.
    sigset_t never;
    sigemptyset(&never);
    sigaddset(&never, SIGPIPE);
    sigaddset(&never, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &never, nullptr);
    descriptor_ = Descriptor(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!descriptor_.is_open()) throw Error(fmt::format("cannot make a signalfd: {}", std::strerror(errno)));
  }
  const sigset_t& before() const { return before_; }
  int descriptor() const { return descriptor_.number(); }
  std::optional<signalfd_siginfo> next() const {
    signalfd_siginfo info{};
    if (read(descriptor_.number(), &info, sizeof info) != sizeof info) return std::nullopt;
    return info;
  }

 private:
  sigset_t before_{};
  Descriptor descriptor_;
};

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options),
        preflight_(inspect_command(options.command[0])),
        child_(plan(), signals_.before()),
        writer_(ProfileFolder(folder_path()), options.quiet),
        watch_(options.command) {}

  int go() {
    serve();
    announce();
    child_.start();
    started_ = next_profile_ = next_tend_ = Clock::now();
    next_profile_ += options_.interval;
    while (!has_ended_) without_harm([this] { wait_for_something(); });
    const int status = child_.wait();
    without_harm([this] { conclude(); });
    return status;
  }

 private:
  // The program runs: what fails from here on costs a profile, not the watch.
  template <class Step>
  void without_harm(Step step) {
    try {
      step();
    } catch (const std::exception& error) {
      say(error.what());
    }
  }

  LaunchPlan plan() {
    return {preflight_.command, options_.command, rendezvous_.plain_path(preload_object(preflight_.own_operators)),
            rendezvous_.path()};
  }

  std::string folder_path() const {
    if (!options_.output.empty()) return options_.output;
    return fmt::format("leakwatch-{}-{}", std::filesystem::path(options_.command[0]).filename().string(), child_.pid());
  }

  // Before the program starts: an address that cannot be had is said while nothing is lost.
  void serve() {
    if (options_.http) http_.emplace(*options_.http, options_.http_hosts, watch_, history_, child_.pid());
  }

  void announce() const {
    for (const std::string& warning : preflight_.warnings) say("warning: " + warning);
    if (options_.quiet) return;
    const std::string how =
        options_.sample_interval == 1
            ? "every allocation"
            : fmt::format("one sample per {}", format_bytes(static_cast<std::int64_t>(options_.sample_interval)));
    say(fmt::format("watching {} (pid {}), {}; profiles every {} in {}", options_.command[0], child_.pid(), how,
                    format_interval(), writer_.folder()));
    if (http_) say("serving " + http_->url());
  }

  std::string format_interval() const {
    const auto ms = options_.interval.count();
    return ms % 1000 == 0 ? fmt::format("{} s", ms / 1000) : fmt::format("{} ms", ms);
  }

  void wait_for_something() {
    pollfd events[] = {
        {child_.pidfd(), POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}, {rendezvous_.descriptor(), POLLIN, 0}};
    const auto now = Clock::now();
    const auto until = std::min(next_tend_, next_profile_);
    const auto patience = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
    poll(events, 3, static_cast<int>(std::clamp<std::int64_t>(patience, 0, 1000)));
    if ((events[2].revents & POLLIN) != 0) welcome();
    if ((events[1].revents & POLLIN) != 0) take_signals();
    if ((events[0].revents & POLLIN) != 0) has_ended_ = true;
    if (has_ended_) return;
    if (Clock::now() >= next_tend_) tend();
    if (Clock::now() >= next_profile_) profile_on_time();
  }

  // The program calls: at its start, or again after it has executed another one in its place.
  void welcome() {
    const RegionSettings settings{options_.sample_interval, options_.max_depth, options_.seed, best_clock()};
    auto guest = rendezvous_.accept(child_.pid(), settings);
    if (!guest) return;
    if (!guest->error.empty()) return say("warning: the program runs unwatched: " + guest->error);
    const ProcessFacts& facts = guest->facts;
    if (session_) end_of_previous_program(facts.executable.path);
    if (!symbols_) symbols_ = std::make_shared<SymbolService>(SymbolizerOptions{facts.root, {}});
    session_ = std::make_shared<Session>(std::move(guest->region), facts, preflight_.warnings);
    watch_.begin(session_, symbols_);
    next_profile_ = Clock::now() + options_.interval;
  }

  // Wrappers that become the service in an instant are not worth a profile; what has been profiled before is.
  void end_of_previous_program(const std::string& successor) {
    session_->finish();
    if (has_profiles_) write_profile();
    has_profiles_ = false;
    if (!options_.quiet) say(fmt::format("the process now runs {}: its heap begins anew", successor));
  }

  // A signal to the whole group, as from the terminal, has reached the program too; one to us alone is passed on.
  void take_signals() {
    while (const auto info = signals_.next()) {
      const int number = static_cast<int>(info->ssi_signo);
      if (number == SIGUSR1)
        write_profile();
      else if (info->ssi_code <= 0 && !group_.reached_group(number))
        kill(child_.pid(), number);
    }
  }

  void tend() {
    next_tend_ = Clock::now() + kTendEvery;
    if (session_) session_->tend(*symbols_);
    if (http_) history_.tend(watch_);
    if (!session_ && !warned_of_silence_ && Clock::now() - started_ > kExpectHelloWithin) {
      warned_of_silence_ = true;
      say("warning: the program has not called back: it may have dropped LD_PRELOAD from its environment (env -i, "
          "sudo)");
    }
  }

  void profile_on_time() {
    next_profile_ = std::max(next_profile_ + options_.interval, Clock::now());
    write_profile();
  }

  void write_profile() {
    if (!session_) return say("nothing to profile yet: the program has not called back");
    Moment<ThreadSnapshot> threads = watch_.threads();
    writer_.write({watch_.heap(), std::move(threads), Clock::now() - started_});
    has_profiles_ = true;
  }

  void conclude() {
    if (!session_) return say("the program ended without having been watched: it never called back");
    session_->finish();
    write_profile();
    const std::string report = writer_.finish();
    if (!options_.quiet) fmt::print(stderr, "{}", report);
  }

  const RunOptions& options_;
  Signals signals_;  // first: threads inherit the mask
  GroupSignals group_;
  Preflight preflight_;
  Rendezvous rendezvous_;
  Child child_;
  ProfileWriter writer_;
  std::shared_ptr<SymbolService> symbols_;
  std::shared_ptr<Session> session_;
  Watch watch_;
  History history_;
  std::optional<HttpSink> http_;
  Clock::time_point started_, next_profile_, next_tend_;
  bool has_ended_ = false;
  bool has_profiles_ = false;  // of the program that runs now
  bool warned_of_silence_ = false;
};

}  // namespace

int run(const RunOptions& options) {
  return Run(options).go();
}

}  // namespace leakwatch
