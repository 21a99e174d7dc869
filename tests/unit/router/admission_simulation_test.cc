/// Admission, decoding and encoding as a simulation of discrete events: what the pipeline does,
/// with its own classes, a random source of known seed and no clock. So load of three times the
/// capacity costs no time and the figures are the same every time.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "router/estimates.h"
#include "router/fair_share.h"

namespace orchard::router {
namespace {

using core::Clock;

/// Times in milliseconds.
struct Plant {
  Estimates::Workers workers{.decode = 2, .encode = 2, .max_batch = 4};
  size_t in_flight = 256;
  double decode = 2.0;  ///< mean; single ones from a third to three times as long
  double alpha = 2.0;   ///< a pass
  double beta = 5.0;    ///< a picture in it; ± 20 %
  double experts = 1.0;

  /// Pictures a second.
  double Capacity() const {
    const auto batch = static_cast<double>(workers.max_batch);
    return 1000.0 * std::min(static_cast<double>(workers.decode) / decode,
                             static_cast<double>(workers.encode) * batch / (alpha + beta * batch));
  }
};

struct Source {
  std::string caller = "a";
  Priority priority = Priority::kInteractive;
  double rate = 100.0;      ///< pictures a second
  double deadline = 200.0;  ///< ms
};

struct Counts {
  int sent = 0, in_time = 0, late = 0, refused = 0, evicted = 0;
  int accepted() const { return in_time + late; }
};

class Simulation {
 public:
  Simulation(const Plant& plant, std::vector<Source> sources, std::uint64_t seed = 1)
      : plant_(plant),
        sources_(std::move(sources)),
        share_({.in_flight = plant.in_flight, .waiting = plant.in_flight}),
        estimates_(plant.workers, 1),
        free_decoders_(plant.workers.decode),
        free_encoders_(plant.workers.encode),
        random_(seed) {}

  /// Counts what comes after `warm` seconds.
  std::map<std::string, Counts> Run(double seconds, double warm = 2.0) {
    warm_ = warm * 1000.0;
    end_ = warm_ + seconds * 1000.0;
    for (size_t i = 0; i < sources_.size(); ++i) PlanArrival(i);
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      event.run();
      StartWork();
    }
    EXPECT_EQ(share_.in_flight(), 0U);
    return counts_;
  }

 private:
  struct Event {
    double at;
    std::uint64_t order;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  struct Picture {
    Counts* counts;
    double arrived, deadline, judged, decode;
    bool interactive;
    double served = 0.0;
  };

  static Clock::duration Time(double ms) {
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double, std::milli>(ms));
  }
  static Clock::time_point At(double ms) { return Clock::time_point(Time(ms)); }

  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }
  void Plan(double in, std::function<void()> run) {
    events_.push({now_ + in, ++order_, std::move(run)});
  }

  void PlanArrival(size_t source) {
    const double in = -std::log(1.0 - Uniform()) * 1000.0 / sources_[source].rate;
    if (now_ + in > end_) return;
    Plan(in, [this, source] {
      Arrive(sources_[source]);
      PlanArrival(source);
    });
  }

