// SPDX-License-Identifier: Apache-2.0
//
// An array that grows at its end without a pause: where a vector would copy all that it holds (and have it twice
// meanwhile), the kernel moves pages, which takes some microseconds for each MiB. New elements are all zeroes.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <span>
#include <type_traits>

namespace leakwatch {

template <class T>
class RemappedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  RemappedArray() : elements_(static_cast<T*>(checked(map(kFirstBytes)))) {}
  ~RemappedArray() { munmap(elements_, bytes_); }
  RemappedArray(const RemappedArray&) = delete;
  RemappedArray& operator=(const RemappedArray&) = delete;

  std::size_t size() const { return size_; }
  T* data() { return elements_; }
  T& operator[](std::size_t i) { return elements_[i]; }
  const T& operator[](std::size_t i) const { return elements_[i]; }
  std::span<const T> all() const { return {elements_, size_}; }

  void add_zeroes() {
    if ((size_ + 1) * sizeof(T) > bytes_) grow();
    ++size_;
  }

 private:
  static constexpr std::size_t kFirstBytes = std::size_t{64} << 10;
  static_assert(sizeof(T) <= kFirstBytes);

  static void* map(std::size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  static void* checked(void* memory) {
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return memory;
  }
  void grow() {
    elements_ = static_cast<T*>(checked(mremap(elements_, bytes_, 2 * bytes_, MREMAP_MAYMOVE)));
    bytes_ *= 2;
  }

  T* elements_;
  std::size_t size_ = 0;
  std::size_t bytes_ = kFirstBytes;
};

}  // namespace leakwatch
