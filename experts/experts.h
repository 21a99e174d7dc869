#pragma once

/// \file
/// Experts: one domain's classifier, in process or behind an address, and the service that puts one
/// behind an address. No routing. Read in this order:
///   expert.h              the interface that the router sees, and why an expert is missing
///   expert_spec.h         what one expert reads and answers, equal on both ends of the wire
///   scorer.h              the arithmetic of one expert as a function; checks of its answers
///   head_scorer.h         a loaded head as a Scorer
///   in_process_expert.h   an Expert over a Scorer
///   wire.h                SubBatch ↔ v1::ScoreRequest, ScoreBatch ↔ v1::ScoreResponse, every check
///   remote_expert.h       an Expert over one or more addresses
///   metadata.h            what travels beside the messages
///   endpoint_choice.h     which address gets a call (pure)
///   expert_service.h      v1::Expert: queue → batch across callers → head → answer; over
///                         internal/score_queue.h, and internal/score_pool.h for the threads
///   expert_metrics.h      what the service measures (docs/metrics.md, "Expert service")
/// Conventions: rows are pictures; log-probabilities are natural, calibrated, in the order of the
/// domain's classes; energies are before the temperature. A row's answer does not depend on the
/// rows that shared its batch.
