// SPDX-License-Identifier: Apache-2.0
//
// Who calls at leakwatch's socket: the wanted process, with the preload's own code at the other end, and callers that
// lie, stop in the middle or say nothing. None may cost more than its second for each message. A caller of another user
// cannot be played here.
#include "cli/join/rendezvous.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "cli/base/descriptor.h"
#include "preload/connect.h"
#include "proto/handshake.h"
#include "tests/unit/catch.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {
namespace {

using handshake::Hello;
using handshake::Ready;
using handshake::Welcome;

constexpr std::uint64_t kPatienceNs = 1'000'000'000, kSlackNs = 1'500'000'000;

class Caller {
 public:
  explicit Caller(const Rendezvous& rendezvous) : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, rendezvous.path().c_str());
    REQUIRE(connect(socket_.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }

  template <class Message>
  void say(const Message& message, std::size_t bytes = sizeof(Message)) {
    REQUIRE(send(socket_.number(), &message, bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes));
  }

  // The answer, of magic 0 when there is none, and whether a descriptor came along.
  std::pair<Welcome, bool> hear() {
    Welcome welcome{};
    iovec bytes{&welcome, sizeof welcome};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(socket_.number(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) welcome.magic = 0;
    const cmsghdr* head = CMSG_FIRSTHDR(&message);
    if (head == nullptr) return {welcome, false};
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
    return {welcome, Descriptor(descriptor).is_open()};
  }

  void hang_up() { socket_.reset(); }

 private:
  Descriptor socket_;
};

Hello hello() {
  return {handshake::kMagic, handshake::kVersion, shared::kVersion, static_cast<std::uint32_t>(getpid()), 0};
}
Ready ready() {
  return {handshake::kMagic, 1, 0};
}

struct Outcome {
  std::optional<Rendezvous::Guest> guest;
  std::uint64_t nanoseconds;
};

Outcome accept(Rendezvous& rendezvous, pid_t wanted = getpid()) {
  const std::uint64_t begin = monotonic_ns();
  std::optional<Rendezvous::Guest> guest = rendezvous.accept(wanted, {});
  return {std::move(guest), monotonic_ns() - begin};
}

TEST_CASE("the wanted caller gets the memory and is a guest") {
  Rendezvous rendezvous;
  Caller caller(rendezvous);
  caller.say(hello());
  caller.say(ready());
  const Outcome outcome = accept(rendezvous);
  REQUIRE(outcome.guest);
  CHECK(outcome.guest->error.empty());
  CHECK(outcome.guest->region->descriptor() == -1);
  CHECK(outcome.guest->facts.pid == getpid());
  CHECK(outcome.guest->facts.shares_pid_namespace);
  const auto [welcome, has_memory] = caller.hear();
  CHECK(welcome.magic == handshake::kMagic);
  CHECK(welcome.answer == static_cast<std::uint32_t>(handshake::Answer::kWatch));
  CHECK(has_memory);
}

TEST_CASE("the preload's own end of the handshake maps the same memory") {
  Rendezvous rendezvous;
  preload::Connection connection{};
  std::thread target([&] { connection = preload::connect_to_leakwatch(rendezvous.path().c_str()); });
  Outcome outcome{};
  for (int i = 0; i < 500 && !outcome.guest; ++i) {
    outcome = accept(rendezvous);
    if (!outcome.guest) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  target.join();
  REQUIRE(outcome.guest);
  CHECK(outcome.guest->error.empty());
  REQUIRE(connection.memory != nullptr);
  connection.memory->lost_frees = 77;
  CHECK(outcome.guest->region->header().lost_frees == 77);
  munmap(connection.memory, connection.memory->total_bytes);
}

TEST_CASE("a process that is not the wanted one is sent away") {
  Rendezvous rendezvous;
  Caller caller(rendezvous);
  caller.say(hello());
  CHECK_FALSE(accept(rendezvous, getpid() + 1).guest);
  const auto [welcome, has_memory] = caller.hear();
  CHECK(welcome.answer == static_cast<std::uint32_t>(handshake::Answer::kIgnore));
  CHECK_FALSE(has_memory);
}

TEST_CASE("a pid in the message does not make a caller the wanted one") {
  Rendezvous rendezvous;
  Caller caller(rendezvous);
  Hello lie = hello();
  lie.pid = static_cast<std::uint32_t>(getpid() + 1);
  caller.say(lie);
  CHECK_FALSE(accept(rendezvous, getpid() + 1).guest);
}

TEST_CASE("a caller that knows itself by another pid lives in another namespace") {
  Rendezvous rendezvous;
  Caller caller(rendezvous);
  Hello other = hello();
  other.pid = 1;
  caller.say(other);
  caller.say(ready());
  const Outcome outcome = accept(rendezvous);
  REQUIRE(outcome.guest);
  CHECK_FALSE(outcome.guest->facts.shares_pid_namespace);
  CHECK(outcome.guest->facts.pid == getpid());
}

TEST_CASE("an object of another version is sent away") {
  for (const bool of_handshake : {true, false}) {
    Rendezvous rendezvous;
    Caller caller(rendezvous);
    Hello other = hello();
    ++(of_handshake ? other.version : other.shared_memory_version);
    caller.say(other);
    CHECK_FALSE(accept(rendezvous).guest);
    const auto [welcome, has_memory] = caller.hear();
    CHECK(welcome.answer == static_cast<std::uint32_t>(handshake::Answer::kIgnore));
    CHECK_FALSE(has_memory);
  }
}

TEST_CASE("a caller with a wrong magic or a short message gets no answer") {
  Rendezvous rendezvous;
  Caller wrong(rendezvous), brief(rendezvous);
  Hello lie = hello();
  lie.magic ^= 1;
  wrong.say(lie);
  brief.say(hello(), sizeof(Hello) - 1);
  for (Caller* caller : {&wrong, &brief}) {
    const Outcome outcome = accept(rendezvous);
    CHECK_FALSE(outcome.guest);
    CHECK(outcome.nanoseconds < kPatienceNs);
    CHECK(caller->hear().first.magic == 0);
  }
}

TEST_CASE("a silent caller costs its second and no more") {
  Rendezvous rendezvous;
  Caller caller(rendezvous);
  const Outcome outcome = accept(rendezvous);
  CHECK_FALSE(outcome.guest);
  CHECK(outcome.nanoseconds < kPatienceNs + kSlackNs);
}

TEST_CASE("a caller that never says whether it mapped the memory is a guest with an error") {
  Rendezvous rendezvous;
  Caller caller(rendezvous);
  caller.say(hello());
  const Outcome outcome = accept(rendezvous);
  REQUIRE(outcome.guest);
  CHECK(outcome.guest->error.find("handshake") != std::string::npos);
  CHECK(outcome.nanoseconds < kPatienceNs + kSlackNs);
}

TEST_CASE("a caller that could not map the memory is a guest with that error") {
  Rendezvous rendezvous;
  Caller caller(rendezvous);
  caller.say(hello());
  caller.say(Ready{handshake::kMagic, 0, 0});
  const Outcome outcome = accept(rendezvous);
  REQUIRE(outcome.guest);
  CHECK(outcome.guest->error.find("ulimit -v") != std::string::npos);
}

TEST_CASE("a caller that hangs up costs nothing") {
  Rendezvous rendezvous;
  Caller at_once(rendezvous), after_hello(rendezvous);
  at_once.hang_up();
  after_hello.say(hello());
  after_hello.hang_up();
  CHECK_FALSE(accept(rendezvous).guest);
  const Outcome outcome = accept(rendezvous);
  CHECK((!outcome.guest || !outcome.guest->error.empty()));
  CHECK(outcome.nanoseconds < kPatienceNs);
}

TEST_CASE("without a caller there is nothing to wait for") {
  Rendezvous rendezvous;
  const Outcome outcome = accept(rendezvous);
  CHECK_FALSE(outcome.guest);
  CHECK(outcome.nanoseconds < kPatienceNs);
}

TEST_CASE("a path that LD_PRELOAD cannot carry is reached through a link") {
  TemporaryFolder folder;
  std::string link;
  {
    Rendezvous rendezvous;
    CHECK(rendezvous.plain_path("/usr/lib/x.so") == "/usr/lib/x.so");
    const std::filesystem::path below = folder.path() / "a b" / "libleakwatch.so";
    link = rendezvous.plain_path(below);
    CHECK(link.find_first_of(" :") == std::string::npos);
    CHECK(std::filesystem::read_symlink(link) == below);
  }
  CHECK_FALSE(std::filesystem::is_symlink(link));
}

TEST_CASE("the socket's folder is its owner's alone unless all users may be watched, and gone afterwards") {
  std::filesystem::path folder;
  {
    const Rendezvous rendezvous;
    folder = std::filesystem::path(rendezvous.path()).parent_path();
    struct stat status {};
    REQUIRE(stat(folder.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == (geteuid() == 0 ? 0755 : 0700));
    CHECK(status.st_uid == geteuid());
  }
  CHECK_FALSE(std::filesystem::exists(folder));
}

}  // namespace
}  // namespace leakwatch
