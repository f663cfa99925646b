// SPDX-License-Identifier: Apache-2.0
//
// Each refusal to join a process against a real process of that kind, and that the process goes on as it was.
#include "cli/join/attach_check.h"

#include <sys/ptrace.h>

#include "cli/base/error.h"
#include "cli/process/loaded_modules.h"
#include "tests/unit/called_program.h"
#include "tests/unit/catch.h"
#include "tests/unit/spawned_program.h"

namespace leakwatch {
namespace {

constexpr uid_t kNobody = 65534;

struct Outcome {
  int status = 0;  // 0: may be joined
  std::string message;
  AttachFacts facts;

  bool says(const std::string& words) const { return message.find(words) != std::string::npos; }
};

Outcome inspect(pid_t pid, AttachFacts (*look)(pid_t) = inspect_process) {
  Outcome outcome;
  try {
    outcome.facts = look(pid);
  } catch (const Error& error) {
    outcome.status = error.status();
    outcome.message = error.what();
  }
  return outcome;
}

// The same, as another user.
Outcome inspect_as(uid_t user, pid_t pid) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(user) != 0 || setuid(user) != 0) _exit(99);
    const Outcome outcome = inspect(pid);
    const bool is_told = write(ends[1], outcome.message.data(), outcome.message.size()) >= 0;
    _exit(is_told ? outcome.status : 98);
  }
  close(ends[1]);
  Outcome outcome;
  char text[1024];
  for (ssize_t size = 0; (size = read(ends[0], text, sizeof text)) > 0;) {
    outcome.message.append(text, static_cast<std::size_t>(size));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.status = WEXITSTATUS(status);
  return outcome;
}

void check_refused(const Outcome& outcome, const std::string& words, int status = 126) {
  INFO(outcome.message);
  CHECK(outcome.status == status);
  CHECK(outcome.says(words));
  CHECK(outcome.message.find('\n') == std::string::npos);
}

TEST_CASE("a process that can be joined is described", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("read");
  const Outcome outcome = inspect(program.pid());
  INFO(outcome.message);
  REQUIRE(outcome.status == 0);
  CHECK(outcome.facts.pid == program.pid());
  CHECK(outcome.facts.executable == called_program());
  CHECK(outcome.facts.user == geteuid());
  CHECK(outcome.facts.group == getegid());
  CHECK(outcome.facts.root.empty());
  CHECK_FALSE(outcome.facts.own_operators);
  CHECK_FALSE(outcome.facts.object.has_value());
  CHECK(program.is_asleep());
  CHECK(program.counters().checks == 0);
}

TEST_CASE("who is not there cannot be joined", "[attach]") {
  check_refused(inspect(0x3ffffff), "There is no process", 127);
  const pid_t child = fork();
  if (child == 0) _exit(0);
  REQUIRE(waits_for([&] { return StatusFile::of_process(child).text("State")->starts_with('Z'); }));
  check_refused(inspect(child), "has ended", 127);
  waitpid(child, nullptr, 0);
  check_refused(inspect(getpid()), "cannot watch itself");
}

TEST_CASE("the kernel, threads and stopped processes are named as what they are", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  if (StatusFile::of_process(2).text("Name") == "kthreadd") check_refused(inspect(2), "is a part of the kernel");
  const CalledProgram program("choice", 5);
  const std::vector<pid_t> threads = list_threads(program.pid());
  check_refused(inspect(threads.back()), "is a thread of process " + std::to_string(program.pid()));
  kill(program.pid(), SIGSTOP);
  REQUIRE(waits_for([&] { return ThreadFiles(program.pid(), program.pid()).state() == 'T'; }));
  check_refused(inspect(program.pid()), "kill -CONT");
}

TEST_CASE("another user's process is refused, and one that is traced", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("read");
  if (geteuid() == 0) {
    check_refused(inspect_as(kNobody, program.pid()), "it belongs to user 0 and leakwatch runs as user 65534");
  }
  const pid_t tracer = fork();
  if (tracer == 0) {
    ptrace(PTRACE_SEIZE, program.pid(), nullptr, nullptr);
    while (true) pause();
  }
  REQUIRE(waits_for([&] { return StatusFile::of_process(program.pid()).number("TracerPid") != 0; }));
  check_refused(inspect(program.pid()), "process " + std::to_string(tracer) + " traces it already");
  kill(tracer, SIGKILL);
  waitpid(tracer, nullptr, 0);
  CHECK(program.is_asleep());
  CHECK(program.counters().interrupted == 0);
}

void check_program_refused(const std::string& flags, const std::string& words, const std::string& compiler = "gcc") {
  INFO(compiler << ' ' << flags);
  SpawnedProgram program(kSleeper, flags, compiler);
  REQUIRE(program.start());
  check_refused(inspect(program.pid()), words);
}

TEST_CASE("programs without a loader or an allocator of glibc's are refused", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  check_program_refused("-static", "is statically linked");
  check_program_refused("-fsanitize=address", "AddressSanitizer");
  if (std::system("command -v musl-gcc >/dev/null") == 0) {
    check_program_refused("", "is linked with musl", "musl-gcc");
  } else {
    WARN("skipped: no musl-gcc");
  }
}

TEST_CASE("an allocator in the executable is refused", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  SpawnedProgram program(
      std::string(kSleeper) + "#include <stddef.h>\nvoid* malloc(size_t s) { return NULL; }\nvoid free(void* p) {}\n",
      "-rdynamic -fno-builtin");
  REQUIRE(program.start());
  check_refused(inspect(program.pid()), "has an allocator linked in");
}

