// SPDX-License-Identifier: Apache-2.0
//
// The controller against made-up programs: what they cost for each byte between samples is known, and so is where the
// interval has to end up. Time is a number here.
#include "cli/state/interval_controller.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kFirstInterval = std::uint64_t{512} * 1024;
constexpr double kTickNs = 1e8;

// Runs a controller and a program side by side, ten readings a second.
class Simulation {
 public:
  Simulation(double limit, std::uint64_t first_interval)
      : controller_(limit, first_interval), first_interval_(first_interval) {}

  // The program of the next while: processors that it keeps busy, megabytes that it allocates in each second of their
  // time, and what a sample of it costs.
  double processors = 1, megabytes = 1000, sample_ns = 2000, fixed_ns = 0, lookup_ns = 0;
  std::uint64_t live_bytes = 0;

  // The share that recording took of the processor time, over these seconds.
  double run(double seconds) {
    const double cost_before = cost_ns_, processor_before = processor_ns_;
    for (int tick = 0; tick < std::lround(seconds * 10); ++tick) advance();
    return (cost_ns_ - cost_before) / (processor_ns_ - processor_before);
  }

  std::uint64_t interval() const { return shared::interval_of_step(step_, first_interval_); }
  std::uint32_t step() const { return step_; }
  const std::vector<std::uint32_t>& changes() const { return changes_; }
  void forget_changes() { changes_.clear(); }

 private:
  void advance() {
    const double used_ns = processors * kTickNs;
    const double samples = used_ns / 1e9 * megabytes * 0x1p20 / static_cast<double>(interval());
    std::poisson_distribution<std::int64_t> happened(std::max(samples, 1e-9));
    processor_ns_ += used_ns;
    cost_ns_ += static_cast<double>(happened(random_)) * sample_ns + fixed_ns;
    lookup_ns_ += lookup_ns;
    now_ns_ += kTickNs;
    const std::uint32_t step = controller_.next_step(
        {static_cast<std::uint64_t>(now_ns_), static_cast<std::uint64_t>(processor_ns_),
         static_cast<std::uint64_t>(cost_ns_), static_cast<std::uint64_t>(lookup_ns_), live_bytes});
    REQUIRE(shared::is_interval_step(step));
    if (step != step_) changes_.push_back(step);
    step_ = step;
  }

  IntervalController controller_;
  const std::uint64_t first_interval_;
  std::mt19937_64 random_{17};
  double now_ns_ = 1e9, processor_ns_ = 0, cost_ns_ = 0, lookup_ns_ = 0;
  std::uint32_t step_ = 0;
  std::vector<std::uint32_t> changes_;
};

TEST_CASE("from any beginning, a steady program comes to cost between a third of the limit and the whole") {
  for (const double limit : {0.001, 0.01, 0.1}) {
    for (const std::uint64_t first : {std::uint64_t{64}, std::uint64_t{4096}, kFirstInterval, std::uint64_t{1} << 30}) {
      Simulation simulation(limit, first);
      simulation.megabytes = 2000;
      simulation.run(40);
      const double share = simulation.run(20);
      CAPTURE(limit, first, share, simulation.interval());
      CHECK(share < limit);
      CHECK((share > limit / 3 || simulation.step() == shared::kFirstStep));
    }
  }
}

TEST_CASE("where a steady program has come to, the interval stays") {
  for (const double megabytes : {50.0, 100.0, 130.0, 500.0, 800.0, 3000.0, 5000.0}) {
    Simulation simulation(0.01, kFirstInterval);
    simulation.megabytes = megabytes;
    simulation.run(60);
    simulation.forget_changes();
    simulation.run(600);
    CAPTURE(megabytes, simulation.interval());
    // A rare window that was expensive by chance may move it once, and it comes back.
    CHECK(simulation.changes().size() <= 4);
  }
}

TEST_CASE("a storm is answered within half a second, and its end step by step") {
  Simulation simulation(0.01, kFirstInterval);
  simulation.megabytes = 1;
  simulation.run(60);
  CHECK(simulation.step() == shared::kFirstStep);
  simulation.megabytes = 8000;
  simulation.run(0.5);
  CHECK(simulation.run(5) < 0.01);
  const std::uint64_t in_storm = simulation.interval();
  CHECK(in_storm > kFirstInterval);
  simulation.megabytes = 1;
  simulation.forget_changes();
  simulation.run(60);
  CHECK(simulation.step() == shared::kFirstStep);
  for (std::size_t i = 1; i < simulation.changes().size(); ++i) {
    CHECK(simulation.changes()[i] < simulation.changes()[i - 1]);
    CHECK(simulation.changes()[i] + 4 >= simulation.changes()[i - 1]);
  }
}

