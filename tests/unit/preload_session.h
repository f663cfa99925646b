// SPDX-License-Identifier: Apache-2.0
//
// A session of the preload's, inside a test and over a region of the test's own: what preload/session.cc's prepare()
// sets, without a socket and without a hook.
#pragma once

#include <dlfcn.h>
#include <sys/mman.h>

#include <vector>

#include "cli/drain/shared_region.h"
#include "preload/private_memory.h"
#include "preload/session.h"

namespace leakwatch {

class PreloadSession {
 public:
  explicit PreloadSession(SharedRegion& region)
      : rules_(preload::FrameRules::kPlaces),
        index_(preload::StackTable::kIndexBytes / sizeof(std::uint64_t)),
        sampled_(preload::SampledSet::kPlaces),
        known_(preload::Modules::kMostKnown),
        filter_(preload::kFilterElements) {
    shared::Header& header = region.header();
    char* base = reinterpret_cast<char*>(&header);
    preload::Session& s = page_.session;
    s.id = 2;
    s.page = &page_;
    s.clock = static_cast<shared::Clock>(header.clock);
    s.exact = header.sample_interval == 1;
    s.steered = header.steered != 0;
    s.max_depth = header.max_depth;
    s.ring_count = header.ring_count;
    s.ring_words = header.ring_words;
    s.sample_interval = header.sample_interval;
    s.seed = header.seed;
    s.header = &header;
    s.rings = &region.ring(0);
    s.words = reinterpret_cast<std::uint64_t*>(base + header.words_offset);
    scratch_bytes_ = header.ring_count * s.scratch_words() * sizeof(std::uint64_t);
    s.scratch = static_cast<std::uint64_t*>(preload::map_private(scratch_bytes_));
    walks_ = preload::map_private(preload::RememberedWalks::kMemoryBytes);
    void* const* stack_end = static_cast<void**>(dlsym(RTLD_DEFAULT, "__libc_stack_end"));
    s.main_stack_end = stack_end == nullptr ? 0 : reinterpret_cast<std::uintptr_t>(*stack_end);
    s.main_thread_pointer = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
    s.stacks.start(&header, index_.data());
    s.modules.start(&header, known_.data());
    if (s.exact) s.walks.start(walks_, "sixteen bytes...");
    s.frame_rules.start(rules_.data(), &s.modules);
    s.filter = filter_.data();
    s.sampled.start(sampled_.data(), filter_.data());
    page_.active = &s;
    preload::session_page = &page_;
  }
  ~PreloadSession() {
    preload::session_page = nullptr;
    munmap(page_.session.scratch, scratch_bytes_);
    munmap(walks_, preload::RememberedWalks::kMemoryBytes);
  }
  PreloadSession(const PreloadSession&) = delete;
  PreloadSession& operator=(const PreloadSession&) = delete;

  preload::Session& operator*() { return page_.session; }
  preload::Session* operator->() { return &page_.session; }
  bool is_active() const { return page_.active.load() != nullptr; }

 private:
  preload::SessionPage page_{};
  std::size_t scratch_bytes_ = 0;
  void* walks_ = nullptr;
  std::vector<preload::FrameRules::Place> rules_;
  std::vector<std::uint64_t> index_, sampled_;
  std::vector<preload::Modules::Known> known_;
  std::vector<std::uint8_t> filter_;
};

}  // namespace leakwatch