// Filters that allow all but one call, by number; 0 for all.
std::string filtered_sleeper(const std::string& forbidden, const std::string& answer) {
  return "#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <sys/prctl.h>\n#include <sys/syscall.h>\n"
         "#include <unistd.h>\n"
         "int main(void) {\n"
         "  struct sock_filter filter[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},\n"
         "                                 {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, " +
         forbidden + "},\n                                 {BPF_RET | BPF_K, 0, 0, " + answer +
         "},\n                                 {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};\n"
         "  struct sock_fprog program = {4, filter};\n"
         "  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);\n"
         "  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 1;\n"
         "  for (;;) pause();\n}\n";
}

bool may_read_filters() {
  const StatusFile own = StatusFile::of_process(getpid());
  constexpr unsigned kAdministrator = 21;  // CAP_SYS_ADMIN
  return (own.number("CapEff", 16) >> kAdministrator & 1U) != 0 && own.number("Seccomp") == 0;
}

void check_filter(const std::string& forbidden, const std::string& answer, const std::string& words) {
  INFO(forbidden << ' ' << answer);
  SpawnedProgram program(filtered_sleeper(forbidden, answer));
  REQUIRE(program.start());
  const Outcome outcome = inspect(program.pid());
  if (!may_read_filters()) return check_refused(outcome, "which leakwatch may not read");
  INFO(outcome.message);
  CHECK(outcome.status == (words.empty() ? 0 : 126));
  CHECK(outcome.says(words));
}

TEST_CASE("a seccomp filter is asked before anything is tried", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  check_filter("SYS_reboot", "SECCOMP_RET_KILL", "");
  check_filter("SYS_openat", "SECCOMP_RET_ERRNO | 1", "forbids openat, ");
  check_filter("SYS_openat", "SECCOMP_RET_ERRNO | 1", "which joining it needs. Permit that, or start");
  check_filter("SYS_mprotect", "SECCOMP_RET_ERRNO | 1", "which watching it needs. Permit that.");
  check_filter("SYS_connect", "SECCOMP_RET_KILL", "forbids connect on pain of death");
  check_filter("SYS_socket", "SECCOMP_RET_TRAP", "forbids socket of the family AF_UNIX on pain");
}

TEST_CASE("seccomp's strict mode is refused", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  SpawnedProgram program(
      "#include <linux/seccomp.h>\n#include <sys/prctl.h>\n#include <unistd.h>\n"
      "int main(void) { int ends[2]; char byte; pipe(ends); prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);\n"
      "  return read(ends[0], &byte, 1); }\n");
  REQUIRE(program.start());
  check_refused(inspect(program.pid()), "strict mode");
}

TEST_CASE("a process that sleeps is described without a look into it", "[attach]") {
  const CalledProgram program("read");
  const Outcome outcome = inspect(program.pid(), inspect_sleeping_process);
  INFO(outcome.message);
  REQUIRE(outcome.status == 0);
  CHECK(outcome.facts.pid == program.pid());
  CHECK(outcome.facts.executable == called_program());
  CHECK(outcome.facts.user == geteuid());
  CHECK(program.counters().interrupted == 0);
  check_refused(inspect(0x3ffffff, inspect_sleeping_process), "There is no process", 127);
}

// To wake it could end it.
TEST_CASE("a process that sleeps in a sandbox is not woken", "[attach]") {
  SpawnedProgram strict(
      "#include <linux/seccomp.h>\n#include <sys/prctl.h>\n#include <unistd.h>\n"
      "int main(void) { int ends[2]; char byte; pipe(ends); prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);\n"
      "  return read(ends[0], &byte, 1); }\n");
  REQUIRE(strict.start());
  check_refused(inspect(strict.pid(), inspect_sleeping_process), "strict mode");
  SpawnedProgram filtered(filtered_sleeper("SYS_connect", "SECCOMP_RET_KILL"));
  REQUIRE(filtered.start());
  const Outcome outcome = inspect(filtered.pid(), inspect_sleeping_process);
  INFO(outcome.message);
  CHECK(outcome.status == 126);
  CHECK((outcome.says("forbids connect on pain of death") || outcome.says("which leakwatch may not read")));
}

TEST_CASE("namespaces of a process are told", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  SpawnedProgram program(kSleeper);
  if (!program.start(CLONE_NEWNS | CLONE_NEWPID)) {
    WARN("skipped: no new namespaces here");
    return;
  }
  const Outcome outcome = inspect(program.pid());
  INFO(outcome.message);
  REQUIRE(outcome.status == 0);
}

// Our object's name is all that counts here.
TEST_CASE("our object in a process is found, with its build id", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const TemporaryFolder folder;
  const std::string library = folder.path() / "libleakwatch.so";
  std::ofstream(folder.path() / "own.c") << "int leakwatch_test(void) { return 1; }\n";
  fixture::run({"gcc", "-shared", "-fPIC", "-Wl,-soname,libleakwatch.so", "-Wl,--build-id=0xabad1dea", "-o", library,
                folder.path() / "own.c"});
  SpawnedProgram program(kSleeper, "-Wl,--no-as-needed " + library + " -Wl,-rpath," + folder.path().string());
  REQUIRE(program.start());
  const Outcome outcome = inspect(program.pid());
  INFO(outcome.message);
  REQUIRE(outcome.facts.object.has_value());
  CHECK(outcome.facts.object->path == library);
  CHECK(outcome.facts.object->build_id == "abad1dea");
  CHECK_FALSE(outcome.facts.object->has_operators);
}

}  // namespace
}  // namespace leakwatch
