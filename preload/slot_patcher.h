// SPDX-License-Identifier: Apache-2.0
//
// Leads the calls of a program that already runs to our hooks: writes their addresses into the slots (loaded_module.h)
// of all its modules, and puts back what was there. A slot is changed only when it holds what the hook stands in front
// of, or the loader's stub that would find it; one that leads anywhere else (another allocator's, something the program
// put there itself) is left alone. Each store is one aligned word, so that a thread which calls through the slot at
// that moment goes one way or the other.
//
// Nothing is remembered about modules but the old value of each slot, by its address. Each look goes through the
// modules that are there now, under the loader's own lock: a module that is gone is never written to, and whatever came
// to its place is judged by what its slots hold.
//
// Not for two threads at a time. Takes no lock but the one that dl_iterate_phdr takes, and calls no allocator.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/loaded_module.h"

namespace leakwatch::preload {

struct Hook {
  const char* name;
  std::uint64_t function;  // ours
  std::uint64_t original;  // what it stands in front of; 0: no module defines it
};

// Looks for the original of each hook in the modules that `is_candidate` takes: the first one in the order of loading
// that defines the name, as the loader does. (dlsym is no help: of a function whose address a non-PIE executable takes
// it gives the executable's own PLT entry, and that would lead back to the hook.)
void find_originals(Hook* hooks, std::size_t count, bool (*is_candidate)(const LoadedModule&));

class SlotPatcher {
 public:
  // Modules that `is_wanted` refuses are not touched.
  struct Job {
    const Hook* hooks;
    std::size_t count;
    bool (*is_wanted)(const LoadedModule&);
  };
  struct Counts {
    std::uint32_t patched = 0;  // slots that lead to our hooks now
    std::uint32_t refused = 0;  // found, and could not be changed
    std::uint32_t unready = 0;  // modules that were still being loaded
  };

  // Patches what is not patched yet; may be repeated when modules were loaded.
  Counts patch(const Job& job);
  // The same modules must be wanted.
  Counts restore(const Job& job);

 private:
  class Visitor;

  // Old values by the slot's address: open addressing. A look fills a new table with what is patched now, and so
  // forgets the slots of modules that are gone.
  struct Saved {
    std::uint64_t place;
    std::uint64_t value;
  };
  static constexpr std::size_t kPlaces = std::size_t{1} << 15;
  Saved* make_table() const;
  static bool insert(Saved* table, std::size_t& used, const Saved& saved);
  static const Saved* find(const Saved* table, std::uint64_t place);

  Saved* saved_ = nullptr;
};

}  // namespace leakwatch::preload
