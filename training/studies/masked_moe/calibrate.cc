#include "training/studies/masked_moe/calibrate.h"

#include "training/measure/calibration.h"

namespace orchard::training {

Temperatures Calibrate(const MaskedMoeImpl& network, const Logits& logits,
                       const std::vector<Label>& labels) {
  std::vector<TemperatureRows> of_classes(network.domains().size());
  for (size_t i = 0; i < labels.size(); ++i) of_classes[labels[i].domain].Add(i, labels[i].label);
  Temperatures temperatures{
      .gates = FitGateTemperatures(network.gates->tree(), logits.gates, labels), .classes = {}};
  for (size_t g = 0; g < of_classes.size(); ++g) {
    temperatures.classes.push_back(of_classes[g].Fit(logits.classes[g]));
  }
  return temperatures;
}

}  // namespace orchard::training
