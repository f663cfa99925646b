// SPDX-License-Identifier: Apache-2.0
//
// Both ends of a wake page: a child stands for the process that sleeps, with the preload's end, and the test calls it.

#include "cli/join/wake_page.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "cli/base/error.h"
#include "preload/wake_page.h"
#include "symbolize/process_maps.h"
#include "tests/unit/catch.h"
#include "tests/unit/thread_target.h"

namespace leakwatch {
namespace {

using attach::Outcome;

// What the sleeping processes of a test tell, in memory that they share with it.
struct Told {
  std::atomic<std::uint32_t> ready;  // processes
  std::atomic<std::uint32_t> answers;
  std::atomic<std::uint32_t> process;  // that answered last
  std::atomic<std::uint32_t> action;
  char socket[wake::kPathBytes];
  std::atomic<bool> may_look;
  std::atomic<bool> is_over;
};
Told* told = static_cast<Told*>(mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

Outcome answer(const preload::WakeCall& call) {
  ++told->answers;
  told->process = static_cast<std::uint32_t>(getpid());
  told->action = static_cast<std::uint32_t>(call.action);
  std::memcpy(told->socket, call.socket, sizeof told->socket);
  return call.action == wake::Action::kAttach ? Outcome::kNoMemory : Outcome::kNotAttached;
}

void look_until_over(preload::WakePage& page) {
  ++told->ready;
  while (!told->is_over) {
    page.look(0);
    usleep(500);
  }
}

class Sleeper {
 public:
  explicit Sleeper(const std::function<void(preload::WakePage&)>& live = look_until_over) {
    new (told) Told{};
    pid_ = fork();
    if (pid_ != 0) return;
    static preload::WakePage page;
    if (!page.open(answer)) _exit(1);
    live(page);
    _exit(0);
  }
  ~Sleeper() { end(); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  pid_t pid() const { return pid_; }
  std::uint32_t number() const { return static_cast<std::uint32_t>(pid_); }
  void must_look(std::uint32_t processes = 1) const {
    REQUIRE(waits_for([&] { return told->ready == processes; }));
  }
  int end() {
    int status = 0;
    told->is_over = true;
    if (pid_ > 0 && !waits_for([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
    }
    pid_ = 0;
    return status;
  }
  std::string path() const {
    for (const MemoryMapping& mapping : parse_maps(read_maps_text(pid_))) {
      if (mapping.name.find(wake::kNamePrefix) != std::string::npos) return mapping.name;
    }
    return {};
  }

 private:
  pid_t pid_ = 0;
};

WakePage only_page(pid_t pid) {
  WakePages found = find_wake_pages(pid);
  INFO(found.obstacle);
  REQUIRE(found.pages.size() == 1);
  CHECK(found.is_certain);
  CHECK(found.obstacle.empty());
  return std::move(found.pages[0]);
}

void check_unusable(const Sleeper& sleeper, const std::string& words) {
  const WakePages found = find_wake_pages(sleeper.pid());
  CHECK(found.pages.empty());
  INFO(found.obstacle);
  CHECK(found.obstacle.find(words) != std::string::npos);
}

TEST_CASE("a process that sleeps is called by its page, and answers", "[wake]") {
  Sleeper sleeper;
  sleeper.must_look();
  WakePage page = only_page(sleeper.pid());
  CHECK(page.executable() == std::filesystem::read_symlink("/proc/self/exe"));
  CHECK(page.named_folder() + "/" + std::filesystem::path(sleeper.path()).filename().string() == sleeper.path());
  CHECK_FALSE(page.is_taken());
  page.call(sleeper.number(), wake::Action::kAttach, "/somewhere/socket");
  REQUIRE(waits_for([&] { return page.answer().has_value(); }));
  CHECK(page.is_taken());
  CHECK(page.answer() == Outcome::kNoMemory);
  CHECK(std::string(told->socket) == "/somewhere/socket");
  page.withdraw();
  page.call(sleeper.number(), wake::Action::kDetach);
  REQUIRE(waits_for([&] { return page.answer().has_value(); }));
  CHECK(page.answer() == Outcome::kNotAttached);
  CHECK(told->action == static_cast<std::uint32_t>(wake::Action::kDetach));
  page.call_again();  // is not followed twice
  usleep(20'000);
  CHECK(told->answers == 2);
}

TEST_CASE("a call that is withdrawn, or meant for somebody else, is none", "[wake]") {
  Sleeper sleeper([](preload::WakePage& page) {
    while (!told->may_look && !told->is_over) usleep(500);
    look_until_over(page);
  });
  REQUIRE(waits_for([&] { return !sleeper.path().empty(); }));
  WakePage page = only_page(sleeper.pid());
  page.call(sleeper.number(), wake::Action::kAttach, "/withdrawn");
  page.withdraw();
  told->may_look = true;
  sleeper.must_look();
  page.call(sleeper.number() + 1, wake::Action::kAttach, "/another");
  usleep(20'000);
  CHECK(told->answers == 0);
  page.call(sleeper.number(), wake::Action::kDetach);
  REQUIRE(waits_for([&] { return page.answer().has_value(); }));
  CHECK(told->answers == 1);
}

TEST_CASE("children have their parent's page, and are told apart", "[wake]") {
  Sleeper sleeper([](preload::WakePage& page) {
    const pid_t child = fork();
    if (child == 0) page.after_fork_in_child();
    look_until_over(page);
    if (child > 0) waitpid(child, nullptr, 0);
  });
  sleeper.must_look(2);
  pid_t child = 0;
  std::ifstream(fmt::format("/proc/{0}/task/{0}/children", sleeper.pid())) >> child;
  REQUIRE(child != 0);
  for (const pid_t wanted : {child, sleeper.pid(), child}) {
    WakePage page = only_page(wanted);
    page.call(static_cast<std::uint32_t>(wanted), wake::Action::kDetach);
    REQUIRE(waits_for([&] { return page.answer().has_value(); }));
    CHECK(told->process == static_cast<std::uint32_t>(wanted));
  }
  CHECK(told->answers == 3);
}

TEST_CASE("processes with one page are called at the same time, also by who has gone since", "[wake]") {
  Sleeper sleeper([](preload::WakePage& page) {
    const pid_t child = fork();
    if (child == 0) page.after_fork_in_child();
    ++told->ready;
    while (!told->may_look && !told->is_over) usleep(500);
    look_until_over(page);
    if (child > 0) waitpid(child, nullptr, 0);
  });
  sleeper.must_look(2);
  pid_t child = 0;
  std::ifstream(fmt::format("/proc/{0}/task/{0}/children", sleeper.pid())) >> child;
  REQUIRE(child != 0);
  WakePage to_parent = only_page(sleeper.pid());
  to_parent.call(sleeper.number(), wake::Action::kAttach, "/parent");
  only_page(sleeper.pid()).call(static_cast<std::uint32_t>(child), wake::Action::kDetach);
  WakePage to_nobody = only_page(sleeper.pid());
  to_nobody.call(1, wake::Action::kAttach, "/nobody");
  told->may_look = true;
  REQUIRE(waits_for([&] { return to_parent.answer().has_value(); }));
  CHECK(to_parent.answer() == Outcome::kNoMemory);
  CHECK(waits_for([&] { return told->answers == 2; }));
  CHECK_FALSE(to_nobody.is_taken());
}

TEST_CASE("places for calls are used again", "[wake]") {
  Sleeper sleeper;
  sleeper.must_look();
  for (std::uint32_t i = 1; i <= 3 * wake::kCalls; ++i) {
    only_page(sleeper.pid()).call(i == 1 ? 1 : 0x70000000 + i, wake::Action::kDetach);  // left behind by its caller
    WakePage page = only_page(sleeper.pid());
    page.call(sleeper.number(), wake::Action::kDetach);
    REQUIRE(waits_for([&] { return page.answer().has_value(); }));
  }
  std::vector<WakePage> callers;
  for (std::size_t i = 0; i < wake::kCalls; ++i) {
    callers.push_back(only_page(sleeper.pid()));
    callers.back().call(1, wake::Action::kDetach);
  }
  WakePage one_more = only_page(sleeper.pid());
  CHECK_THROWS_AS(one_more.call(1, wake::Action::kDetach), Error);
  callers.back().withdraw();
  one_more.call(sleeper.number(), wake::Action::kDetach);
  CHECK(waits_for([&] { return one_more.answer().has_value(); }));
}

// Any system call of this thread but its last ends the process. (Not the kernel's strict mode: it forbids to end the
// threads of a sanitizer as well, and the process would stay.)
void permit_to_end_only() {
  sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  const sock_fprog program{sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    _exit(1);
}

TEST_CASE("to look whether somebody calls is no system call", "[wake]") {
  Sleeper sleeper([](preload::WakePage& page) {
    permit_to_end_only();
    ++told->ready;
    while (!told->is_over) page.look(0);
    syscall(SYS_exit_group, 7);
  });
  sleeper.must_look();
  WakePage page = only_page(sleeper.pid());
  page.call(sleeper.number() + 1, wake::Action::kAttach, "/another");
  page.call_again();
  usleep(20'000);
  const int status = sleeper.end();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("pages of processes that have ended go, and others stay", "[wake]") {
  Sleeper alive([](preload::WakePage&) {
    ++told->ready;
    while (true) pause();
  });
  alive.must_look();
  std::vector<std::string> gone;
  for (int i = 0; i < 2; ++i) {
    Sleeper sleeper;
    sleeper.must_look();
    for (const std::string& path : gone) CHECK_FALSE(std::filesystem::exists(path));  // the next one to start does it
    gone.push_back(sleeper.path());
    CHECK(std::filesystem::exists(gone.back()));
    sleeper.end();
    CHECK(std::filesystem::exists(gone.back()));
  }
  remove_abandoned_wake_pages();
  for (const std::string& path : gone) CHECK_FALSE(std::filesystem::exists(path));
  CHECK(std::filesystem::exists(alive.path()));
  kill(alive.pid(), SIGKILL);
}

TEST_CASE("a page that is open to others, linked elsewhere or of another version is not used", "[wake]") {
  Sleeper sleeper;
  sleeper.must_look();
  const std::string path = sleeper.path();
  chmod(path.c_str(), 0644);
  check_unusable(sleeper, "out of reach");
  chmod(path.c_str(), 0600);
  const std::string second = std::filesystem::path(path).parent_path() / "leakwatch-second-link";
  std::filesystem::create_hard_link(path, second);
  check_unusable(sleeper, "out of reach");
  std::filesystem::remove(second);
  only_page(sleeper.pid());
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  const std::uint32_t other = wake::kVersion + 1;
  REQUIRE(pwrite(file, &other, sizeof other, offsetof(wake::Page, version)) == sizeof other);
  close(file);
  check_unusable(sleeper, "another version");
  std::filesystem::remove(path);
  check_unusable(sleeper, "was removed");
}

TEST_CASE("a process without a page is not asleep, and nothing speaks against it", "[wake]") {
  const WakePages found = find_wake_pages(getpid());
  CHECK(found.pages.empty());
  CHECK(found.obstacle.empty());
  CHECK(find_wake_pages(0x3ffffff).pages.empty());
}

}  // namespace
}  // namespace leakwatch
