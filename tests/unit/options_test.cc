// SPDX-License-Identifier: Apache-2.0
//
// The command line as people type it: where our options end and the command begins, and what
// somebody reads who got it wrong.
#include "cli/options.h"

#include "cli/base/error.h"
#include "cli/version.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

using std::chrono::milliseconds;
using Words = std::vector<std::string>;

CommandLine parse(const Words& words) {
  std::vector<const char*> argv = {"leakwatch"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}

RunOptions run(const Words& words) {
  const CommandLine line = parse(words);
  REQUIRE(line.action == CommandLine::Action::kRun);
  return line.run;
}

AttachOptions attach(const Words& words) {
  const CommandLine line = parse(words);
  REQUIRE(line.action == CommandLine::Action::kAttach);
  return line.attach;
}

std::string printed(const Words& words) {
  const CommandLine line = parse(words);
  REQUIRE(line.action == CommandLine::Action::kPrintAndLeave);
  return line.text;
}

template <class Call>
std::string complaint_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.status() == 125);
    return error.what();
  }
  return {};
}

std::string complaint(const Words& words) {
  return complaint_of([&] { parse(words); });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("run has the defaults that its help names") {
  const RunOptions options = run({"run", "./service"});
  CHECK(options.interval == milliseconds(30'000));
  CHECK(options.output.empty());
  CHECK(options.sample_interval == 512 * 1024);
  CHECK(options.max_depth == 128);
  CHECK(options.seed == 0);
  CHECK_FALSE(options.quiet);
  CHECK(options.command == Words{"./service"});
}

TEST_CASE("every option of run is understood") {
  const RunOptions options = run(
      {"run", "-i", "5s", "-o", "out", "--sample-interval", "1MiB", "--max-depth", "64", "--seed", "7", "-q", "cmd"});
  CHECK(options.interval == milliseconds(5000));
  CHECK(options.output == "out");
  CHECK(options.sample_interval == 1 << 20);
  CHECK(options.max_depth == 64);
  CHECK(options.seed == 7);
  CHECK(options.quiet);
  CHECK(options.command == Words{"cmd"});
}

TEST_CASE("HTTP is served where it is asked for, under the names that are given") {
  CHECK_FALSE(run({"run", "cmd"}).http);
  CHECK(run({"run", "--http", "6060", "cmd"}).http == HttpAddress{"127.0.0.1", 6060, ""});
  CHECK(run({"run", "--http=0.0.0.0:80", "cmd"}).http == HttpAddress{"0.0.0.0", 80, ""});
  CHECK(run({"run", "--http", "unix:/run/x", "--", "cmd"}).http->unix_path == "/run/x");
  const RunOptions options =
      run({"run", "--http-host", "a.example", "--http", "6060", "--http-host=b", "cmd", "--http-host", "c"});
  CHECK(options.http_hosts == Words{"a.example", "b"});
  CHECK(options.command == Words{"cmd", "--http-host", "c"});
  CHECK(contains(complaint({"run", "--http", "nowhere", "cmd"}), "'nowhere'"));
  CHECK(contains(complaint({"run", "--http", "--", "cmd"}), "--http needs a value"));
  CHECK(contains(complaint({"run", "--http-host", "a", "cmd"}), "requires --http"));
}

TEST_CASE("an option's value may be in the same word") {
  CHECK(run({"run", "--interval=5s", "cmd"}).interval == milliseconds(5000));
  CHECK(run({"run", "-i5s", "cmd"}).interval == milliseconds(5000));
  CHECK(run({"run", "--output=a=b", "cmd"}).output == "a=b");
  CHECK(run({"run", "--seed=3", "--exact", "cmd"}).seed == 3);
}

TEST_CASE("overhead is a share of up to all, and moves an interval") {
  CHECK(run({"run", "cmd"}).overhead == 0);
  CHECK(run({"run", "--overhead", "1%", "cmd"}).overhead == 0.01);
  CHECK(run({"run", "--overhead", "1", "cmd"}).overhead == 0.01);
  CHECK(run({"run", "--overhead=0.5%", "cmd"}).overhead == 0.005);
  CHECK(run({"run", "--overhead", "100%", "cmd"}).overhead == 1);
  const RunOptions both = run({"run", "--overhead", "2", "--sample-interval", "64KiB", "cmd", "--overhead", "3"});
  CHECK((both.overhead == 0.02 && both.sample_interval == 64 << 10));
  CHECK(both.command == Words{"cmd", "--overhead", "3"});
  CHECK(attach({"attach", "--overhead", "1%", "7"}).overhead == 0.01);
  for (const char* text : {"0", "0%", "101", "100.1%", "1e9"})
    CHECK(contains(complaint({"run", "--overhead", text, "cmd"}), "not above 0% and at most 100%"));
  for (const char* text : {"-1", "one", "%", "1%%", "1 %", "nan", "1KiB", ""})
    CHECK(contains(complaint({"run", "--overhead", text, "cmd"}), "such as 1% or 0.5%"));
  CHECK(contains(complaint({"run", "--overhead", "1", "--exact", "cmd"}), "--overhead"));
  CHECK(contains(complaint({"run", "--overhead", "1", "--sample-interval", "1", "cmd"}), "give one of them alone"));
  CHECK(contains(complaint({"run", "--overhead", "--", "cmd"}), "--overhead needs a value"));
}

TEST_CASE("exact is a sampling interval of one byte, and goes with no other") {
  CHECK(run({"run", "--exact", "cmd"}).sample_interval == 1);
  CHECK(run({"run", "--sample-interval", "1", "cmd"}).sample_interval == 1);
  CHECK(contains(complaint({"run", "--exact", "--sample-interval", "4K", "cmd"}), "excludes"));
  CHECK(contains(complaint({"run", "--exact", "--sample-interval", "4K", "cmd"}), "--sample-interval"));
  CHECK(contains(complaint({"attach", "--sample-interval=4K", "--exact", "7"}), "--exact"));
}

TEST_CASE("a seed is any number of 64 bits") {
  CHECK(run({"run", "--seed", "0", "cmd"}).seed == 0);
  CHECK(run({"run", "--seed", "18446744073709551615", "cmd"}).seed == ~std::uint64_t{0});
  for (const char* text : {"-1", "18446744073709551616", "x", "1x", "1.5", "", "0x10", " 1"}) {
    INFO(text);
    const std::string said = complaint({"run", "--seed", text, "cmd"});
    CHECK(contains(said, "--seed must be a number"));
    CHECK(contains(said, "'" + std::string(text) + "'"));
  }
}

TEST_CASE("what comes after the command is the command's") {
  const RunOptions options = run({"run", "cmd", "--exact", "-q", "--help", "--", "-i", "1s", ""});
  CHECK(options.command == Words{"cmd", "--exact", "-q", "--help", "--", "-i", "1s", ""});
  CHECK(options.sample_interval == 512 * 1024);
  CHECK_FALSE(options.quiet);
}

TEST_CASE("two dashes end our options") {
  CHECK(run({"run", "--", "cmd", "-q"}).command == Words{"cmd", "-q"});
  CHECK(run({"run", "-i", "1s", "--", "cmd", "-q"}).command == Words{"cmd", "-q"});
  CHECK(run({"run", "--", "--weird-name"}).command == Words{"--weird-name"});
  CHECK(run({"run", "--", "--", "x"}).command == Words{"--", "x"});
  CHECK(run({"run", "-q", "--", "run"}).command == Words{"run"});
}

TEST_CASE("flags that share one dash may end with one that takes a value") {
  const RunOptions options = run({"run", "-qi", "1s", "cmd", "-x"});
  CHECK(options.quiet);
  CHECK(options.interval == milliseconds(1000));
  CHECK(options.command == Words{"cmd", "-x"});
}

TEST_CASE("a command is needed") {
  for (const Words& words : {Words{"run"}, Words{"run", "--"}, Words{"run", "--exact"}, Words{"run", "-i", "1s"},
                             Words{"run", "-i", "1s", "--"}})
    CHECK(contains(complaint(words), "COMMAND"));
}

TEST_CASE("mistakes are answered with a hint at the right help") {
  for (const Words& words :
       {Words{"run"}, Words{"run", "--bogus", "cmd"}, Words{"run", "-z", "cmd"}, Words{"run", "-i"},
        Words{"run", "--max-depth", "0", "cmd"}, Words{"run", "--max-depth", "1025", "cmd"},
        Words{"run", "--max-depth", "many", "cmd"}, Words{"run", "--seed", "x", "cmd"},
        Words{"run", "--exact=maybe", "cmd"}, Words{"run", "--version", "cmd"}})
    CHECK(contains(complaint(words), "leakwatch run --help"));
  for (const Words& words : {Words{}, Words{"bogus"}, Words{"--bogus"}, Words{"cmd", "run"}})
    CHECK(contains(complaint(words), "Try 'leakwatch --help'"));
}

TEST_CASE("an unknown option is named in the complaint") {
  CHECK(contains(complaint({"run", "--bogus", "cmd"}), "run takes no '--bogus'.\n"));
  CHECK(contains(complaint({"run", "--bogus", "--", "cmd"}), "run takes no '--bogus'.\n"));
  CHECK(contains(complaint({"attach", "4711", "4712"}), "attach takes no '4712'.\n"));
}

TEST_CASE("an unknown command is named in the complaint, with those that there are") {
  CHECK(contains(complaint({"frob"}), "'frob' is no command of leakwatch: those are run, attach and detach."));
  CHECK(contains(complaint({"frob", "run"}), "'frob' is no command"));
  CHECK(contains(complaint({}), "run, attach or detach"));
  CHECK(contains(complaint({"--bogus"}), "before '--bogus'"));
  CHECK(contains(complaint({"-q", "run", "cmd"}), "before '-q'"));
}

TEST_CASE("quantities that cannot be are refused, with the option's name") {
  CHECK(contains(complaint({"run", "-i", "5ms", "cmd"}), "--interval"));
  CHECK(contains(complaint({"run", "--sample-interval", "0", "cmd"}), "--sample-interval"));
  CHECK(contains(complaint({"run", "-i", "5x", "cmd"}), "--interval: '5x'"));
  CHECK(contains(complaint({"run", "-i", "400d", "cmd"}), "--interval: '400d'"));
  CHECK(contains(complaint({"run", "--sample-interval", "lots", "cmd"}), "--sample-interval: 'lots'"));
  CHECK(contains(complaint({"run", "--overhead", "abc", "cmd"}), "--overhead: 'abc'"));
  CHECK(contains(complaint({"run", "--http", "abc", "cmd"}), "--http: 'abc'"));
  CHECK(run({"run", "-i", "10ms", "cmd"}).interval == milliseconds(10));
}

TEST_CASE("a bad quantity is answered with a hint at the help as well") {
  for (const Words& words : {Words{"run", "-i", "soon", "cmd"}, Words{"run", "--sample-interval", "lots", "cmd"},
                             Words{"run", "-i", "--", "cmd"}, Words{"run", "-i", "5ms", "cmd"},
                             Words{"run", "--sample-interval", "0", "cmd"}})
    CHECK(contains(complaint(words), "--help"));
}

TEST_CASE("attach has run's options and defaults, a process instead of a command, and an end") {
  const AttachOptions plain = attach({"attach", "4711"});
  CHECK(plain.pid == 4711);
  CHECK_FALSE(plain.duration);
  CHECK(plain.interval == milliseconds(30'000));
  CHECK(plain.output.empty());
  CHECK(plain.sample_interval == 512 * 1024);
  CHECK(plain.max_depth == 128);
  CHECK_FALSE(plain.quiet);
  CHECK_FALSE(plain.http);
  const AttachOptions full = attach({"attach", "-i", "5s", "-o", "out", "--exact", "--max-depth", "64", "--seed", "7",
                                     "-q", "--http", "6060", "--http-host", "a.example", "--duration", "10m", "4711"});
  CHECK(full.pid == 4711);
  CHECK(full.duration == std::chrono::minutes(10));
  CHECK(full.interval == milliseconds(5000));
  CHECK(full.output == "out");
  CHECK(full.sample_interval == 1);
  CHECK(full.max_depth == 64);
  CHECK(full.seed == 7);
  CHECK(full.quiet);
  CHECK(full.http == HttpAddress{"127.0.0.1", 6060, ""});
  CHECK(full.http_hosts == Words{"a.example"});
}

TEST_CASE("options of attach may follow the process") {
  const AttachOptions options = attach({"attach", "4711", "--duration=90s", "-q"});
  CHECK(options.pid == 4711);
  CHECK(options.duration == std::chrono::seconds(90));
  CHECK(options.quiet);
  CHECK(attach({"attach", "-q", "--", "4711"}).pid == 4711);
}

TEST_CASE("detach takes a process and nothing else") {
  const CommandLine line = parse({"detach", "4711"});
  REQUIRE(line.action == CommandLine::Action::kDetach);
  CHECK(line.detach.pid == 4711);
  for (const Words& words : {Words{"detach"}, Words{"detach", "4711", "4712"}, Words{"detach", "-q", "4711"},
                             Words{"detach", "--duration", "1s", "4711"}})
    CHECK(contains(complaint(words), "Try 'leakwatch detach --help'"));
}

TEST_CASE("a process is a number above zero, and one") {
  for (const char* command : {"attach", "detach"}) {
    for (const Words& words : {Words{command}, Words{command, "0"}, Words{command, "-1"}, Words{command, "service"},
                               Words{command, "4711x"}, Words{command, "99999999999"}, Words{command, "1", "2"}}) {
      INFO(command << ' ' << (words.size() > 1 ? words[1] : ""));
      CHECK(contains(complaint(words), "Try 'leakwatch " + std::string(command) + " --help'"));
    }
  }
  CHECK(contains(complaint({"attach"}), "PID"));
  for (const char* command : {"attach", "detach"}) {
    for (const char* word : {"abc", "0", "-5", "99999999999", "4711x"})
      CHECK(contains(complaint({command, word}),
                     "PID must be the number of a process, not '" + std::string(word) + "'.\n"));
  }
}

TEST_CASE("mistakes in attach are answered with a hint at its help, and name the option") {
  CHECK(contains(complaint({"attach", "--duration", "soon", "4711"}), "--duration: 'soon'"));
  CHECK(contains(complaint({"attach", "-i", "5ms", "4711"}), "--interval"));
  CHECK(contains(complaint({"attach", "--sample-interval", "0", "4711"}), "--sample-interval"));
  CHECK(contains(complaint({"attach", "--bogus", "4711"}), "--bogus"));
  CHECK(contains(complaint({"attach", "--http-host", "a", "4711"}), "requires --http"));
  for (const Words& words : {Words{"attach", "--duration", "soon", "4711"}, Words{"attach", "-i", "5ms", "4711"},
                             Words{"attach", "--duration"}, Words{"attach", "--http", "nowhere", "4711"},
                             Words{"attach", "--bogus", "4711"}})
    CHECK(contains(complaint(words), "Try 'leakwatch attach --help'"));
  CHECK(contains(complaint({"run", "--duration", "1s", "cmd"}), "--duration"));
}

TEST_CASE("attach and detach have help of their own") {
  const std::string help = printed({"attach", "--help"});
  for (const char* word : {"PID", "--duration TIME", "--exact", "--http [ADDR:]PORT", "LD_PRELOAD", "ptrace"})
    CHECK(contains(help, word));
  CHECK(contains(printed({"detach", "--help"}), "PID"));
  CHECK(contains(printed({"--help"}), "attach"));
  CHECK(contains(printed({"--help"}), "detach"));
}

TEST_CASE("help is printed for leakwatch and for run, and not for the command") {
  CHECK(contains(printed({"--help"}), "run"));
  CHECK(contains(printed({"-h"}), "Heap and thread profiles"));
  const std::string help = printed({"run", "--help"});
  CHECK(contains(help, "Usage: leakwatch run [OPTIONS] [--] COMMAND"));
  for (const char* option : {"--interval", "--output", "--sample-interval", "--exact", "--max-depth", "--seed",
                             "--http [ADDR:]PORT", "--http-host NAME", "unix:PATH", "127.0.0.1", "--quiet"})
    CHECK(contains(help, option));
  CHECK(contains(help, "Print warnings and errors only"));
  CHECK(contains(printed({"run", "-q", "--help", "cmd"}), "Usage: leakwatch run"));
}

TEST_CASE("the version is printed") {
  CHECK(contains(printed({"--version"}), kVersionText));
}

}  // namespace
}  // namespace leakwatch
