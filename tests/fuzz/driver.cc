// SPDX-License-Identifier: Apache-2.0
//
// The main of a fuzz target where libFuzzer is not to be had: mutates seeds, always in the same way, and runs the
// target on each result. No coverage guides it; it is there so that every build and every machine runs the targets.
//
//   fuzz-x ITERATIONS [FILE...]   mutates the files and some seeds of its own; 0 iterations runs the files as they are
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kLargest = 64 * 1024;
constexpr std::uint64_t kInteresting[] = {0,    1,     2,          7,          8,          0x7f,
                                          0x80, 0xff,  0x7fff,     0xffff,     0x7fffffff, 0x80000000,
                                          64,   0xfff, 0xffffffff, 1ull << 47, 1ull << 63, ~std::uint64_t{0}};

Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path);
    std::exit(2);
  }
  Bytes bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return bytes;
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  Bytes random_bytes(std::size_t size) {
    Bytes bytes(size);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random_());
    return bytes;
  }

  void mutate(Bytes& bytes, const Bytes& other) {
    for (std::uint64_t n = 1 + random_() % 8; n > 0; --n) mutate_once(bytes, other);
    if (bytes.size() > kLargest) bytes.resize(kLargest);
  }

  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }

 private:
  void mutate_once(Bytes& bytes, const Bytes& other) {
    if (bytes.empty()) bytes.push_back(0);
    // Headers are where the meaning is: half of the changes are made near the front.
    const std::size_t at = below(random_() % 2 == 0 ? std::min<std::size_t>(bytes.size(), 256) : bytes.size());
    switch (random_() % 7) {
      case 0:
        bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ 1u << random_() % 8);
        break;
      case 1:
        bytes[at] = static_cast<std::uint8_t>(random_());
        break;
      case 2:
        put(bytes, at, kInteresting[below(std::size(kInteresting))], std::size_t{1} << random_() % 4);
        break;
      case 3:
        if (random_() % 32 == 0) bytes.resize(at);  // rarely: what is short is soon read
        break;
      case 4:
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), 1 + below(32),
                     static_cast<std::uint8_t>(random_()));
        break;
      case 5:
        bytes.erase(
            bytes.begin() + static_cast<std::ptrdiff_t>(at),
            bytes.begin() + static_cast<std::ptrdiff_t>(at + below(std::min<std::size_t>(bytes.size() - at, 32))));
        break;
      case 6:
        splice(bytes, at, other);
        break;
    }
  }

  static void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i)
      bytes[at + i] = static_cast<std::uint8_t>(value >> 8 * i);
  }

  void splice(Bytes& bytes, std::size_t at, const Bytes& other) {
    if (other.empty()) return;
    const std::size_t from = below(other.size()), size = below(std::min<std::size_t>(other.size() - from, 512));
    for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i) bytes[at + i] = other[from + i];
  }

  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: fuzz-... ITERATIONS [FILE...]\n", stderr);
    return 2;
  }
  const long iterations = std::atol(argv[1]);
  Mutator mutator(1);
  std::vector<Bytes> seeds;
  for (int i = 2; i < argc; ++i) seeds.push_back(read_file(argv[i]));
  for (const Bytes& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  const std::size_t files = seeds.size();
  for (std::size_t size = 0; size < 8192; size = size * 2 + 8) seeds.push_back(mutator.random_bytes(size));
  for (long i = 0; i < iterations; ++i) {
    Bytes bytes = seeds[mutator.below(files != 0 && i % 4 != 0 ? files : seeds.size())];
    mutator.mutate(bytes, seeds[mutator.below(seeds.size())]);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    // Fresh bytes now and then, for the targets whose inputs need no form.
    if (i % 16 == 0) seeds.back() = mutator.random_bytes(1 + mutator.below(4096));
  }
  std::printf("%ld inputs\n", iterations);
}