TEST_CASE("what the interval cannot change drives it to its bound and not beyond") {
  Simulation simulation(0.01, kFirstInterval);
  simulation.fixed_ns = 5e7;
  simulation.run(60);
  CHECK(simulation.step() == shared::kLastStep);
  Simulation beyond(0.01, std::uint64_t{1} << 36);
  beyond.fixed_ns = 5e7;
  beyond.run(10);
  CHECK(beyond.interval() == std::uint64_t{1} << 36);  // as it was asked for
}

TEST_CASE("an idle program moves nothing") {
  Simulation simulation(0.01, kFirstInterval);
  simulation.processors = 0;
  simulation.run(600);
  CHECK(simulation.step() == 0);
  simulation.processors = 1;
  simulation.run(1);
  simulation.megabytes = 8000;
  simulation.run(5);
  const std::uint32_t step = simulation.step();
  simulation.processors = 0;
  simulation.run(600);
  CHECK(simulation.step() == step);
}

TEST_CASE("a program that does little is given its share as well") {
  Simulation simulation(0.01, kFirstInterval);
  simulation.processors = 0.02;
  simulation.megabytes = 10;
  simulation.run(60);
  CHECK(simulation.step() == shared::kFirstStep);
}

TEST_CASE("of a large heap there is no need for more than some thousand samples") {
  Simulation simulation(0.01, kFirstInterval);
  simulation.megabytes = 1;
  simulation.live_bytes = 256 << 20;
  simulation.run(60);
  CHECK(simulation.interval() == 64 << 10);
  simulation.live_bytes = 1 << 30;
  simulation.run(0.2);
  CHECK(simulation.interval() == 256 << 10);
  simulation.live_bytes = std::uint64_t{1} << 40;
  simulation.run(60);
  CHECK(simulation.interval() == 512 << 10);
  simulation.live_bytes = 0;
  simulation.run(60);
  CHECK(simulation.step() == shared::kFirstStep);
}

TEST_CASE("frees that are looked up for nothing take at most half of what is allowed") {
  Simulation simulation(0.01, kFirstInterval);
  simulation.megabytes = 2000;
  simulation.lookup_ns = 0.3 * kTickNs;
  simulation.run(40);
  const double share = simulation.run(20);
  CAPTURE(share, simulation.interval());
  CHECK(share < 0.01 / 2);
  CHECK(share > 0.01 / 6);
}

TEST_CASE("sums and clocks that fall begin a new window and move nothing") {
  const IntervalController::Reading base{10'000'000'000, 10'000'000'000, 10'000'000, 10'000'000, 0};
  const auto moved = [&](std::uint64_t IntervalController::Reading::*field) {
    IntervalController controller(0.01, kFirstInterval);
    controller.next_step(base);
    IntervalController::Reading fallen = base;
    fallen.now_ns += 100'000'000;
    fallen.cost_ns += 90'000'000;  // far too much
    fallen.*field = 1;
    return controller.next_step(fallen);
  };
  CHECK(moved(&IntervalController::Reading::now_ns) == 0);
  CHECK(moved(&IntervalController::Reading::processor_ns) == 0);
  CHECK(moved(&IntervalController::Reading::cost_ns) == 0);
  CHECK(moved(&IntervalController::Reading::lookup_ns) == 0);
  CHECK(moved(&IntervalController::Reading::live_bytes) != 0);  // the same cost without a fall does
}

TEST_CASE("steps are whole numbers of bytes that grow by the square root of two") {
  CHECK(shared::interval_of_step(0, 77) == 77);
  CHECK(shared::interval_of_step(shared::kFirstStep, 77) == 4096);
  CHECK(shared::interval_of_step(shared::kLastStep, 77) == std::uint64_t{1} << 30);
  for (std::uint32_t step = shared::kFirstStep; step <= shared::kLastStep; ++step) {
    CHECK(shared::is_interval_step(step));
    const double exact = std::exp2(step / 2.0);
    CHECK(std::fabs(static_cast<double>(shared::interval_of_step(step, 77)) - exact) < 1);
  }
  for (const std::uint64_t step : {std::uint64_t{1}, std::uint64_t{23}, std::uint64_t{61}, std::uint64_t{256}})
    CHECK_FALSE(shared::is_interval_step(step));
}

}  // namespace
}  // namespace leakwatch
