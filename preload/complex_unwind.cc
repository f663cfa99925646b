// SPDX-License-Identifier: Apache-2.0
//
// See the header. libunwind walks from registers captured here, through our own frames, which are left out; it runs on
// a private stack, because it wants kilobytes and the program's thread may have few.

#include "preload/complex_unwind.h"

#include <dlfcn.h>
#include <libunwind-x86_64.h>
#include <ucontext.h>

#include <atomic>
#include <cstring>

#include "preload/own_object.h"
#include "preload/private_memory.h"
#include "preload/session.h"
#include "preload/unwind.h"
#include "preload/watched_call.h"

namespace leakwatch::preload {

namespace {

constexpr std::size_t kStackBytes = std::size_t{128} * 1024;

// The functions of libunwind-x86_64.so.8 that we call; the names are those behind the macros of its headers.
struct Libunwind {
  unw_addr_space_t (*create_addr_space)(unw_accessors_t*, int);
  int (*init_remote)(unw_cursor_t*, unw_addr_space_t, void*);
  int (*step)(unw_cursor_t*);
  int (*get_reg)(unw_cursor_t*, int, unw_word_t*);
  int (*is_signal_frame)(unw_cursor_t*);
  int (*search_unwind_table)(unw_addr_space_t, unw_word_t, unw_dyn_info_t*, unw_proc_info_t*, int, void*);
};
Libunwind libunwind;
unw_addr_space_t address_space;
char* private_stack;
std::atomic<std::uint32_t> busy{0};

struct Registers {
  std::uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

struct Request {
  Session* session;
  Registers registers;
  // The stacks that the walk has come by: a handler's, and those that signals interrupted. Saved registers may be on
  // any.
  StackExtent extents[4];
  std::uint32_t extent_count;
  std::uint64_t* addresses;
  std::uint32_t max_depth;
  std::uint32_t depth;
};

bool on_a_stack(const Request& request, std::uint64_t address) {
  for (std::uint32_t i = 0; i < request.extent_count; ++i) {
    if (request.extents[i].holds(address)) return true;
  }
  return false;
}

void add_extent(Request& request, const StackExtent& extent) {
  constexpr std::uint32_t kMost = sizeof request.extents / sizeof *request.extents;
  if (request.extent_count < kMost) request.extents[request.extent_count++] = extent;
}

int access_memory(unw_addr_space_t, unw_word_t address, unw_word_t* value, int write, void* argument) {
  const Request& request = *static_cast<Request*>(argument);
  dl_find_object found;
  const bool stack = on_a_stack(request, address);
  const bool in_module = !stack && request.session->modules.find(address, found) &&
                         address + 8 <= reinterpret_cast<std::uintptr_t>(found.dlfo_map_end);
  if (write != 0 || (!in_module && !stack)) return -UNW_EINVAL;
  std::memcpy(value, reinterpret_cast<const void*>(address), sizeof *value);
  return 0;
}

int access_register(unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int write, void* argument) {
  const Registers& registers = static_cast<Request*>(argument)->registers;
  if (write != 0) return -UNW_EREADONLYREG;
  switch (number) {
    case UNW_X86_64_RBX:
      *value = registers.rbx;
      return 0;
    case UNW_X86_64_RBP:
      *value = registers.rbp;
      return 0;
    case UNW_X86_64_R12:
      *value = registers.r12;
      return 0;
    case UNW_X86_64_R13:
      *value = registers.r13;
      return 0;
    case UNW_X86_64_R14:
      *value = registers.r14;
      return 0;
    case UNW_X86_64_R15:
      *value = registers.r15;
      return 0;
    case UNW_X86_64_RSP:
      *value = registers.rsp;
      return 0;
    case UNW_X86_64_RIP:
      *value = registers.rip;
      return 0;
    default:
      *value = 0;
      return 0;  // a scratch register: nobody's caller needs it
  }
}

// .eh_frame_hdr: version, three encodings, the frame's pointer (4 bytes in practice), the count, the sorted table.
int find_procedure(unw_addr_space_t space, unw_word_t pc, unw_proc_info_t* info, int need_unwind_info, void* argument) {
  dl_find_object found;
  if (!static_cast<Request*>(argument)->session->modules.find(pc, found) || found.dlfo_eh_frame == nullptr)
    return -UNW_ENOINFO;
  const auto* header = static_cast<const std::uint8_t*>(found.dlfo_eh_frame);
  constexpr std::uint8_t kPcRelativeSigned4 = 0x1b, kUnsigned4 = 0x03, kDataRelativeSigned4 = 0x3b;
  if (header[0] != 1 || header[1] != kPcRelativeSigned4 || header[2] != kUnsigned4 || header[3] != kDataRelativeSigned4)
    return -UNW_ENOINFO;
  std::uint32_t count;
  std::memcpy(&count, header + 8, sizeof count);
  unw_dyn_info_t table{};
  table.start_ip = reinterpret_cast<std::uintptr_t>(found.dlfo_map_start);
  table.end_ip = reinterpret_cast<std::uintptr_t>(found.dlfo_map_end);
  table.format = UNW_INFO_FORMAT_REMOTE_TABLE;
  table.u.rti.segbase = reinterpret_cast<std::uintptr_t>(header);
  table.u.rti.table_data = reinterpret_cast<std::uintptr_t>(header + 12);
  table.u.rti.table_len = count * std::uint64_t{8} / sizeof(unw_word_t);
  return libunwind.search_unwind_table(space, pc, &table, info, need_unwind_info, argument);
}

void put_unwind_info(unw_addr_space_t, unw_proc_info_t*, void*) {}
int no_dynamic_info(unw_addr_space_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}
int no_float_register(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) {
  return -UNW_EBADREG;
}
int no_resume(unw_addr_space_t, unw_cursor_t*, void*) {
  return -UNW_EINVAL;
}
int no_name(unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}

void finish(Request& request, shared::Mark mark) {
  request.addresses[request.depth++] = static_cast<std::uint64_t>(mark);
}

void walk(Request* request) {
  unw_cursor_t cursor;
  request->depth = 0;
  if (libunwind.init_remote(&cursor, address_space, request) < 0) return finish(*request, shared::Mark::kUnknownCaller);
  bool interrupted = false;
  while (true) {
    unw_word_t pc = 0, sp = 0;
    libunwind.get_reg(&cursor, UNW_REG_IP, &pc);
    libunwind.get_reg(&cursor, UNW_REG_SP, &sp);
    if (pc == 0) return;
    const bool is_ours = request->depth == 0 ? own_object_contains(pc) : request->session->is_own_code(pc);
    if (!is_ours) {
      if (request->depth == request->max_depth) return finish(*request, shared::Mark::kTruncated);
      request->addresses[request->depth++] = interrupted ? pc | shared::kInterruptedFrame : pc;
    }
    if (interrupted) add_extent(*request, request->session->stack_around(sp));
    interrupted = libunwind.is_signal_frame(&cursor) > 0;
    if (interrupted) {
      if (request->depth > 0) request->addresses[request->depth - 1] |= shared::kInterruptedFrame;
      add_extent(*request, {sp, sp + sizeof(ucontext_t)});  // the kernel wrote all of it
    }
    const int step = libunwind.step(&cursor);
    if (step == 0) return;
    if (step < 0) return finish(*request, shared::Mark::kUnknownCaller);
  }
}

void call_on_private_stack(void (*function)(Request*), Request* request) {
  char* top = private_stack + kStackBytes;
  asm volatile(
      "movq %%rsp, %%rbx\n\t"
      "movq %[top], %%rsp\n\t"
      "call *%[function]\n\t"
      "movq %%rbx, %%rsp"
      : "+D"(request)
      : [top] "r"(top), [function] "r"(function)
      : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",
        "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

void* open_beside_us(const char* name) {
  Dl_info self;
  char path[shared::kMaxPath];
  if (dladdr(__ehdr_start, &self) == 0 || self.dli_fname == nullptr) return nullptr;
  const char* slash = strrchr(self.dli_fname, '/');
  const std::size_t folder = slash == nullptr ? 0 : static_cast<std::size_t>(slash + 1 - self.dli_fname);
  if (folder == 0 || folder + std::strlen(name) >= sizeof path) return nullptr;
  std::memcpy(path, self.dli_fname, folder);
  std::strcpy(path + folder, name);
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

void* open_library() {
  open_beside_us("libunwind.so.8");  // what the next one needs is then found under its name
  if (void* beside = open_beside_us("libunwind-x86_64.so.8")) return beside;
  return dlopen("libunwind-x86_64.so.8", RTLD_NOW | RTLD_LOCAL);
}

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace

bool open_libunwind() {
  static bool is_tried = false;
  if (is_tried) return address_space != nullptr;
  is_tried = true;
  void* library = open_library();
  if (library == nullptr || !find(library, "_Ux86_64_create_addr_space", libunwind.create_addr_space) ||
      !find(library, "_Ux86_64_init_remote", libunwind.init_remote) ||
      !find(library, "_Ux86_64_step", libunwind.step) || !find(library, "_Ux86_64_get_reg", libunwind.get_reg) ||
      !find(library, "_Ux86_64_is_signal_frame", libunwind.is_signal_frame) ||
      !find(library, "_Ux86_64_dwarf_search_unwind_table", libunwind.search_unwind_table))
    return false;
  // Longer than this version's: a later one reads more members, all of them optional.
  static union {
    unw_accessors_t accessors;
    char room[256];
  } table = {};
  table.accessors.find_proc_info = find_procedure;
  table.accessors.put_unwind_info = put_unwind_info;
  table.accessors.get_dyn_info_list_addr = no_dynamic_info;
  table.accessors.access_mem = access_memory;
  table.accessors.access_reg = access_register;
  table.accessors.access_fpreg = no_float_register;
  table.accessors.resume = no_resume;
  table.accessors.get_proc_name = no_name;
  private_stack = static_cast<char*>(map_private(kStackBytes));
  if (private_stack != nullptr) address_space = libunwind.create_addr_space(&table.accessors, 0);
  return address_space != nullptr;
}

[[gnu::noinline]] std::uint32_t unwind_complex(Session& session, std::uint64_t* addresses, std::uint32_t max_depth,
                                               std::uint32_t done) {
  if (address_space == nullptr || busy.exchange(1, std::memory_order_acquire) != 0) {
    addresses[done] = static_cast<std::uint64_t>(shared::Mark::kUnknownCaller);
    return done + 1;
  }
  const ErrnoScope errno_scope;
  Request request{&session, {}, {}, 0, addresses, max_depth, 0};
  Registers& r = request.registers;
  asm volatile(
      "movq %%rbx, 0(%[r])\n\t"
      "movq %%rbp, 8(%[r])\n\t"
      "movq %%r12, 16(%[r])\n\t"
      "movq %%r13, 24(%[r])\n\t"
      "movq %%r14, 32(%[r])\n\t"
      "movq %%r15, 40(%[r])\n\t"
      "movq %%rsp, 48(%[r])\n\t"
      "leaq 0(%%rip), %%rax\n\t"
      "movq %%rax, 56(%[r])"
      :
      : [r] "r"(&r)
      : "rax", "memory");
  add_extent(request, session.stack_around(r.rsp));
  call_on_private_stack(walk, &request);
  busy.store(0, std::memory_order_release);
  return request.depth;
}

}  // namespace leakwatch::preload
