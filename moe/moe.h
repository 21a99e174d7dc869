#pragma once

#include <cstddef>
#include <string>
#include <vector>

/// \file
/// The mixture of experts as arithmetic: gate probabilities → plan → combination.
/// Pure functions on spans; no I/O, no threads, no LibTorch. Read in this order:
///   policy.h (which experts a policy wants), plan.h (which to ask next), combine.h (one answer
///   from many), abstain.h (may it be relied on), health.h (is routing balanced), specialisation.h
///   and verdict.h (what experts inside a network do).
/// Conventions: logarithms are natural; a log-probability of -∞ means "masked"; domains are
/// indexed as in the manifest; ties go to the lower index.

namespace orchard::moe {

/// The tree of branches, domains and classes, by index. Immutable once made.
struct Taxonomy {
  std::vector<size_t> branch_of;                ///< [G]: the branch of each domain
  std::vector<size_t> classes;                  ///< [G]: number of classes of each domain
  std::vector<std::vector<size_t>> concept_of;  ///< [G][C_g]: the concept of each class
  size_t branches = 0;
  size_t concepts = 0;  ///< classes of different domains may share one

  size_t domains() const { return classes.size(); }
};

}  // namespace orchard::moe
