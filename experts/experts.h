#pragma once

/// \file
/// Experts: one domain's classifier, in process or behind an address, and the service that puts one
/// behind an address. No routing. Read in this order:
///   expert.h              the interface that the router sees, and why an expert is missing
///   attempt_log.h         what a call has tried so far, for who waits for it
///   expert_spec.h         what one expert reads and answers, equal on both ends of the wire
///   scorer.h              the arithmetic of one expert as a function; checks of its answers
///   head_scorer.h         a loaded head as a Scorer
///   served_head.h         the same with what a service wants of it
///   in_process_expert.h   an Expert over a Scorer
///   wire.h                SubBatch ↔ v1::ScoreRequest, ScoreBatch ↔ v1::ScoreResponse, every check
///   part_digest.h         what an answer means, compared by both ends
///   metadata.h            what travels beside the messages
///   remote_expert.h       an Expert over one or more addresses; its parts, all pure:
///     target.h              where they are, as a setting says it
///     subset.h              which of many addresses this router connects to
///     endpoint_load.h       how busy and how quick an address is
///     endpoint_choice.h     which one gets a call
///     ejection.h            when one is left alone
///     endpoint_state.h      what the addresses of a domain are worth together
///     ratio_budget.h, hedge_delay.h   how many extra tries there are, and when
///   resolver.h            looks names up
///   fleet_events.h        what a RemoteExpert tells about itself
///   expert_service.h      v1::Expert: queue → batch across callers → head → answer; over
///                         internal/score_queue.h, and internal/score_pool.h for the threads
///   service_time.h        what a row takes of a process, as the service says it;
///   mean_service_time.h   and as a router takes it from all who say it
///   expert_metrics.h      what the service measures (docs/metrics.md, "Expert service")
/// Conventions: rows are pictures; log-probabilities are natural, calibrated, in the order of the
/// domain's classes; energies are before the temperature. A row's answer does not depend on the
/// rows that shared its batch.
