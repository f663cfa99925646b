// SPDX-License-Identifier: Apache-2.0
//
// What is said of the figures: what stands in the snapshot, what the user reads.
#include "cli/profile/accuracy.h"

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

bool contains(const std::string& whole, const std::string& part) {
  return whole.find(part) != std::string::npos;
}

TEST_CASE("blindness is silent about nothing and speaks about everything else") {
  CHECK(blindness_sentences({}).empty());
  Blindness blindness;
  blindness.lost_allocations = 1;
  blindness.lost_frees = 1234;
  blindness.unknown_frees = 3;
  blindness.stacks_refused = 4;
  blindness.modules_refused = 6;
  blindness.bad_records = 5;
  blindness.ended = "leakwatch was stopped for 3 s";
  blindness.notes = {"tcmalloc is linked in."};
  const std::vector<std::string> sentences = blindness_sentences(blindness);
  REQUIRE(sentences.size() == 8);
  CHECK(sentences[0].starts_with("1 allocation went"));
  CHECK(sentences[1].starts_with("1,234 frees went"));
  CHECK(contains(sentences[3], "[leakwatch: stack not recorded]"));
  CHECK(contains(sentences[4], "Too many libraries"));
  CHECK(contains(sentences[6], "leakwatch was stopped for 3 s"));
  CHECK(sentences[7] == "tcmalloc is linked in.");
}

TEST_CASE("a program that was joined has blocks that nobody knows of") {
  Blindness blindness;
  blindness.joined_ns = 1'700'000'000'900'000'000;
  REQUIRE(blindness_sentences(blindness).size() == 1);
  CHECK(blindness_sentences(blindness)[0] ==
        "Attached at 2023-11-14T22:13:20Z, while the program ran: not shown are blocks allocated before that, and "
        "calls through pointers to the allocator that were taken before.");
  blindness.unknown_frees = 2;
  REQUIRE(blindness_sentences(blindness).size() == 2);
  CHECK(blindness_sentences(blindness)[1] ==
        "2 frees of blocks that are older than that, or were not seen being allocated.");
}

TEST_CASE("sampling is said in words") {
  CHECK(sampling_sentences(1, {}, {}) == std::vector<std::string>{"Exact: every allocation was counted."});
  Blindness blindness;
  blindness.lost_frees = 1;
  CHECK(sampling_sentences(1, {}, blindness) ==
        std::vector<std::string>{"Exact: every allocation was counted, but for what follows."});
  CHECK(sampling_sentences(524288, {}, {}) ==
        std::vector<std::string>{"Sampled: the figures are estimates from one sample every 512 KiB on average."});
}

TEST_CASE("how the interval was steered is said, and what that cost once it is known") {
  RecordingCost cost{.limit = 0.01, .smallest_interval = 4096, .largest_interval = 8 << 20};
  const std::string intervals =
      "Sampled: the figures are estimates from one sample every 2.00 MiB on average at the moment, and from 4.00 KiB "
      "to 8.00 MiB since the start; each sample is weighted by its own interval.";
  CHECK(sampling_sentences(2 << 20, cost, {}) == std::vector<std::string>{intervals});
  cost.processor_ns = 1'000'000'000;
  cost.target_ns = 7'000'000;
  cost.reader_ns = 250'000;
  CHECK(sampling_sentences(2 << 20, cost, {}) ==
        std::vector<std::string>{
            intervals,
            "Recording took 0.73% of the program's processor time, 0.70% in the program and 0.025% to read it; the "
            "limit is 1.00%."});
  cost.limit = 0;
  CHECK(sampling_sentences(2 << 20, cost, {}).size() == 1);
}

}  // namespace
}  // namespace leakwatch
