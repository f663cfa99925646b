// SPDX-License-Identifier: Apache-2.0
//
// See the header. Everything after the command belongs to the command, whatever it looks like.

#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "cli/base/error.h"
#include "cli/base/quantity.h"
#include "cli/version.h"
#include "proto/shared_memory.h"

namespace leakwatch {

namespace {

// The parser does not know that a command may follow.
class RunFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: leakwatch run [OPTIONS] [--] COMMAND [ARG...]\n";
  }
};

struct WatchTexts {
  std::string interval = "30s";
  std::string sample_interval = "512KiB";
  std::optional<std::string> overhead;
  std::optional<std::string> seed;
  bool exact = false;
  std::optional<std::string> http;
};

void add_watch_options(CLI::App& run, WatchOptions& options, WatchTexts& texts) {
  run.add_option("-i,--interval", texts.interval, "Time between two profiles, such as 30s, 5m or 500ms")
      ->type_name("TIME")
      ->capture_default_str();
  run.add_option("-o,--output", options.output, "Folder for the profiles [leakwatch-NAME-PID]")->type_name("DIR");
  CLI::Option* sample_interval =
      run.add_option("--sample-interval", texts.sample_interval, "Mean bytes allocated between two samples [512KiB]")
          ->type_name("SIZE");
  CLI::Option* overhead =
      run.add_option("--overhead", texts.overhead,
                     "Sample as much as costs at most this share of the program's processor time, such as 1%")
          ->type_name("PERCENT");
  run.add_flag("--exact", texts.exact, "Record every allocation and free: exact counts, at a higher cost")
      ->excludes(overhead)
      ->excludes(sample_interval);
  run.add_option("--max-depth", options.max_depth, "Frames kept of a stack, from the allocation outwards")
      ->type_name("N")
      ->check(CLI::Range(1u, shared::kMaxDepth))
      ->capture_default_str();
  run.add_option("--seed", texts.seed, "Seed of the sampler, to repeat a run [a new one every time]")->type_name("N");
  CLI::Option* http =
      run.add_option("--http", texts.http,
                     "Serve live profiles, a page and metrics, on 127.0.0.1 unless ADDR is given; also unix:PATH")
          ->type_name("[ADDR:]PORT");
  run.add_option("--http-host", options.http_hosts, "Answer to this name in a URL as well; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->needs(http);
  run.add_flag("-q,--quiet", options.quiet, "Print warnings and errors only");
}

constexpr const char* kWhatIsWritten =
    "Writes DIR/heap.0001.pb.gz, threads.0001.pb.gz, threadcreate.0001.pb.gz, threads.0001.txt, then 0002, ..., every "
    "TIME,\n"
    "on SIGUSR1 to leakwatch, and at the end. Look at them with:\n"
    "  go tool pprof -diff_base DIR/heap.0001.pb.gz DIR/heap.0009.pb.gz\n"
    "With --http 6060, at any moment (http://127.0.0.1:6060/ has the links):\n"
    "  go tool pprof http://127.0.0.1:6060/debug/pprof/heap";

void add_run_options(CLI::App& run, RunOptions& options, WatchTexts& texts) {
  add_watch_options(run, options, texts);
  run.add_option("COMMAND", options.command, "The program to watch, and its arguments")->required()->type_name("");
  run.positionals_at_end();
  run.formatter(std::make_shared<RunFormatter>());
  run.footer(kWhatIsWritten);
}

// Its value is read as text: the parser's words for a number that is none are of no help.
void add_pid(CLI::App& command, std::string& pid, const char* meaning) {
  command.add_option("PID", pid, meaning)->required()->type_name("");
}

void add_attach_options(CLI::App& attach, AttachOptions& options, WatchTexts& texts, std::string& pid,
                        std::optional<std::string>& time) {
  add_watch_options(attach, options, texts);
  attach.add_option("--duration", time, "Leave after this time [when told to, as by Ctrl-C]")->type_name("TIME");
  add_pid(attach, pid, "The process to join");
  attach.footer(std::string("Needs the right to trace PID (ptrace), unless that was started with\n") +
                "LD_PRELOAD=.../libleakwatch.so, by the same user; see SLEEPING in leakwatch(1).\n\n" + kWhatIsWritten);
}

// The command begins at the first word that is no option of ours, or after "--".
std::size_t command_position(int argc, const char* const* argv) {
  constexpr std::string_view kWithValue[] = {"-i",         "--interval",  "-o",     "--output", "--sample-interval",
                                             "--overhead", "--max-depth", "--seed", "--http",   "--http-host"};
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") return static_cast<std::size_t>(i) + 1;
    if (word.empty() || word[0] != '-' || word == "-") return static_cast<std::size_t>(i);
    // "-qi 1s": the last of several short options may be one that takes a value.
    const bool is_cluster = word.size() > 2 && word[1] != '-' && word.find_first_of("io") == word.size() - 1;
    if (!is_cluster && std::find(std::begin(kWithValue), std::end(kWithValue), word) == std::end(kWithValue)) continue;
    if (++i == argc || std::string_view(argv[i]) == "--") throw Error(fmt::format("{} needs a value.", word));
  }
  return static_cast<std::size_t>(argc);
}

