// SPDX-License-Identifier: Apache-2.0
//
// The symbolizer's thread, its queue and its memory. Opening a large module takes seconds, so draining and serving must
// not do it themselves: they hand addresses over and come back for the frames.
//
// One mutex guards the queue and the memory. It is never held while a file is read. What has been remembered is never
// changed or removed again, and lives in node-based maps, so a caller keeps its reference without the lock.
#include "symbolize/symbol_service.h"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace leakwatch {
namespace {

using Frames = std::optional<std::vector<Frame>>;  // empty until the worker has been there

struct ModuleMemory {
  Module module;  // as it was first named; the worker reads it without the lock, so it is never written again
  std::unordered_map<std::uint64_t, Frames> frames;
  std::optional<SymbolSource> source;
};

// Fill `frames` with what is at `address`, or, without frames, the module's source.
struct Request {
  ModuleMemory* memory = nullptr;
  Frames* frames = nullptr;
  std::uint64_t address = 0;
};

// The command's signals are for the thread that waits for them.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

class SymbolService::Impl {
 public:
  explicit Impl(SymbolizerOptions options) : symbolizer_(std::move(options)), worker_([this] { work(); }) {}
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void prefetch(const Module& module, const std::vector<std::uint64_t>& addresses);
  const std::vector<Frame>& frames(const Module& module, std::uint64_t address);
  SymbolSource source(const Module& module);
  std::uint64_t lookups() const { return lookups_.load(std::memory_order_relaxed); }

 private:
  void work();
  void answer(const Request& request, std::unique_lock<std::mutex>& lock);
  ModuleMemory& memory_of(const Module& module);

  std::mutex mutex_;
  std::condition_variable asked_;
  std::condition_variable answered_;
  std::deque<Request> queue_;
  std::unordered_map<std::string, ModuleMemory> memory_;
  bool stopping_ = false;
  std::atomic<std::uint64_t> lookups_ = 0;
  Symbolizer symbolizer_;  // the worker's alone
  std::thread worker_;     // last, as it starts at once
};

SymbolService::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  asked_.notify_one();
  worker_.join();
}

ModuleMemory& SymbolService::Impl::memory_of(const Module& module) {
  const auto [position, is_new] = memory_.try_emplace(module_identity(module));
  if (is_new) position->second.module = module;
  return position->second;
}

void SymbolService::Impl::prefetch(const Module& module, const std::vector<std::uint64_t>& addresses) {
  const std::lock_guard lock(mutex_);
  ModuleMemory& memory = memory_of(module);
  for (const std::uint64_t address : addresses) {
    const auto [position, is_new] = memory.frames.try_emplace(address);
    if (is_new) queue_.push_back({&memory, &position->second, address});
  }
  asked_.notify_one();
}

const std::vector<Frame>& SymbolService::Impl::frames(const Module& module, std::uint64_t address) {
  std::unique_lock lock(mutex_);
  ModuleMemory& memory = memory_of(module);
  Frames& frames = memory.frames[address];
  if (!frames) {
    // Somebody waits for this one: it overtakes what was merely prefetched. If it stands further back as well, the
    // worker will find it answered there.
    queue_.push_front({&memory, &frames, address});
    asked_.notify_one();
    answered_.wait(lock, [&] { return frames.has_value(); });
  }
  return *frames;
}

SymbolSource SymbolService::Impl::source(const Module& module) {
  std::unique_lock lock(mutex_);
  ModuleMemory& memory = memory_of(module);
  if (!memory.source) {
    queue_.push_front({&memory, nullptr, 0});
    asked_.notify_one();
    answered_.wait(lock, [&] { return memory.source.has_value(); });
  }
  return *memory.source;
}

void SymbolService::Impl::work() {
  block_signals();
  std::unique_lock lock(mutex_);
  for (;;) {
    asked_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const Request request = queue_.front();
    queue_.pop_front();
    answer(request, lock);
    answered_.notify_all();
  }
}

// Only this thread fills answers in, so what is missing when the lock is released is still missing when it is back.
void SymbolService::Impl::answer(const Request& request, std::unique_lock<std::mutex>& lock) {
  ModuleMemory& memory = *request.memory;
  if (request.frames == nullptr) {
    if (memory.source) return;
    lock.unlock();
    const SymbolSource source = symbolizer_.source(memory.module);
    lock.lock();
    memory.source = source;
    return;
  }
  if (*request.frames) return;
  lock.unlock();
  std::vector<Frame> frames = symbolizer_.resolve(memory.module, request.address);
  lookups_.fetch_add(1, std::memory_order_relaxed);
  lock.lock();
  *request.frames = std::move(frames);
}

SymbolService::SymbolService(SymbolizerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

SymbolService::~SymbolService() = default;

void SymbolService::prefetch(const Module& module, const std::vector<std::uint64_t>& addresses) {
  impl_->prefetch(module, addresses);
}

const std::vector<Frame>& SymbolService::frames(const Module& module, std::uint64_t address) {
  return impl_->frames(module, address);
}

SymbolSource SymbolService::source(const Module& module) {
  return impl_->source(module);
}

std::uint64_t SymbolService::lookups() const {
  return impl_->lookups();
}

}  // namespace leakwatch
