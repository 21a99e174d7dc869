#pragma once

/// \file
/// A fleet of routers and experts as a simulation of discrete events: Poisson arrivals, processes
/// that share cores, queues and batches, calls over a network, autoscaling, a zone that fails.
/// Nothing sleeps and nothing reads a clock; the same plan and seed give the same figures.
///
/// What routers decide is decided by their own code: which addresses of many (experts/subset.h),
/// which of them gets a call (endpoint_choice.h, endpoint_load.h), which is left alone (ejection.h,
/// endpoint_state.h), when a second one is asked (hedge_delay.h, ratio_budget.h), whom admission
/// refuses (router/estimates.h), how many replicas there should be (router/demand_meter.h,
/// total_demand.h, experts/service_time.h, mean_service_time.h). What stands around it in threads
/// and gRPC is modelled: who waits for whom, and what it takes. Read in this order:
///   events.h          what happens next
///   times.h           how long something takes: measured quantiles, or a law
///   cores.h           processes that share cores
///   plan.h            what is simulated; plan_json.h reads it
///   slots.h           things in progress, named by numbers
///   tally.h           what became of pictures
///   pod.h             an expert's process: queue → batch → answers
///   listing.h         which pods a name leads to
///   expert_client.h   a router's side of a domain: endpoints, calls, retries, hedges
///   router_model.h    a router: receive → admit → decode → encode → scatter → combine
///   autoscaler.h      replicas by demand, as KEDA and a HorizontalPodAutoscaler would
///   simulation.h      all of it together; report.h says what came of it
/// docs/scale.md says what was simulated, and how far off it is.