template <typename Number>
std::optional<Number> whole_number(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

int parse_pid(std::string_view text) {
  const int pid = whole_number<int>(text).value_or(0);
  if (pid <= 0) throw Error(fmt::format("PID must be the number of a process, not '{}'.", text));
  return pid;
}

std::uint64_t parse_seed(std::string_view text) {
  const auto seed = whole_number<std::uint64_t>(text);
  if (!seed) throw Error(fmt::format("--seed must be a number from 0 to 18446744073709551615, not '{}'.", text));
  return *seed;
}

// What is wrong with a value, with the option that it was given to.
template <typename Parse>
auto value_of(std::string_view option, std::string_view text, Parse parse) {
  try {
    return parse(text);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", option, error.what()));
  }
}

void finish_watch_options(WatchOptions& options, const WatchTexts& texts) {
  options.interval = value_of("--interval", texts.interval, parse_duration);
  if (options.interval < std::chrono::milliseconds(10)) throw Error("--interval must be at least 10ms.");
  if (texts.http) options.http = value_of("--http", *texts.http, parse_http_address);
  if (texts.seed) options.seed = parse_seed(*texts.seed);
  options.sample_interval = texts.exact ? 1 : value_of("--sample-interval", texts.sample_interval, parse_size);
  if (options.sample_interval == 0)
    throw Error("--sample-interval must be at least 1 byte; 1, or --exact, records every event.");
  if (!texts.overhead) return;
  options.overhead = value_of("--overhead", *texts.overhead, parse_percentage);
  if (options.sample_interval == 1)
    throw Error("--overhead moves the sampling interval, and --sample-interval 1 leaves none: give one of them alone.");
}

constexpr std::string_view kCommands[] = {"run", "attach", "detach"};

bool is_command(std::string_view word) {
  return std::find(std::begin(kCommands), std::end(kCommands), word) != std::end(kCommands);
}

// The parser would only say that something is missing.
void refuse_unknown_command(std::string_view word) {
  constexpr std::string_view kOwnOptions[] = {"-h", "--help", "--version"};
  if (is_command(word) || std::find(std::begin(kOwnOptions), std::end(kOwnOptions), word) != std::end(kOwnOptions))
    return;
  if (word.empty()) throw Error("Say what to do: run, attach or detach.");
  if (word[0] == '-') throw Error(fmt::format("Say what to do (run, attach or detach) before '{}'.", word));
  throw Error(fmt::format("'{}' is no command of leakwatch: those are run, attach and detach.", word));
}

// Without the dashes that we have put before the program's command.
std::string unexpected_words(const CLI::App& app, std::string_view command) {
  std::vector<std::string> words;
  for (const std::string& word : app.remaining(true)) {
    if (word != "--") words.push_back(fmt::format("'{}'", word));
  }
  return fmt::format("{} takes no {}.", command, fmt::join(words, ", "));
}

CommandLine parse(int argc, const char* const* argv) {
  refuse_unknown_command(argc > 1 ? argv[1] : "");
  CommandLine result;
  WatchTexts texts;
  std::optional<std::string> duration;
  std::string pid;
  CLI::App app("Heap and thread profiles of unmodified native programs, for go tool pprof.", "leakwatch");
  app.set_version_flag("--version", std::string("leakwatch ") + kVersionText);
  app.require_subcommand(1);
  app.footer("'leakwatch run --help' and 'leakwatch attach --help' list their options; the manual is leakwatch(1).");
  CLI::App* run = app.add_subcommand("run", "Start a program under watch");
  add_run_options(*run, result.run, texts);
  CLI::App* attach = app.add_subcommand("attach", "Join a process that already runs, and leave it as it was");
  add_attach_options(*attach, result.attach, texts, pid, duration);
  CLI::App* detach = app.add_subcommand("detach", "Clean up in a process after a leakwatch that died");
  add_pid(*detach, pid, "The process");
  const bool is_run = argc > 1 && std::string_view(argv[1]) == "run";
  const std::size_t command = is_run ? command_position(argc, argv) : static_cast<std::size_t>(argc);
  // What belongs to the command is kept away from the parser: one word stands for it.
  std::vector<std::string> ours(argv + 1, argv + std::min(command, static_cast<std::size_t>(argc)));
  if (command < static_cast<std::size_t>(argc) && (ours.empty() || ours.back() != "--")) ours.emplace_back("--");
  if (command < static_cast<std::size_t>(argc)) ours.emplace_back("command");
  std::reverse(ours.begin(), ours.end());
  try {
    app.parse(ours);
  } catch (const CLI::Success& wish) {
    std::ostringstream out, error;
    app.exit(wish, out, error);
    result.text = out.str();
    return result;
  } catch (const CLI::ExtrasError&) {
    throw Error(unexpected_words(app, argv[1]));
  } catch (const CLI::ParseError& mistake) {
    throw Error(mistake.what());
  }
  if (*detach) {
    result.action = CommandLine::Action::kDetach;
    result.detach.pid = parse_pid(pid);
  } else if (*attach) {
    result.action = CommandLine::Action::kAttach;
    result.attach.pid = parse_pid(pid);
    finish_watch_options(result.attach, texts);
    if (duration) result.attach.duration = value_of("--duration", *duration, parse_duration);
  } else {
    result.action = CommandLine::Action::kRun;
    result.run.command.assign(argv + command, argv + argc);
    finish_watch_options(result.run, texts);
  }
  return result;
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
  try {
    return parse(argc, argv);
  } catch (const Error& error) {
    const std::string_view word = argc > 1 ? argv[1] : "";
    const std::string of_command = is_command(word) ? fmt::format("{} ", word) : std::string();
    throw Error(fmt::format("{}\nTry 'leakwatch {}--help'.", error.what(), of_command), error.status());
  }
}

}  // namespace leakwatch
