// SPDX-License-Identifier: Apache-2.0
//
// When the reader names a ring the only one that is written to, and when it says so for good.
#include "cli/drain/sole_writer.h"

#include <functional>
#include <initializer_list>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

struct Looks {
  SoleWriter sole;
  std::atomic<std::uint32_t> word{0};
  std::uint64_t now = 1'000'000 * kMs;

  // A look that finds words in these rings, so much later than the one before.
  void look(std::initializer_list<std::uint32_t> rings, std::uint64_t later) {
    now += later;
    for (const std::uint32_t ring : rings) sole.saw(ring);
    sole.end_look([this] { return now; }, word);
  }
  void look_until_named(std::uint32_t ring) {
    for (std::uint64_t begin = now; word == 0 && now - begin < 1000 * kMs;) look({ring}, kMs / 4);
    REQUIRE(word != 0);
  }
  bool is_sole(std::uint32_t ring) const {
    return shared::sole_ring(word) == ring && (word & shared::kSoleWriterIs) != 0;
  }
};

TEST_CASE_METHOD(Looks, "a ring that is written to alone is named after some time, and is the sole one after another") {
  look({3}, 0);
  const std::uint64_t begin = now;
  look_until_named(3);
  CHECK(now - begin >= SoleWriter::kAloneNs);
  CHECK(now - begin <= 2 * SoleWriter::kAloneNs);
  CHECK(shared::sole_ring(word) == 3);
  look({3}, shared::kSoleGraceNs - 1);
  CHECK_FALSE(is_sole(3));
  look({3}, 1);
  CHECK(is_sole(3));
  const std::uint32_t said = word;
  look({3}, 100 * kMs);
  CHECK(word == said);
}

// The reader was interrupted between its look and its word.
TEST_CASE_METHOD(Looks, "the grace begins when the ring has been named") {
  look({3}, 0);
  now += SoleWriter::kAloneNs;
  sole.saw(3);
  sole.end_look([this] { return now += kMs / 2; }, word);
  REQUIRE(word != 0);
  look({3}, shared::kSoleGraceNs - 1);
  CHECK_FALSE(is_sole(3));
}

TEST_CASE_METHOD(Looks, "it is settled when two looks found its ring only, and nobody has taken it back") {
  const auto take_back = [this] {
    word = 0;
    look({3}, 0);
  };
  for (const std::function<void()>& unsettle :
       std::initializer_list<std::function<void()>>{take_back, [this] { look({4}, 0); },
                                                    [this] {
                                                      look({3, 4}, 0);
                                                    }}) {
    take_back();
    look_until_named(3);
    look({3}, shared::kSoleGraceNs);
    REQUIRE(is_sole(3));
    CHECK_FALSE(sole.is_settled());
    look({3}, 0);
    CHECK_FALSE(sole.is_settled());
    look({3}, 0);
    CHECK(sole.is_settled());
    look({}, 0);
    CHECK(sole.is_settled());
    unsettle();
    CHECK_FALSE(sole.is_settled());
  }
}

TEST_CASE_METHOD(Looks, "looks that find nothing change nothing") {
  look({3}, 0);
  for (int i = 0; i < 10; ++i) look({}, SoleWriter::kAloneNs);
  CHECK(word == 0);
  look({3}, 0);
  CHECK(shared::sole_ring(word) == 3);
}

TEST_CASE_METHOD(Looks, "words in another ring begin the time anew, whoever is alone then") {
  look({3}, 0);
  look({3, 4}, SoleWriter::kAloneNs);
  look({3}, SoleWriter::kAloneNs - 1);
  CHECK(word == 0);
  look({4}, 1);
  look({3}, SoleWriter::kAloneNs - 1);
  CHECK(word == 0);
  look({3}, SoleWriter::kAloneNs);
  CHECK(shared::sole_ring(word) == 3);
}

TEST_CASE_METHOD(Looks, "two rings in every look are no sole one, in whatever order, nor is the one that is shared") {
  for (int i = 0; i < 100; ++i) {
    look({1, 2}, kMs);
    look({2, 1, 2}, kMs);
  }
  for (int i = 0; i < 100; ++i) look({0}, kMs);
  CHECK(word == 0);
}

TEST_CASE_METHOD(Looks, "who takes it back during the grace is heard, and the next name is another one") {
  look({3}, 0);
  look_until_named(3);
  const std::uint32_t first = word;
  word = 0;
  look({3}, shared::kSoleGraceNs);
  CHECK(word == 0);
  look_until_named(3);
  CHECK(word != first);
  look({3}, shared::kSoleGraceNs);
  const std::uint32_t sole_one = word;
  CHECK(is_sole(3));
  word = 0;
  look({3}, kMs);
  CHECK(word == 0);
  look_until_named(3);
  look({3}, shared::kSoleGraceNs);
  CHECK(is_sole(3));
  CHECK(word != sole_one);
}

TEST_CASE_METHOD(Looks, "who takes it back at the last moment is heard") {
  look({3}, 0);
  look_until_named(3);
  now += shared::kSoleGraceNs;
  sole.saw(3);
  sole.end_look([this] { return word = 0, now; }, word);
  CHECK(word == 0);
}

TEST_CASE_METHOD(Looks, "the name is given before the grace's clock is read") {
  look({3}, 0);
  now += SoleWriter::kAloneNs;
  std::uint32_t last_seen = 0;
  sole.saw(3);
  sole.end_look([&] { return last_seen = word, now; }, word);
  CHECK(last_seen != 0);
}

// Who wrote to the other ring had looked before it was named, or wrote of threads.
TEST_CASE_METHOD(Looks, "words in another ring during the grace end it, and the ring may be named again") {
  look({3}, 0);
  look_until_named(3);
  look({3, 4}, 0);
  CHECK(word == 0);
  look({3}, 0);
  look_until_named(3);
  look({3}, shared::kSoleGraceNs);
  CHECK(is_sole(3));
}

TEST_CASE_METHOD(Looks, "what stands there from overwritten memory is left to those who write") {
  look({4}, 0);
  word = 0x12344;
  for (int i = 0; i < 100; ++i) look({4}, kMs);
  CHECK(word == 0x12344);
}

}  // namespace
}  // namespace leakwatch
