// SPDX-License-Identifier: Apache-2.0
//
// See the header. Pages that were made read-only after relocation (RELRO) are opened for the moment of writing and
// closed again. That they are read-only is also how a module shows that the loader is done with it: one whose RELRO
// pages can still be written is being relocated by another thread right now, and closing its pages would stop that
// thread with a fault.

#include "preload/slot_patcher.h"

#include <cerrno>
#include <cstring>

#include "preload/private_memory.h"
#include "preload/system.h"

namespace leakwatch::preload {

namespace {

// Which slots may be of interest, by their value: most are told apart without a look at their names.
class ValueFilter {
 public:
  void add(std::uint64_t value) { bits_[index(value) / 64] |= bit(value); }
  bool may_hold(std::uint64_t value) const { return (bits_[index(value) / 64] & bit(value)) != 0; }

 private:
  static std::uint64_t index(std::uint64_t value) { return (value * 0x9e3779b97f4a7c15) >> 54; }
  static std::uint64_t bit(std::uint64_t value) { return std::uint64_t{1} << (index(value) % 64); }
  std::uint64_t bits_[16] = {};
};

// Whether the word can be written to, without a fault and without a change: a futex operation that adds nothing to it.
enum class Access { kWritable, kReadOnly, kUnknown };
Access access_of(std::uint64_t address) {
  constexpr long kAddNothing = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
  static const std::uint32_t nobody_waits = 0;
  const long answer = system_call(SYS_futex, as_argument(&nobody_waits), FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0,
                                  static_cast<long>(address), kAddNothing);
  if (answer >= 0) return Access::kWritable;
  return answer == -EFAULT ? Access::kReadOnly : Access::kUnknown;
}

// The RELRO pages of one module: opened for the first slot in them, closed at the end.
class RelroPages {
 public:
  explicit RelroPages(const LoadedModule& module) : begin_(module.relro_begin()), end_(module.relro_end()) {}
  ~RelroPages() {
    if (is_open_) protect(PROT_READ);
  }
  RelroPages(const RelroPages&) = delete;
  RelroPages& operator=(const RelroPages&) = delete;

  // Only asked while they are closed by us.
  bool are_relocated() const { return begin_ >= end_ || access_of(begin_) == Access::kReadOnly; }
  bool make_writable(const std::uint64_t* place) {
    const auto address = reinterpret_cast<std::uintptr_t>(place);
    if (address < begin_ || address >= end_ || is_open_) return true;
    return is_open_ = protect(PROT_READ | PROT_WRITE);
  }

 private:
  bool protect(int protection) const {
    return system_call(SYS_mprotect, static_cast<long>(begin_), static_cast<long>(end_ - begin_), protection) == 0;
  }
  const std::uint64_t begin_, end_;
  bool is_open_ = false;
};

template <class Visit>
void for_each_module(Visit& visit) {
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* argument) {
        const LoadedModule module(*info);
        if (module.is_readable()) (*static_cast<Visit*>(argument))(module);
        return 0;
      },
      &visit);
}

}  // namespace

void find_originals(Hook* hooks, std::size_t count, bool (*is_candidate)(const LoadedModule&)) {
  for (std::size_t i = 0; i < count; ++i) hooks[i].original = 0;
  auto visit = [=](const LoadedModule& module) {
    if (!is_candidate(module)) return;
    for (std::size_t i = 0; i < count; ++i) {
      if (hooks[i].original == 0) hooks[i].original = module.find(hooks[i].name);
    }
  };
  for_each_module(visit);
}

// One look at all slots, in one of two directions.
class SlotPatcher::Visitor {
 public:
  enum class Direction { kToHooks, kBack };
  Visitor(const Job& job, Direction direction, const Saved* before, Saved* after)
      : job_(job), direction_(direction), before_(before), after_(after) {
    for (std::size_t i = 0; i < job.count; ++i) {
      if (job.hooks[i].original == 0) continue;
      values_.add(job.hooks[i].original);
      values_.add(job.hooks[i].function);
    }
  }