  void Arrive(const Source& source) {
    // A log-uniform size from a third to three times; the time follows it, ± 20 %.
    const double factor = std::exp((2.0 * Uniform() - 1.0) * std::log(3.0)) / 1.214;
    const auto bytes = static_cast<size_t>(100'000.0 * factor);
    Picture picture{.counts = now_ < warm_ ? &ignored_ : &counts_[source.caller],
                    .arrived = now_,
                    .deadline = now_ + source.deadline,
                    .judged = 0.0,
                    .decode = plant_.decode * factor * (0.8 + 0.4 * Uniform()),
                    .interactive = source.priority == Priority::kInteractive};
    ++picture.counts->sent;
    const FairShare::Ahead ahead = share_.AheadOf(source.caller, source.priority);
    const Backlog backlog{.waiting = ahead.requests,
                          .waiting_bytes = ahead.bytes,
                          .decoding = plant_.workers.decode - free_decoders_,
                          .decoded = decoded_.size(),
                          .encoding = encoding_};
    const Needed needed = estimates_.OfNew(backlog, bytes);
    if (!CheckBudget(At(now_), At(picture.deadline), needed.all()).ok()) {
      ++picture.counts->refused;
      if (share_.in_flight() == 0) estimates_.Refused();
      return;
    }
    const auto decision = share_.Enter({source.caller, source.priority, bytes});
    if (!decision.id) {
      ++picture.counts->refused;
      return;
    }
    for (const auto& evicted : decision.evicted) {
      ++pictures_.at(evicted.id).counts->evicted;
      pictures_.erase(evicted.id);
    }
    picture.judged = core::Milliseconds(estimates_.WaitBehind(backlog, bytes));
    bytes_[*decision.id] = bytes;
    pictures_.emplace(*decision.id, picture);
  }

  void StartWork() {
    const size_t lead = std::max<size_t>(16, 2 * plant_.workers.encode * plant_.workers.max_batch);
    while (free_decoders_ > 0 && decoded_.size() + plant_.workers.decode - free_decoders_ < lead) {
      const auto id = share_.Next();
      if (!id) break;
      if (Worth(*id, estimates_.FromDecode(bytes_.at(*id)))) Decode(*id);
    }
    while (free_encoders_ > 0 && !decoded_.empty()) Encode();
  }

  bool Worth(FairShare::Id id, Clock::duration needed) {
    if (CheckBudget(At(now_), At(pictures_.at(id).deadline), needed).ok()) return true;
    Finish(id, /*served=*/false);
    return false;
  }

  void Decode(FairShare::Id id) {
    --free_decoders_;
    const double took = pictures_.at(id).decode;
    pictures_.at(id).served += took;
    Plan(took, [this, id, took] {
      ++free_decoders_;
      estimates_.Decoded(bytes_.at(id), Time(took));
      decoded_.push_back(id);
    });
  }

  void Encode() {
    std::vector<FairShare::Id> batch;
    while (!decoded_.empty() && batch.size() < plant_.workers.max_batch) {
      batch.push_back(decoded_.front());
      decoded_.pop_front();
    }
    const Clock::duration needed = estimates_.FromEncode(batch.size());
    std::erase_if(batch, [&](FairShare::Id id) { return !Worth(id, needed); });
    if (batch.empty()) return;
    --free_encoders_;
    encoding_ += batch.size();
    const double took =
        (plant_.alpha + plant_.beta * static_cast<double>(batch.size())) * (0.8 + 0.4 * Uniform());
    Plan(took, [this, batch, took] {
      ++free_encoders_;
      encoding_ -= batch.size();
      estimates_.Encoded(batch.size(), Time(took));
      for (const FairShare::Id id : batch) Encoded(id, took);
    });
  }

  void Encoded(FairShare::Id id, double took) {
    Picture& picture = pictures_.at(id);
    picture.served += took;
    if (picture.interactive) {
      estimates_.Waited(Time(picture.judged), Time(now_ - picture.arrived - picture.served));
    }
    Plan(plant_.experts, [this, id] {
      estimates_.Answered(0, Time(plant_.experts));
      Finish(id, /*served=*/true);
    });
  }

  void Finish(FairShare::Id id, bool served) {
    const Picture& picture = pictures_.at(id);
    ++(served && now_ <= picture.deadline ? picture.counts->in_time : picture.counts->late);
    share_.Leave(id);
    pictures_.erase(id);
    bytes_.erase(id);
  }

  const Plant plant_;
  const std::vector<Source> sources_;
  FairShare share_;
  Estimates estimates_;
  size_t free_decoders_, free_encoders_, encoding_ = 0;
  std::mt19937_64 random_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  double now_ = 0.0, warm_ = 0.0, end_ = 0.0;
  std::unordered_map<FairShare::Id, Picture> pictures_;
  std::unordered_map<FairShare::Id, size_t> bytes_;
  std::deque<FairShare::Id> decoded_;
  std::map<std::string, Counts> counts_;
  Counts ignored_;
};

constexpr double kSeconds = 20.0;

struct PlantCase {
  std::string name;
  Plant plant;
  double deadline;  // ms
};

void PrintTo(const PlantCase& plant, std::ostream* out) { *out << plant.name; }

class OverloadTest : public ::testing::TestWithParam<PlantCase> {};

TEST_P(OverloadTest, GoodputKeepsItsPeakAndWhatIsAcceptedIsKept) {
  const auto& [name, plant, deadline] = GetParam();
  double peak = 0.0, last = 0.0;
  for (const double load : {0.5, 0.8, 1.0, 1.5, 2.0, 3.0}) {
    const Counts counts =
        Simulation(plant, {{.rate = load * plant.Capacity(), .deadline = deadline}})
            .Run(kSeconds)["a"];
    last = counts.in_time / kSeconds;
    peak = std::max(peak, last);
    SCOPED_TRACE("load " + std::to_string(load) + ": sent " + std::to_string(counts.sent) +
                 ", in time " + std::to_string(counts.in_time) + ", late " +
                 std::to_string(counts.late) + ", refused " + std::to_string(counts.refused));
    EXPECT_LE(counts.late, 0.01 * counts.accepted());
    if (load <= 0.5) {
      EXPECT_GE(counts.in_time, 0.99 * counts.sent);
    }
  }
  EXPECT_GE(last, 0.95 * peak);
  EXPECT_GE(peak, 0.85 * plant.Capacity());
}

INSTANTIATE_TEST_SUITE_P(
    Table, OverloadTest,
    ::testing::Values(
        PlantCase{"TheEncoderIsTheBottleneck", {}, 200.0}, PlantCase{"LongDeadline", {}, 2000.0},
        PlantCase{"ShortDeadline", {}, 80.0},
        PlantCase{"DecodingIsTheBottleneck", {.decode = 12.0}, 200.0},
        PlantCase{"Both", {.decode = 5.5}, 200.0},
        PlantCase{"OneOfEach", {.workers = {.decode = 1, .encode = 1, .max_batch = 4}}, 200.0},
        PlantCase{"Many", {.workers = {.decode = 8, .encode = 16, .max_batch = 8}}, 200.0}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(FairnessSimulationTest, AFloodCostsAnotherCallerNothing) {
  const Plant plant;
  auto counts = Simulation(plant, {{.caller = "flood", .rate = 3 * plant.Capacity()},
                                   {.caller = "shop", .rate = 0.3 * plant.Capacity()}})
                    .Run(kSeconds);
  EXPECT_GE(counts["shop"].in_time, 0.98 * counts["shop"].sent);
  EXPECT_GE(counts["flood"].in_time, 0.6 * plant.Capacity() * kSeconds);  // All that is left.
}

TEST(FairnessSimulationTest, BatchTakesWhatInteractiveLeavesAndDoesNotStarve) {
  const Plant plant;
  const auto run = [&](double interactive) {
    return Simulation(plant, {{.caller = "night",
                               .priority = Priority::kBatch,
                               .rate = 2 * plant.Capacity(),
                               .deadline = 5000.0},
                              {.caller = "shop", .rate = interactive * plant.Capacity()}})
        .Run(kSeconds);
  };
  auto half = run(0.5);
  EXPECT_GE(half["shop"].in_time, 0.99 * half["shop"].sent);
  EXPECT_GE(half["night"].in_time, 0.4 * plant.Capacity() * kSeconds);
  auto flood = run(2.0);
  EXPECT_GE(flood["shop"].in_time, 0.8 * plant.Capacity() * kSeconds);
  EXPECT_GE(flood["night"].in_time, 0.05 * plant.Capacity() * kSeconds);
}

TEST(FairnessSimulationTest, TightDeadlinesAreNotRefusedWhenNobodyIsThere) {
  const Plant plant;
  auto counts = Simulation(plant, {{.rate = 2.0, .deadline = 25.0}}).Run(200.0);
  EXPECT_GE(counts["a"].in_time, 0.97 * counts["a"].sent);
}

}  // namespace
}  // namespace orchard::router
