// SPDX-License-Identifier: Apache-2.0
//
// See the header. Everything that leakwatch says is checked once, here: the target must not crash over a CLI of another
// version, nor over a socket that somebody else listens on.

#include "preload/connect.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "preload/clock.h"
#include "preload/descriptor.h"
#include "preload/private_memory.h"
#include "preload/system.h"

namespace leakwatch::preload {

namespace {

bool wait_until(long socket, short events, std::uint64_t deadline) {
  while (true) {
    const std::uint64_t now = monotonic_ns();
    if (now >= deadline) return false;
    pollfd one{static_cast<int>(socket), events, 0};
    const long answer =
        system_call(SYS_poll, as_argument(&one), 1, static_cast<long>((deadline - now) / 1'000'000 + 1));
    if (answer > 0) return true;
    if (answer != -EINTR && answer != 0) return false;
  }
}

bool connect_socket(long socket, const char* path, std::uint64_t deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof address.sun_path) return false;
  std::strcpy(address.sun_path, path);
  while (true) {
    const long answer = system_call(SYS_connect, socket, as_argument(&address), sizeof address);
    if (answer == 0) return true;
    // EAGAIN: the queue of the listener is full.
    if ((answer != -EAGAIN && answer != -EINTR) || monotonic_ns() >= deadline) return false;
    nap();
  }
}

// The Welcome, and the descriptor that came with it or -1.
long receive_welcome(long socket, handshake::Welcome& welcome) {
  iovec bytes{&welcome, sizeof welcome};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  long got;
  do got = system_call(SYS_recvmsg, socket, as_argument(&message), MSG_CMSG_CLOEXEC);
  while (got == -EINTR);
  int descriptor = -1;
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (got >= 0 && head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
      head->cmsg_len == CMSG_LEN(sizeof descriptor))
    std::memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
  if (got != sizeof welcome || welcome.magic != handshake::kMagic || welcome.version != handshake::kVersion)
    welcome = {};
  return descriptor;
}

bool fits(std::uint64_t offset, std::uint64_t bytes, std::uint64_t total) {
  return offset % 8 == 0 && offset >= sizeof(shared::Header) && offset <= total && bytes <= total - offset;
}

bool is_sane(const shared::Header& h, std::uint64_t bytes) {
  return h.magic == shared::kMagic && h.version == shared::kVersion && h.total_bytes == bytes &&
         h.sample_interval > 0 && h.max_depth > 0 && h.max_depth <= shared::kMaxDepth && h.ring_count >= 2 &&
         h.ring_count <= shared::kMostRings && h.ring_words >= 64 && h.ring_words <= (1u << 24) &&
         (h.ring_words & (h.ring_words - 1)) == 0 && fits(h.rings_offset, h.ring_count * sizeof(shared::Ring), bytes) &&
         fits(h.words_offset, h.ring_count * h.ring_words * 8, bytes) && h.stacks_words < bytes / 8 &&
         fits(h.stacks_offset, h.stacks_words * 8, bytes) && fits(h.modules_offset, h.modules_bytes, bytes);
}

// Rings' words and stacks are opened as they are used.
bool open_fixed_areas(shared::Header* header) {
  const char* base = reinterpret_cast<const char*>(header);
  return open_pages(base + header->rings_offset, header->ring_count * sizeof(shared::Ring)) &&
         open_pages(base + header->words_offset, header->ring_words * 8) &&
         open_pages(base + header->modules_offset, header->modules_bytes);
}

shared::Header* map_memory(long descriptor) {
  struct stat status {};
  constexpr long kNeeded = F_SEAL_SHRINK | F_SEAL_GROW;
  if (system_call(SYS_fstat, descriptor, as_argument(&status)) != 0) return nullptr;
  // Without the seal somebody could cut the file under our feet: SIGBUS.
  if ((system_call(SYS_fcntl, descriptor, F_GET_SEALS) & kNeeded) != kNeeded) return nullptr;
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (bytes < sizeof(shared::Header)) return nullptr;
  const long address =
      system_call(SYS_mmap, 0, static_cast<long>(bytes), PROT_NONE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  if (is_error(address)) return nullptr;
  leave_out_of_core_dumps(address, bytes);
  auto* header = reinterpret_cast<shared::Header*>(address);
  if (system_call(SYS_madvise, address, static_cast<long>(bytes), MADV_DONTFORK) == 0 &&
      open_pages(header, sizeof *header) && is_sane(*header, bytes) && open_fixed_areas(header))
    return header;
  system_call(SYS_munmap, address, static_cast<long>(bytes));
  return nullptr;
}

}  // namespace

Connection connect_to_leakwatch(const char* socket_path) {
  Connection connection{};
  const std::uint64_t deadline = monotonic_ns() + handshake::kTimeoutNs;
  const Descriptor socket(system_call(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open() || !connect_socket(socket.number(), socket_path, deadline)) return connection;
  const handshake::Hello hello{handshake::kMagic, handshake::kVersion, shared::kVersion,
                               static_cast<std::uint32_t>(system_call(SYS_getpid)), 0};
  if (system_call(SYS_sendto, socket.number(), as_argument(&hello), sizeof hello, MSG_NOSIGNAL) != sizeof hello ||
      !wait_until(socket.number(), POLLIN, deadline))
    return connection;
  const Descriptor memory(receive_welcome(socket.number(), connection.welcome));
  const auto answer = static_cast<handshake::Answer>(connection.welcome.answer);
  if (answer == handshake::Answer::kWatch && memory.is_open()) connection.memory = map_memory(memory.number());
  const handshake::Ready ready{handshake::kMagic, connection.memory != nullptr, 0};
  system_call(SYS_sendto, socket.number(), as_argument(&ready), sizeof ready, MSG_NOSIGNAL);
  return connection;
}

}  // namespace leakwatch::preload
