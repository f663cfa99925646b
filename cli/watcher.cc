// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/watcher.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <utility>

#include "cli/base/quantity.h"
#include "cli/base/terminal.h"
#include "cli/report/profile_folder.h"

namespace leakwatch {

namespace {

constexpr std::chrono::seconds kTendEvery{1};
constexpr std::chrono::seconds kExpectHelloWithin{10};

// The process runs: what fails costs a profile, not the watch.
template <class Step>
void without_harm(Step step) {
  try {
    step();
  } catch (const std::exception& error) {
    say(error.what());
  }
}

}  // namespace

Watcher::Watcher(const WatchOptions& options, const Signals& signals, Rendezvous& rendezvous, WatchedProcess process)
    : options_(options),
      signals_(signals),
      rendezvous_(rendezvous),
      process_(std::move(process)),
      writer_(make_folder(), options.quiet),
      watch_(process_.command) {
  if (options_.http) http_.emplace(*options_.http, options_.http_hosts, watch_, history_, process_.pid);
}

ProfileFolder Watcher::make_folder() const {
  if (!options_.output.empty()) return ProfileFolder(options_.output);
  const std::string name = std::filesystem::path(process_.command.at(0)).filename().string();
  return ProfileFolder::make_new(fmt::format("leakwatch-{}-{}", name, process_.pid));
}

void Watcher::announce() const {
  for (const std::string& warning : process_.warnings) say("warning: " + warning);
  if (options_.quiet) return;
  std::string how = options_.sample_interval == 1
                        ? "every allocation"
                        : fmt::format("one sample per {}", format_size(options_.sample_interval));
  if (options_.overhead > 0)
    how += fmt::format(" at first, then at a cost of up to {}", format_share(options_.overhead));
  say(fmt::format("watching {} (pid {}), {}; profiles every {} in {}", process_.command[0], process_.pid, how,
                  format_interval(), writer_.folder()));
  if (http_) say("serving " + http_->url());
}

std::string Watcher::format_interval() const {
  const auto ms = options_.interval.count();
  return ms % 1000 == 0 ? fmt::format("{} s", ms / 1000) : fmt::format("{} ms", ms);
}

bool Watcher::end_recording() {
  if (session_ == nullptr) return false;
  session_->end_recording();
  return true;
}

void Watcher::watch(const WatchRules& rules) {
  started_ = next_tend_ = Clock::now();
  next_profile_ = started_ + options_.interval;
  while (!is_leaving_) without_harm([&] { wait_for_something(rules); });
}

void Watcher::wait_for_something(const WatchRules& rules) {
  pollfd events[] = {
      {process_.pidfd, POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}, {rendezvous_.descriptor(), POLLIN, 0}};
  const auto until = std::min(next_tend_, next_profile_);
  const auto patience = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  poll(events, 3, static_cast<int>(std::clamp<std::int64_t>(patience, 0, 1000)));
  if ((events[2].revents & POLLIN) != 0) welcome(rules);
  if ((events[1].revents & POLLIN) != 0) take_signals(rules);
  if ((events[0].revents & POLLIN) != 0) leave();
  if (is_leaving_) return;
  if (Clock::now() >= next_tend_) tend(rules);
  if (Clock::now() >= next_profile_) profile_on_time();
}

// The process calls: at its start, or again after it has executed another program in its place.
void Watcher::welcome(const WatchRules& rules) {
  const RegionSettings settings{options_.sample_interval, options_.max_depth, options_.seed, best_clock(),
                                options_.overhead};
  auto guest = rendezvous_.accept(process_.pid, settings);
  if (!guest) return;
  if (!guest->error.empty()) return say("warning: the program runs unwatched: " + guest->error);
  ProcessFacts& facts = guest->facts;
  if (facts.executable.path.empty() && !session_) facts.executable.path = process_.executable;
  if (!symbols_) symbols_ = std::make_shared<SymbolService>(SymbolizerOptions{facts.root, process_.pid, {}});
  // Drained from here on: the last profile of the previous program may take longer than the new one's rings last.
  auto session = std::make_shared<Session>(std::move(guest->region), facts, process_.warnings);
  if (session_) end_of_previous_program(facts.executable.path);
  session_ = std::move(session);
  watch_.begin(session_, symbols_);
  next_profile_ = Clock::now() + options_.interval;
  rules.on_session();
}

// Wrappers that become the service in an instant are not worth a profile; what has been profiled before is.
void Watcher::end_of_previous_program(const std::string& successor) {
  session_->finish(Session::End::kProgram);
  if (has_profiles_) write_profile(true);
  has_profiles_ = false;
  if (!options_.quiet) say(fmt::format("the process now runs {}: its heap begins anew", successor));
}

void Watcher::take_signals(const WatchRules& rules) {
  while (const auto info = signals_.next()) {
    if (info->ssi_signo == SIGUSR1)
      write_profile();
    else
      rules.on_signal(*info);
  }
}

void Watcher::tend(const WatchRules& rules) {
  next_tend_ = Clock::now() + kTendEvery;
  rules.on_tend();
  if (session_) session_->tend(*symbols_);
  if (session_) look_for_unwatched_program();
  if (http_) history_.tend(watch_);
  if (!session_ && !warned_of_silence_ && Clock::now() - started_ > kExpectHelloWithin) {
    warned_of_silence_ = true;
    say("warning: " + rules.on_silence);
  }
}

// At the first look it may be about to call.
void Watcher::look_for_unwatched_program() {
  unwatched_looks_ = session_->has_been_replaced() ? unwatched_looks_ + 1 : 0;
  if (unwatched_looks_ != 2) return;
  const std::string program = main_executable(process_.pid).path;
  say(
      fmt::format("warning: the process now runs {}, which has not called back and is not watched: it may be "
                  "statically linked, run as another user, or have LD_PRELOAD taken away; profiles show the program "
                  "before it",
                  program.empty() ? "another program" : program));
}

void Watcher::profile_on_time() {
  next_profile_ = std::max(next_profile_ + options_.interval, Clock::now());
  write_profile();
}

void Watcher::write_profile(bool is_last) {
  if (!session_) return say("nothing to profile yet: the program has not called back");
  Moment<ThreadSnapshot> threads = watch_.threads();
  writer_.write({watch_.heap(), std::move(threads), Clock::now() - started_, is_last});
  has_profiles_ = true;
}

bool Watcher::conclude() {
  if (!session_) {
    say("there is nothing to show: the program never called back");
    return false;
  }
  without_harm([this] {
    session_->finish(Session::End::kProcess);
    write_profile(true);
    const std::string report = writer_.finish();
    if (!options_.quiet) fmt::print(stderr, "{}", report);
  });
  return true;
}

}  // namespace leakwatch
