// SPDX-License-Identifier: Apache-2.0
//
// The filter language, instruction by instruction; the answers of whole filters against the kernel's own are in
// attach_check_test.cc.
#include "cli/process/seccomp_filter.h"

#include <linux/audit.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstddef>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

seccomp_data call_of(int number, std::uint64_t first = 0) {
  seccomp_data call{};
  call.nr = number;
  call.arch = AUDIT_ARCH_X86_64;
  call.args[0] = first;
  return call;
}

sock_filter load(std::uint32_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
sock_filter give(std::uint32_t answer) {
  return BPF_STMT(BPF_RET | BPF_K, answer);
}
const sock_filter kGiveA = BPF_STMT(BPF_RET | BPF_A, 0);

std::uint32_t run(const SeccompFilter& filter, const seccomp_data& call = call_of(SYS_read, 0x1234'5678'9abc'def0)) {
  return run_seccomp_filter(filter, call);
}

TEST_CASE("a filter sees the call") {
  CHECK(run({load(offsetof(seccomp_data, nr)), kGiveA}) == SYS_read);
  CHECK(run({load(offsetof(seccomp_data, arch)), kGiveA}) == AUDIT_ARCH_X86_64);
  CHECK(run({load(offsetof(seccomp_data, args)), kGiveA}) == 0x9abcdef0);
  CHECK(run({load(offsetof(seccomp_data, args) + 4), kGiveA}) == 0x12345678);
  CHECK(run({BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), kGiveA}) == sizeof(seccomp_data));
}

TEST_CASE("a filter calculates") {
  struct Case {
    std::uint16_t operation;
    std::uint32_t result;
  };
  const Case cases[] = {{BPF_ADD, 103},    {BPF_SUB, 97},      {BPF_MUL, 300}, {BPF_DIV, 33}, {BPF_AND, 100 & 3},
                        {BPF_OR, 100 | 3}, {BPF_XOR, 100 ^ 3}, {BPF_LSH, 800}, {BPF_RSH, 12}};
  for (const Case& each : cases) {
    INFO(each.operation);
    const auto by = [&](std::uint16_t source) { return static_cast<std::uint16_t>(BPF_ALU | each.operation | source); };
    const sock_filter hundred = BPF_STMT(BPF_LD | BPF_IMM, 100), three = BPF_STMT(BPF_LDX | BPF_IMM, 3);
    CHECK(run({hundred, BPF_STMT(by(BPF_K), 3), kGiveA}) == each.result);
    CHECK(run({three, hundred, BPF_STMT(by(BPF_X), 0), kGiveA}) == each.result);
  }
  CHECK(run({BPF_STMT(BPF_LD | BPF_IMM, 1), BPF_STMT(BPF_ALU | BPF_NEG, 0), kGiveA}) == 0xffffffff);
}

TEST_CASE("a filter remembers") {
  CHECK(run({BPF_STMT(BPF_LD | BPF_IMM, 7), BPF_STMT(BPF_ST, 15), BPF_STMT(BPF_LD | BPF_IMM, 0),
             BPF_STMT(BPF_LD | BPF_MEM, 15), kGiveA}) == 7);
  CHECK(run({BPF_STMT(BPF_LDX | BPF_IMM, 8), BPF_STMT(BPF_STX, 0), BPF_STMT(BPF_LDX | BPF_MEM, 0),
             BPF_STMT(BPF_MISC | BPF_TXA, 0), kGiveA}) == 8);
  CHECK(run({BPF_STMT(BPF_LD | BPF_IMM, 9), BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_IMM, 0),
             BPF_STMT(BPF_MISC | BPF_TXA, 0), kGiveA}) == 9);
}

