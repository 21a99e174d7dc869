#include "nets/network.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace orchard::nets {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const google::protobuf::OneofDescriptor& Kinds() {
  return *v1::Network::descriptor()->FindOneofByName("kind");
}

/// The field that is set; null when none is.
const FieldDescriptor* KindOf(const v1::Network& network) {
  return network.GetReflection()->GetOneofFieldDescriptor(network, &Kinds());
}

const v1::Range& RangeOf(const FieldDescriptor& choice) {
  return choice.options().GetExtension(v1::range);
}

bool HasRange(const FieldDescriptor& field) { return field.options().HasExtension(v1::range); }

/// Fields with a range, all of them single numbers.
std::vector<const FieldDescriptor*> ChoicesOf(const Descriptor& message) {
  std::vector<const FieldDescriptor*> choices;
  for (int i = 0; i < message.field_count(); ++i) {
    if (HasRange(*message.field(i))) choices.push_back(message.field(i));
  }
  return choices;
}

/// Fields that are messages of their own.
std::vector<const FieldDescriptor*> GroupsOf(const Descriptor& message) {
  std::vector<const FieldDescriptor*> groups;
  for (int i = 0; i < message.field_count(); ++i) {
    if (message.field(i)->message_type() != nullptr) groups.push_back(message.field(i));
  }
  return groups;
}

double Get(const Message& chosen, const FieldDescriptor& choice) {
  const google::protobuf::Reflection& reflection = *chosen.GetReflection();
  if (!reflection.HasField(chosen, &choice)) return RangeOf(choice).otherwise();
  if (choice.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    return reflection.GetDouble(chosen, &choice);
  }
  return static_cast<double>(reflection.GetUInt32(chosen, &choice));
}

void Set(Message& chosen, const FieldDescriptor& choice, double value) {
  const google::protobuf::Reflection& reflection = *chosen.GetReflection();
  if (choice.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    reflection.SetDouble(&chosen, &choice, value);
  } else {
    reflection.SetUInt32(&chosen, &choice, static_cast<std::uint32_t>(value));
  }
}

/// What is wrong with `value`, or nothing.
std::string FaultOf(double value, const v1::Range& range) {
  if (!(value >= range.least() && value <= range.most())) {
    return absl::StrFormat(" is %.10g, must be in [%.10g, %.10g]", value, range.least(),
                           range.most());
  }
  if (range.multiple_of() > 0.0 && std::fmod(value, range.multiple_of()) != 0.0) {
    return absl::StrFormat(" is %.10g, must be a multiple of %.10g", value, range.multiple_of());
  }
  return "";
}

/// Proto3 reads any number as a value of an enumeration.
std::string EnumFault(const Message& chosen, const FieldDescriptor& field) {
  const int value = chosen.GetReflection()->GetEnumValue(chosen, &field);
  if (field.enum_type()->FindValueByNumber(value) != nullptr) return "";
  return absl::StrCat(" is ", value, ", which is no ", field.enum_type()->name());
}

/// `path` is what a fault calls the message, "vit_moe.router".
void AddFaults(const Message& chosen, const std::string& path, std::vector<std::string>& faults) {
  const auto add = [&](const FieldDescriptor& field, const std::string& fault) {
    if (!fault.empty()) faults.push_back(absl::StrCat(path, ".", field.name(), fault));
  };
  const Descriptor& message = *chosen.GetDescriptor();
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (HasRange(field)) add(field, FaultOf(Get(chosen, field), RangeOf(field)));
    if (field.enum_type() != nullptr) add(field, EnumFault(chosen, field));
  }
  for (const FieldDescriptor* group : GroupsOf(message)) {
    AddFaults(chosen.GetReflection()->GetMessage(chosen, group),
              absl::StrCat(path, ".", group->name()), faults);
  }
}

void CompleteMessage(Message& chosen) {
  const Descriptor& message = *chosen.GetDescriptor();
  for (const FieldDescriptor* choice : ChoicesOf(message)) {
    Set(chosen, *choice, Get(chosen, *choice));
  }
  for (const FieldDescriptor* group : GroupsOf(message)) {
    CompleteMessage(*chosen.GetReflection()->MutableMessage(&chosen, group));
  }
}

}  // namespace

std::string NetworkName(const v1::Network& network) {
  const FieldDescriptor* kind = KindOf(network);
  return kind == nullptr ? "" : kind->name();
}

std::vector<std::string> KnownNetworks() {
  std::vector<std::string> names;
  for (int i = 0; i < Kinds().field_count(); ++i) names.push_back(Kinds().field(i)->name());
  return names;
}

std::vector<std::string> NetworkFaults(const v1::Network& network) {
  if (KindOf(network) == nullptr) {
    return {absl::StrCat("no network is named; known: ", absl::StrJoin(KnownNetworks(), ", "))};
  }
  std::vector<std::string> faults;
  AddFaults(network.GetReflection()->GetMessage(network, KindOf(network)), NetworkName(network),
            faults);
  return faults;
}

v1::Network Complete(v1::Network network) {
  if (const FieldDescriptor* kind = KindOf(network)) {
    CompleteMessage(*network.GetReflection()->MutableMessage(&network, kind));
  }
  return network;
}

std::map<std::string, double> Choices(const v1::Network& network) {
  std::map<std::string, double> choices;
  if (const FieldDescriptor* kind = KindOf(network)) {
    const Message& chosen = network.GetReflection()->GetMessage(network, kind);
    for (const FieldDescriptor* choice : ChoicesOf(*kind->message_type())) {
      choices[choice->name()] = Get(chosen, *choice);
    }
  }
  return choices;
}

absl::StatusOr<v1::Network> NetworkOf(std::string_view name,
                                      const std::map<std::string, std::int32_t>& choices) {
  const FieldDescriptor* kind = v1::Network::descriptor()->FindFieldByName(std::string(name));
  if (kind == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown architecture \"", std::string(name),
                     "\"; known: ", absl::StrJoin(KnownNetworks(), ", ")));
  }
  v1::Network network;
  Message& chosen = *network.GetReflection()->MutableMessage(&network, kind);
  std::vector<std::string> faults;
  for (const auto& [choice, value] : choices) {
    const FieldDescriptor* field = kind->message_type()->FindFieldByName(choice);
    if (field == nullptr || !HasRange(*field)) {
      faults.push_back(
          absl::StrCat("architecture ", kind->name(), " takes no argument \"", choice, "\""));
    } else if (value < 0) {
      faults.push_back(absl::StrCat(kind->name(), ".", choice, FaultOf(value, RangeOf(*field))));
    } else {
      Set(chosen, *field, value);
    }
  }
  for (std::string& fault : NetworkFaults(network)) faults.push_back(std::move(fault));
  if (faults.empty()) return network;
  return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
}

}  // namespace orchard::nets
