// SPDX-License-Identifier: Apache-2.0
//
// What recording costs: counted by the target's side, measured by ours, and answered with another interval.
#include "cli/drain/steering.h"

#include <unistd.h>

#include <thread>

#include "cli/process/process.h"
#include "preload/recording_cost.h"
#include "tests/unit/catch.h"
#include "tests/unit/preload_session.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kInterval = std::uint64_t{512} * 1024;

RegionSettings settings(double limit, std::uint64_t interval = kInterval) {
  return {.sample_interval = interval,
          .max_depth = 8,
          .seed = 1,
          .clock = shared::Clock::kMonotonic,
          .overhead_limit = limit};
}

// Tends until `over`, busily: that is the processor time which the cost is compared with.
template <class Over>
void tend_until(Steering& steering, Over over) {
  const std::uint64_t guard = monotonic_ns() + 60'000'000'000;
  while (!over() && monotonic_ns() < guard) steering.tend(HeapState(2), 0);
  REQUIRE(over());
}

TEST_CASE("a cost over the limit brings a larger interval") {
  SharedRegion region(settings(0.01));
  Steering steering(region, getpid());
  CHECK(region.header().steered == 1);
  CHECK(steering.interval() == kInterval);
  tend_until(steering, [&] {
    region.ring(0).cost_ticks = processor_ns(getpid());
    return region.header().interval_step != 0;
  });
  const std::uint32_t step = region.header().interval_step;
  CHECK(step > 38);
  CHECK(steering.interval() == shared::interval_of_step(step, 0));
  CHECK(steering.cost().smallest_interval == kInterval);
  CHECK(steering.cost().largest_interval == steering.interval());
  CHECK(steering.cost().limit == 0.01);
}

TEST_CASE("without a limit the cost is measured, and the interval stays") {
  SharedRegion region(settings(0));
  Steering steering(region, getpid());
  CHECK(region.header().steered == 0);
  region.header().rings_used = 3;
  region.ring(1).cost_ticks = 4'000'000'000;
  region.ring(2).lookup_ticks = 1'000'000'000;
  tend_until(steering, [&] { return steering.cost().processor_ns != 0; });
  CHECK(region.header().interval_step == 0);
  CHECK(steering.interval() == kInterval);
  // Ticks are nanoseconds here, but for what rounding a measured rate does.
  CHECK(steering.cost().target_ns > 4'999'000'000);
  CHECK(steering.cost().target_ns < 5'001'000'000);
}

TEST_CASE("counters that fall, and a process that is gone, spoil nothing that was measured") {
  SharedRegion region(settings(0));
  Steering steering(region, getpid());
  region.ring(0).cost_ticks = 1'000'000;
  tend_until(steering, [&] { return steering.cost().processor_ns != 0; });
  const RecordingCost before = steering.cost();
  region.ring(0).cost_ticks = 0;
  tend_until(steering, [&] { return steering.cost().processor_ns > before.processor_ns; });
  CHECK(steering.cost().target_ns >= before.target_ns);

  Steering of_nobody(region, 0x3ffffff0);
  region.ring(0).cost_ticks = 77;
  const std::uint64_t until = monotonic_ns() + 250'000'000;
  while (monotonic_ns() < until) of_nobody.tend(HeapState(2), 0);
  CHECK(of_nobody.cost().processor_ns == 0);
}

TEST_CASE("what a program does after recording has ended does not make it look cheap") {
  SharedRegion region(settings(0.01));
  Steering steering(region, getpid());
  region.ring(0).cost_ticks = 1'000'000;
  tend_until(steering, [&] { return steering.cost().processor_ns != 0; });
  region.header().ended = static_cast<std::uint32_t>(shared::End::kReaderSlow);
  const std::uint64_t before = steering.cost().processor_ns, until = monotonic_ns() + 250'000'000;
  while (monotonic_ns() < until) steering.tend(HeapState(2), 0);
  CHECK(steering.cost().processor_ns == before);
}

TEST_CASE("processor time is that of all threads, and 0 of nobody") {
  const std::uint64_t before = processor_ns(getpid());
  std::thread([] {
    const std::uint64_t until = monotonic_ns() + 20'000'000;
    while (monotonic_ns() < until) {
    }
  }).join();
  CHECK(before > 0);
  CHECK(processor_ns(getpid()) > before);
  CHECK(processor_ns(0x3ffffff0) == 0);
}

// --- the target's side ---

void take_a_millisecond() {
  const std::uint64_t until = monotonic_ns() + 1'000'000;
  while (monotonic_ns() < until) {
  }
}

TEST_CASE("a scope adds its time to the ring of its thread, or to the shared one, and not more than the most") {
  SharedRegion region(settings(0));
  PreloadSession session(region);
  preload::ThreadState thread{};
  {
    const preload::CostScope cost(*session, thread);
    CHECK(region.ring(0).cost_ticks == 0);
  }
  CHECK(region.ring(0).cost_ticks > 0);
  thread.ring = &region.ring(5);
  {
    const preload::CostScope cost(*session, thread);
    take_a_millisecond();
  }
  CHECK(region.ring(5).cost_ticks == shared::kMostCostTicks);
  preload::add_cost(*session, thread, &shared::Ring::cost_ticks, 100);
  preload::add_cost(*session, thread, &shared::Ring::cost_ticks, ~std::uint64_t{5});
  CHECK(region.ring(5).cost_ticks == 2 * shared::kMostCostTicks + 100);
}

TEST_CASE("in an exact session nothing is measured") {
  SharedRegion region(settings(0, 1));
  PreloadSession session(region);
  preload::ThreadState thread{};
  {
    const preload::CostScope cost(*session, thread);
    take_a_millisecond();
  }
  CHECK(region.sum(&shared::Ring::cost_ticks) == 0);
}

}  // namespace
}  // namespace leakwatch