  void operator()(const LoadedModule& module) {
    if (!job_.is_wanted(module)) return;
    RelroPages relro(module);
    bool is_relocated = false;
    module.for_each_slot([&](const LoadedModule::Slot& slot) {
      const std::uint64_t value = __atomic_load_n(slot.place, __ATOMIC_RELAXED);
      if (is_unready_ || (!slot.is_unbound && !values_.may_hold(value))) return;
      const Hook* hook = hook_called(slot.name);
      if (hook == nullptr || (value != hook->function && value != hook->original && !slot.is_unbound)) return;
      if (!is_relocated) {  // asked once, before the first change
        is_relocated = relro.are_relocated();
        is_unready_ = !is_relocated;
        if (is_unready_) return;
      }
      visit(slot, value, *hook, relro);
    });
    if (is_unready_) ++counts.unready;
    is_unready_ = false;
  }

  Counts counts;

 private:
  const Hook* hook_called(const char* name) const {
    for (std::size_t i = 0; i < job_.count; ++i) {
      if (job_.hooks[i].original != 0 && std::strcmp(job_.hooks[i].name, name) == 0) return &job_.hooks[i];
    }
    return nullptr;
  }

  void visit(const LoadedModule::Slot& slot, std::uint64_t value, const Hook& hook, RelroPages& relro) {
    const auto place = reinterpret_cast<std::uintptr_t>(slot.place);
    const bool is_ours = value == hook.function;
    if (direction_ == Direction::kBack) {
      const Saved* saved = find(before_, place);
      if (is_ours && !store(slot.place, saved != nullptr ? saved->value : hook.original, relro)) ++counts.refused;
      return;
    }
    const Saved* known = is_ours ? find(before_, place) : nullptr;
    if (!insert(after_, used_, known != nullptr ? *known : Saved{place, is_ours ? hook.original : value}) ||
        (!is_ours && !store(slot.place, hook.function, relro))) {
      ++counts.refused;
      return;
    }
    ++counts.patched;
  }

  static bool store(std::uint64_t* place, std::uint64_t value, RelroPages& relro) {
    if (!relro.make_writable(place)) return false;
    __atomic_store_n(place, value, __ATOMIC_RELEASE);
    return true;
  }

  const Job& job_;
  const Direction direction_;
  const Saved* before_;
  Saved* after_;
  std::size_t used_ = 0;
  ValueFilter values_;
  bool is_unready_ = false;
};

SlotPatcher::Counts SlotPatcher::patch(const Job& job) {
  Saved* table = make_table();
  if (table == nullptr) return {0, 1, 0};
  Visitor visitor(job, Visitor::Direction::kToHooks, saved_, table);
  for_each_module(visitor);
  unmap_private(saved_, kPlaces * sizeof(Saved));
  saved_ = table;
  return visitor.counts;
}

SlotPatcher::Counts SlotPatcher::restore(const Job& job) {
  Visitor visitor(job, Visitor::Direction::kBack, saved_, nullptr);
  for_each_module(visitor);
  if (visitor.counts.refused == 0 && visitor.counts.unready == 0) {
    unmap_private(saved_, kPlaces * sizeof(Saved));
    saved_ = nullptr;
  }
  return visitor.counts;
}

SlotPatcher::Saved* SlotPatcher::make_table() const {
  return static_cast<Saved*>(map_private(kPlaces * sizeof(Saved)));
}

bool SlotPatcher::insert(Saved* table, std::size_t& used, const Saved& saved) {
  if (used >= kPlaces * 7 / 8) return false;
  std::size_t place = (saved.place >> 3) * 0x9e3779b97f4a7c15 % kPlaces;
  while (table[place].place != 0 && table[place].place != saved.place) place = (place + 1) % kPlaces;
  used += table[place].place == 0;
  table[place] = saved;
  return true;
}

const SlotPatcher::Saved* SlotPatcher::find(const Saved* table, std::uint64_t address) {
  if (table == nullptr) return nullptr;
  std::size_t place = (address >> 3) * 0x9e3779b97f4a7c15 % kPlaces;
  for (; table[place].place != 0; place = (place + 1) % kPlaces) {
    if (table[place].place == address) return &table[place];
  }
  return nullptr;
}

}  // namespace leakwatch::preload
