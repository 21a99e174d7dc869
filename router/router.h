#pragma once

/// \file
/// The router: picture bytes → a routed classification. The pipeline knows no gRPC, so that the
/// service and the evaluation call the same one. No mathematics: that is moe/. Read in this order,
/// which is the walk of a request:
///   request.h          what moves along the line; each stage owns it while it works
///   passage.h          when it was in which stage
///   options.h          wire → a valid policy (pure)
///   admission.h        the in-flight limit, and whether the deadline can be kept
///   decode_stage.h     bytes → pixels, on a pool
///   encode_stage.h     micro-batch → features and gates, on workers
///   scatter.h          the waves: plan → one Expert::Score a sub-batch → answers, or the deadline
///   gather.h           one picture's answers so far, and what to ask next
///   combine_stage.h    what was gathered → a classification, which ends the request
///   classification.h   the result, by index; render.h makes the wire's message of it
///   pipeline.h         the line, assembled
///   fleet.h            the experts that this router knows
///   catalogue.h        the model's names, by index
///   metrics.h          what is measured (docs/metrics.md)
///   engine.h           a model on disk → a pipeline, for the main and the evaluation
///   classify_call.h, stream_call.h, classifier_service.h   the wire; the only gRPC in here
/// Conventions: domains are indexed as in the manifest; a stage never calls an earlier one, and
/// holds no lock across the next. Degraded is a result, not an error.
