#pragma once

/// \file
/// The router: picture bytes → a routed classification. The pipeline knows no gRPC, so that the
/// service and the evaluation call the same one. No mathematics: that is moe/. Read in this order,
/// which is the walk of a request:
///   request.h          what moves along the line; each stage owns it while it works
///   passage.h          when it was in which stage
///   options.h          wire → a valid policy (pure)
///   estimates.h        how long the stages take, and whether a deadline can be kept; over
///                      domain_times.h and core/linear_time.h (pure)
///   fair_share.h       who comes in and whose turn it is (pure); refusal.h says to whom it is not
///   waiting_room.h     where requests wait for that; slot.h is the proof of a place
///   caller.h           who calls, and how urgent it is
///   decode_stage.h     bytes → pixels, on a pool
///   encode_stage.h     micro-batch → features and gates, on workers
///   scatter.h          the waves: plan → one Expert::Score a sub-batch → answers, or the deadline
///   cold_starts.h      who waits for domains that are being started
///   gather.h           one picture's answers so far, and what to ask next
///   combine_stage.h    what was gathered → a classification, which ends the request
///   classification.h   the result, by index; render.h makes the wire's message of it
///   refused.h          the end of what did not come in
///   pipeline.h         the line, assembled
///   fleet.h            the experts that this router knows
///   demand_meter.h     how many replicas of each are needed, by how many pictures want it (pure);
///                      total_demand.h adds up over routers (pure), demand_board.h keeps it all and
///                      tells, peer_watch.h and peer.h listen to other routers
///   catalogue.h        the model's names, by index
///   metrics.h          what is measured (docs/metrics.md)
///   served_model.h, model_registry.h, load_model.h   what each model has of its own
///   engine.h           models on disk → a pipeline, for the main and the evaluation
///   classify_call.h, stream_call.h, classifier_service.h   the wire: pictures
///   external_scaler.h, demand_service.h, over state_streams.h   the wire: demand
/// Conventions: domains are indexed as in the manifest; a stage never calls an earlier one, and
/// holds no lock across the next. Degraded is a result, not an error.