TEST_CASE("a filter decides") {
  const auto taken = [](std::uint16_t operation, std::uint32_t a, std::uint32_t k) {
    return run({BPF_STMT(BPF_LD | BPF_IMM, a),
                sock_filter{static_cast<std::uint16_t>(BPF_JMP | operation | BPF_K), 1, 0, k}, give(0), give(1)}) == 1;
  };
  CHECK(taken(BPF_JEQ, 5, 5));
  CHECK_FALSE(taken(BPF_JEQ, 5, 6));
  CHECK(taken(BPF_JGT, 6, 5));
  CHECK_FALSE(taken(BPF_JGT, 5, 5));
  CHECK(taken(BPF_JGE, 5, 5));
  CHECK_FALSE(taken(BPF_JGE, 4, 5));
  CHECK(taken(BPF_JSET, 6, 2));
  CHECK_FALSE(taken(BPF_JSET, 6, 1));
  CHECK(run({BPF_STMT(BPF_JMP | BPF_JA, 1), give(0), give(1)}) == 1);
}

TEST_CASE("what is no filter kills, and ends") {
  const std::uint32_t kill = SECCOMP_RET_KILL_PROCESS;
  CHECK(run({}) == kill);
  CHECK(run({load(0)}) == kill);
  CHECK(run({load(sizeof(seccomp_data) - 3), give(0)}) == kill);
  CHECK(run({BPF_STMT(BPF_ST, 16), give(0)}) == kill);
  CHECK(run({BPF_STMT(BPF_LD | BPF_MEM, 16), give(0)}) == kill);
  CHECK(run({BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), give(0)}) == kill);
  CHECK(run({BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), give(0)}) == kill);
  CHECK(run({BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), give(0)}) == kill);
}

SeccompFilter all_but(int number, std::uint32_t answer) {
  return {load(offsetof(seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1), give(answer),
          give(SECCOMP_RET_ALLOW)};
}

TEST_CASE("the call that a filter forbids is named") {
  CHECK_FALSE(find_forbidden_call({}).has_value());
  const SeccompFilter harmless = all_but(SYS_reboot, SECCOMP_RET_KILL), logs = all_but(SYS_mmap, SECCOMP_RET_LOG);
  CHECK_FALSE(find_forbidden_call(std::vector{harmless, logs}).has_value());
  const SeccompFilter denies = all_but(SYS_connect, SECCOMP_RET_ERRNO), kills = all_but(SYS_connect, SECCOMP_RET_TRAP);
  const auto denied = find_forbidden_call(std::vector{harmless, denies});
  REQUIRE(denied.has_value());
  CHECK(denied->name == "connect");
  CHECK_FALSE(denied->is_fatal);
  const auto killed = find_forbidden_call(std::vector{kills, harmless});
  REQUIRE(killed.has_value());
  CHECK(killed->is_fatal);
}

TEST_CASE("a file in memory needs another call, which other ways do without") {
  const std::vector<SeccompFilter> filters = {all_but(SYS_memfd_create, SECCOMP_RET_KILL)};
  CHECK_FALSE(find_forbidden_call(filters).has_value());
  const auto forbidden = find_forbidden_call(filters, JoiningCalls::kOfMemoryFile);
  REQUIRE(forbidden.has_value());
  CHECK(forbidden->name == "memfd_create");
  CHECK(forbidden->is_fatal);
}

TEST_CASE("a filter that looks at arguments is asked about ours") {
  const auto socket_of = [](std::uint32_t family) {
    return SeccompFilter{load(offsetof(seccomp_data, nr)),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
                         load(offsetof(seccomp_data, args)),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family, 1, 0),
                         give(SECCOMP_RET_ERRNO),
                         give(SECCOMP_RET_ALLOW)};
  };
  const std::vector<SeccompFilter> ours = {socket_of(AF_UNIX)}, another = {socket_of(AF_INET)};
  CHECK_FALSE(find_forbidden_call(ours).has_value());
  CHECK(find_forbidden_call(another)->name == "socket of the family AF_UNIX");
}

}  // namespace
}  // namespace leakwatch
