"""The five boards: what is asked of Prometheus, under the question that it answers.

Rows follow a picture: traffic, routing, experts, room, errors. Lines by domain are the five highest,
or the panel is repeated for each domain; areas of a stack are as many as the whole has parts. What
alerts look at is read from the recorded series that they look at.
"""

from panels import (board, graph, highest, mean, quantile, ratio, row, share, stat, total,
                    whole_quantile)

# Labels. With "All" chosen, a variable is .*, which series without that label match as well.
HERE = 'namespace=~"$namespace"'
OF_MODEL = f'{HERE},model=~"$model"'
OF_DOMAIN = f'{OF_MODEL},domain=~"$domain"'
ROUTER, EXPERT = f'job="orchard-router",{HERE}', f'job="orchard-expert",{HERE}'
BOTH = f'job=~"orchard-router|orchard-expert",{HERE}'
ROUTER_MODEL, ROUTER_DOMAIN = f'job="orchard-router",{OF_MODEL}', f'job="orchard-router",{OF_DOMAIN}'
EXPERT_DOMAIN = f'job="orchard-expert",{OF_DOMAIN}'
PICTURES = f'{ROUTER},method=~"Classify|ClassifyStream"'

SHARE = "percentunit"
PER_SECOND = "cps"

# Queries that more than one board has.
ACTIVATIONS = total("orchard_routed_images_total", ROUTER_MODEL)
LOAD_SHARE = share(total("orchard_routed_images_total", ROUTER_MODEL, "domain"), ACTIVATIONS)
MISSING_BY_REASON = share(total("orchard_missing_total", ROUTER_MODEL, "reason"), ACTIVATIONS)


def recorded(name, labels=HERE):
    return f"max({name}{{{labels}}})"


def share_panel(width):
    return graph("Who gets the work? (share of each expert)", SHARE, ("{{domain}}", LOAD_SHARE),
                 stack=True, most=1, width=width,
                 about="Activations of each domain's expert, as a share of all. Bands of like "
                       "height are even load; one that swells is a domain that has become hot.")


def missing_panel(width):
    return graph("What keeps experts from answering?", SHARE, ("{{reason}}", MISSING_BY_REASON),
                 stack=True, width=width, alert="OrchardDegradedAnswers",
                 about="Activations that had no answer, as a share of all, by the reason. The "
                       "limit is that of degraded answers.")


def overview():
    return board("orchard-overview", "Orchard: is it well?", "overview", [
        row("Is it well?",
            stat("How many pictures come?", PER_SECOND, total("orchard_requests_total", PICTURES),
                 about="Pictures a second, of both methods."),
            stat("How many fail?", SHARE, recorded("orchard:pictures_failed:ratio_rate5m"),
                 alert="OrchardAvailabilityFastBurn",
                 about="Pictures that count for the objective and were not answered, five minutes."),
            stat("How many are slow?", SHARE, recorded("orchard:requests_slow:ratio_rate5m"),
                 alert="OrchardLatencyFastBurn",
                 about="Requests that took longer than a second, five minutes."),
            stat("How many lack an expert?", SHARE, recorded("orchard:degraded:ratio_rate5m"),
                 alert="OrchardDegradedAnswers", about="Answers that are degraded, five minutes."),
            stat("How many are refused?", SHARE, recorded("orchard:shed:ratio_rate5m"),
                 alert="OrchardShedding", about="Requests that admission refused, five minutes."),
            stat("How uneven is the load?", "none",
                 recorded("orchard:load_max_over_mean:rate5m", OF_MODEL),
                 alert="OrchardLoadImbalance",
                 about="Load of the busiest expert over the mean; 1 is even."),
            stat("How many processes are silent?", "none",
                 f"count(up{{{BOTH}}} == 0) or vector(0)", alert="OrchardTargetDown",
                 about="Targets that Prometheus does not reach."),
            stat("How many alerts fire?", "none",
                 'count(ALERTS{alertname=~"Orchard.*",alertname!="OrchardWatchdog",'
                 f'alertstate="firing",{HERE}}}) or vector(0)',
                 about="Alerts of Orchard that fire now, without the dead man's switch.")),
        row("Traffic",
            graph("How do pictures end?", PER_SECOND,
                  ("{{code}}", highest(total("orchard_requests_total", PICTURES, "code") + " > 0")),
                  about="Pictures a second by gRPC code, the five most frequent."),
            graph("What do answers say?", PER_SECOND,
                  ("{{outcome}}", total("orchard_outcomes_total", ROUTER, "outcome")),
                  about="Answers a second by outcome."),
            graph("How long do callers wait?", "s",
                  *((name, quantile(q, "orchard_request_duration_seconds", PICTURES))
                    for name, q in (("half", 0.5), ("95 %", 0.95), ("99 %", 0.99))),
                  about="From a request's arrival to its answer. The objective: 99 % in 1 s.")),
        row("Objectives",
            graph("Does the budget of failures last?", SHARE,
                  *((window, recorded(f"orchard:pictures_failed:ratio_rate{window}"))
                    for window in ("5m", "1h", "6h", "3d")),
                  alert="OrchardAvailabilityFastBurn", width=12,
                  about="Failed pictures over windows. The page comes when the hour and the last "
                        "five minutes are both above the line."),
            graph("Does the budget of slow answers last?", SHARE,
                  *((window, recorded(f"orchard:requests_slow:ratio_rate{window}"))
                    for window in ("5m", "1h", "6h", "3d")),
                  alert="OrchardLatencyFastBurn", width=12,
                  about="Requests above one second over windows.")),
        row("Routing", share_panel(12), missing_panel(12)),
        row("Room",
            graph("How full are the routers?", SHARE,
                  ("fullest", f"max(orchard_in_flight{{{ROUTER}}} / "
                              f"orchard_in_flight_limit{{{ROUTER}}})"),
                  ("all", f"sum(orchard_in_flight{{{ROUTER}}}) / "
                          f"sum(orchard_in_flight_limit{{{ROUTER}}})"),
                  most=1, about="Requests in progress over the limit, --in-flight."),
            graph("Which threads are busy?", SHARE,
                  ("{{stage}}", ratio(total("orchard_worker_busy_seconds_total", BOTH, "stage"),
                                      f"sum by (stage) (orchard_workers{{{BOTH}}})")),
                  most=1, about="Time worked over threads, by stage: decode, encode and combine in "
                                "routers, score in experts. Near 1 that stage is the limit."),
            graph("Why are requests refused?", PER_SECOND,
                  ("{{reason}}", highest(total("orchard_shed_total", ROUTER, "reason"))),
                  about="Refusals of admission a second by reason, the five most frequent.")),
    ])


def routing():
    answered = f"1 - {ratio(total('orchard_missing_total', ROUTER_MODEL), ACTIVATIONS)}"
    distance = (f"sum(abs(orchard:expert_load_share:rate5m{{{OF_MODEL}}} - "
                f"orchard:gate_share:rate5m{{{OF_MODEL}}})) / 2")
    return board("orchard-routing", "Orchard: is the work well shared?", "routing", [
        row("Who is asked",
            share_panel(16),
            graph("How much has the busiest expert?", SHARE,
                  ("share", recorded("orchard:expert_load_share:rate5m", OF_MODEL)),
                  alert="OrchardExpertDominates", most=1,
                  about="The largest share of one expert over five minutes.")),
        row("How even is it?",
            graph("How many times the mean has the busiest?", "none",
                  ("all routers", recorded("orchard:load_max_over_mean:rate5m", OF_MODEL)),
                  ("most uneven router", f"max(orchard_window_load_max_over_mean{{{ROUTER}}})"),
                  alert="OrchardLoadImbalance", width=6,
                  about="Largest load over the mean; 1 is even, the number of experts is the most."),
            graph("How scattered is the load? (CV²)", "none",
                  ("all routers", recorded("orchard:load_cv_squared:rate5m", OF_MODEL)),
                  ("most uneven router", f"max(orchard_window_load_cv_squared{{{ROUTER}}})"), width=6,
                  about="Squared coefficient of variation of the experts' load; 0 is even, the "
                        "number of experts less one is the most."),
            graph("How many experts share it? (entropy)", "none",
                  ("all routers", recorded("orchard:load_entropy:rate5m", OF_MODEL)),
                  ("most uneven router", f"min(orchard_window_load_entropy{{{ROUTER}}})"),
                  most=1, width=6,
                  about="Entropy of the load over its maximum; 1 is even, 0 is one expert alone."),
            graph("Do load and gates agree on favourites? (balance loss)", "none",
                  ("all routers", recorded("orchard:balance_loss:rate5m", OF_MODEL)),
                  ("most uneven router", f"max(orchard_window_balance_loss{{{ROUTER}}})"), width=6,
                  about="Experts times the sum of load share times gate share; 1 is even. What "
                        "training of a mixture keeps low.")),
        row("Load against importance",
            graph("Is $domain asked as often as the gates think of it?", SHARE,
                  ("load", "sum(orchard:expert_load_share:rate5m{" + OF_DOMAIN + "})"),
                  ("importance", "sum(orchard:gate_share:rate5m{" + OF_DOMAIN + "})"),
                  repeat="domain", width=24,
                  about="Load is its share of activations, importance its share of the gates' "
                        "probability. Load below importance: its pictures are pinned or planned "
                        "elsewhere; load above it: it is asked to make sure.")),
        row("How many are asked, and do they answer?",
            graph("How far is load from importance?", SHARE, ("distance", distance), most=1, width=6,
                  about="Half the sum of differences between the shares of load and of importance: "
                        "0 is the same, 1 nothing in common."),
            graph("How many experts does a picture ask?", "none",
                  ("mean", mean("orchard_experts_asked", ROUTER)),
                  ("95 %", whole_quantile(0.95, "orchard_experts_asked", ROUTER)), width=6,
                  about="Experts activated for a picture. It grows when the gates are unsure, and "
                        "with policies that ask more."),
            graph("How much of what was chosen answered?", SHARE, ("answered", answered), most=1,
                  width=6, about="Activations that were answered, of all."),
            missing_panel(6)),
        row("Pictures that do not fit",
            graph("Which domains are missing?", PER_SECOND,
                  ("{{domain}}", highest(total("orchard_missing_total", ROUTER_MODEL, "domain"))),
                  about="Activations without an answer a second, the five worst domains."),
            graph("How many pictures does nobody know?", SHARE,
                  ("{{outcome}}",
                   share(total("orchard_outcomes_total",
                               f'{ROUTER},outcome=~"UNKNOWN_DOMAIN|LOW_CONFIDENCE"', "outcome"),
                         total("orchard_outcomes_total", ROUTER))),
                  about="Answers that abstain, of all. A step up means that other pictures come, or "
                        "another model serves."),
            graph("How many answers lack an expert?", SHARE,
                  ("degraded", recorded("orchard:degraded:ratio_rate5m")),
                  alert="OrchardDegradedAnswers",
                  about="Answers without all experts that the policy chose.")),
    ])


def experts():
    calls = "orchard_expert_calls_total"
    failed = f'{ROUTER_MODEL},code!~"OK|CANCELLED"'
    return board("orchard-experts", "Orchard: how is each expert?", "experts", [
        row("Which experts stand out?",
            graph("Which are asked most?", PER_SECOND,
                  ("{{domain}}", highest(total("orchard_expert_server_rows_total", EXPERT_DOMAIN,
                                               "domain"))),
                  width=6, about="Rows (pictures) a second that experts computed, the five busiest."),
            graph("Which fail?", SHARE,
                  ("{{domain}}", highest(ratio(total(calls, failed, "domain"),
                                               total(calls, ROUTER_MODEL, "domain")))),
                  width=6, about="Calls without an answer, of all calls to that domain, without "
                                 "cancelled ones. Where nothing is up no call is made: then look at "
                                 "what is missing."),
            graph("Which are slow?", "s",
                  ("{{domain}}", highest(quantile(0.95, "orchard_expert_call_duration_seconds",
                                                  ROUTER_MODEL, "domain"))),
                  width=6, about="95 % of calls take no longer, as routers see it; the five slowest."),
            graph("Where do calls wait?", "s",
                  ("{{domain}}", highest(f"orchard:expert_queue_seconds:p95_rate5m{{{OF_DOMAIN}}}")),
                  alert="OrchardExpertQueueWait", width=6,
                  about="95 % of calls wait no longer for a worker of the expert.")),
        row("Scaling",
            graph("Which lack replicas?", "none",
                  ("{{domain}}", highest(f"orchard:expert_desired_replicas:sum{{{OF_DOMAIN}}} - on "
                                         "(namespace, model, domain) "
                                         f"orchard:expert_replicas:count{{{OF_DOMAIN}}}")),
                  alert="OrchardExpertUnderscaled",
                  about="Replicas that the routers' demand wants more than there are."),
            graph("Which pictures wait for an expert to start?", "none",
                  ("{{domain}}",
                   highest(f"sum by (domain) (orchard_cold_waiting{{{ROUTER_DOMAIN}}})")),
                  about="Pictures that are held while the first replica of a domain starts "
                        "(--cold-start-wait)."),
            graph("Who asks again, or twice?", SHARE,
                  ("retries", ratio(total("orchard_expert_retries_total", ROUTER_MODEL),
                                    total(calls, ROUTER_MODEL))),
                  ("hedges", ratio(total("orchard_expert_hedges_total", ROUTER_MODEL),
                                   total(calls, ROUTER_MODEL))),
                  about="Retries (at most 20 % of calls) and hedges (at most 5 %), of all calls.")),
        row("$domain",
            graph("How often is it asked?", PER_SECOND,
                  ("demand", f"sum(orchard_expert_demand_rows_per_second{{{ROUTER_DOMAIN}}})"),
                  ("computed", total("orchard_expert_server_rows_total", EXPERT_DOMAIN)),
                  ("calls", total(calls, ROUTER_DOMAIN)), width=6,
                  about="Pictures a second that want it, rows that its replicas computed, and calls "
                        "that carried them."),
            graph("How do its calls end?", PER_SECOND,
                  ("{{code}}", highest(total(calls, ROUTER_DOMAIN, "code") + " > 0")), width=6,
                  about="Calls a second by code, the five most frequent."),
            graph("How long do its calls take?", "s",
                  ("half", quantile(0.5, "orchard_expert_call_duration_seconds", ROUTER_DOMAIN)),
                  ("95 %", quantile(0.95, "orchard_expert_call_duration_seconds", ROUTER_DOMAIN)),
                  ("95 % waiting there", quantile(0.95, "orchard_expert_server_queue_seconds",
                                                  EXPERT_DOMAIN)),
                  ("95 % computing there", quantile(0.95, "orchard_expert_server_compute_seconds",
                                                    EXPERT_DOMAIN)),
                  ("a row of one replica",
                   f"avg(orchard_expert_service_seconds{{{ROUTER_DOMAIN}}})"),
                  width=6, about="As routers see it, and what of it was waiting and computing."),
            graph("In what state are its endpoints?", "none",
                  ("{{state}}",
                   "max by (state) (sum by (instance, state) "
                   f"(orchard_expert_endpoints{{{ROUTER_DOMAIN}}}))"),
                  width=6, about="Addresses by state, in the router that has most of that state."),
            graph("How often are others tried?", PER_SECOND,
                  ("retries", total("orchard_expert_retries_total", ROUTER_DOMAIN)),
                  ("hedges won", total("orchard_expert_hedges_total",
                                       ROUTER_DOMAIN + ',result="won"')),
                  ("hedges lost or failed", total("orchard_expert_hedges_total",
                                                  ROUTER_DOMAIN + ',result!="won"')),
                  ("ejections", total("orchard_expert_ejections_total", ROUTER_DOMAIN)), width=6,
                  about="Second attempts and ejections a second."),
            graph("Has it as many replicas as it needs?", "none",
                  ("desired", f"sum(orchard:expert_desired_replicas:sum{{{OF_DOMAIN}}})"),
                  ("actual", f"sum(orchard:expert_replicas:count{{{OF_DOMAIN}}})"), width=6,
                  about="What the routers' demand wants, unrounded, and the processes that serve it."),
            graph("How many rows are computed together?", "none",
                  ("mean", mean("orchard_expert_server_batch_size", EXPERT_DOMAIN)),
                  ("95 %", whole_quantile(0.95, "orchard_expert_server_batch_size", EXPERT_DOMAIN)),
                  width=6, about="Rows of a batch of its replicas."),
            graph("Why is it missing?", PER_SECOND,
                  ("{{reason}}", highest(total("orchard_missing_total", ROUTER_DOMAIN, "reason"))),
                  width=6, about="Activations without an answer a second, five reasons."),
            repeat="domain"),
    ])


def latency():
    stage = "orchard_stage_duration_seconds"
    return board("orchard-latency", "Orchard: where does the time go?", "latency-and-batching", [
        row("Callers",
            *(graph(f"How long does {method} take?", "s",
                    *((name, quantile(q, "orchard_request_duration_seconds",
                                      f'{ROUTER},method="{method}"'))
                      for name, q in (("half", 0.5), ("95 %", 0.95), ("99 %", 0.99))),
                    about="From arrival to answer; of streams, each picture.")
              for method in ("Classify", "ClassifyStream")),
            graph("How many are slower than a second?", SHARE,
                  ("5m", recorded("orchard:requests_slow:ratio_rate5m")),
                  ("1h", recorded("orchard:requests_slow:ratio_rate1h")),
                  alert="OrchardLatencyFastBurn", about="Requests above the objective.")),
        row("Stages of a picture",
            graph("In which stage is a picture?", "s", ("{{stage}}", mean(stage, ROUTER, "stage")),
                  stack=True, about="Mean time of each stage, on each other: what a picture spends."),
            graph("Which stage has a long tail?", "s",
                  ("{{stage}}", quantile(0.95, stage, ROUTER, "stage")),
                  about="95 % of pictures spend no longer in that stage."),
            graph("How long do pictures queue?", "s",
                  ("95 %", recorded("orchard:queue_seconds:p95_rate5m")), alert="OrchardQueueWait",
                  about="All waiting between stages. If it grows, all workers of a stage are busy.")),
        row("Batches",
            graph("How many pictures does a forward pass take?", "none",
                  ("mean", mean("orchard_micro_batch_size", ROUTER)),
                  ("95 %", whole_quantile(0.95, "orchard_micro_batch_size", ROUTER)),
                  about="Micro-batches of the encoder; it never waits for more. Near --max-batch the "
                        "encoder is behind."),
            graph("How many rows do experts compute together?", "none",
                  ("{{domain}}", highest(mean("orchard_expert_server_batch_size", EXPERT_DOMAIN,
                                              "domain"))),
                  about="Mean rows of a batch, five domains."),
            graph("How long does a batch of an expert take?", "s",
                  ("{{domain}}", highest(quantile(0.95, "orchard_expert_server_compute_seconds",
                                                  EXPERT_DOMAIN, "domain"))),
                  about="95 % of batches take no longer, the five slowest domains.")),
        row("Room",
            graph("Which threads are busy?", SHARE,
                  ("{{stage}}", ratio(total("orchard_worker_busy_seconds_total", BOTH, "stage"),
                                      f"sum by (stage) (orchard_workers{{{BOTH}}})")),
                  most=1, width=6, about="Time worked over threads, by stage."),
            graph("What waits?", "none",
                  ("to be decoded", f'sum(orchard_queue_depth{{{ROUTER},stage="decode"}})'),
                  ("to be encoded", f'sum(orchard_queue_depth{{{ROUTER},stage="encode"}})'),
                  ("in progress", f"sum(orchard_in_flight{{{ROUTER}}})"),
                  ("rows at experts", f"sum(orchard_expert_server_in_flight{{{EXPERT}}})"), width=6,
                  about="Requests by where they are, and rows waiting or in progress at experts."),
            graph("What does admission reckon with?", "s",
                  ("{{of}}", f"max by (of) (orchard_estimate_seconds{{{ROUTER}}})"), width=6,
                  about="Recent times that deadlines are judged by."),
            graph("What does a picture cost?", "s",
                  ("{{job}}", share(total("process_cpu_seconds_total", BOTH, "job"),
                                    total("orchard_requests_total", PICTURES))), width=6,
                  about="CPU time a picture, in routers and in experts.")),
        row("Refusals",
            graph("How many requests are refused?", SHARE,
                  ("refused", recorded("orchard:shed:ratio_rate5m")), alert="OrchardShedding",
                  about="Of all requests, by admission."),
            graph("Why?", PER_SECOND,
                  ("{{reason}}", highest(total("orchard_shed_total", ROUTER, "reason"))),
                  about="Refusals a second by reason, the five most frequent."),
            graph("How much longer than judged do requests wait?", "none",
                  ("highest", f"max(orchard_wait_margin{{{ROUTER}}})"),
                  about="What a judged wait is multiplied by, 1 to 2.")),
    ])


def rollout():
    return board("orchard-rollout", "Orchard: how goes the roll-out?", "roll-out", [
        row("What runs",
            graph("Which models do routers serve?", "none",
                  ("{{model}}/{{version}}",
                   highest(f"count by (model, version) (orchard_model_info{{{ROUTER_MODEL}}})")),
                  about="Routers by model and version. Two lines while a new one rolls."),
            graph("Which models do experts serve?", "none",
                  ("{{model}}/{{version}}",
                   highest("count by (model, version) "
                           f'(orchard_model_info{{job="orchard-expert",{OF_MODEL}}})')),
                  about="Expert processes by model and version."),
            graph("Which programs run?", "none",
                  ("{{program}} {{version}}",
                   highest(f"count by (program, version) (orchard_build_info{{{BOTH}}})")),
                  about="Processes by program and version.")),
        row("Do they fit together?",
            graph("Which experts are of another model?", "none",
                  ("{{domain}}",
                   highest("max by (domain) "
                           f'(orchard_expert_endpoints{{{ROUTER_DOMAIN},state="foreign"}})')),
                  alert="OrchardForeignExperts",
                  about="Endpoints that a router found to serve another model, encoder or part."),
            graph("How often was that found?", PER_SECOND,
                  ("by routers", total("orchard_fingerprint_mismatches_total", ROUTER_MODEL)),
                  ("by experts", total("orchard_expert_server_fingerprint_mismatches_total",
                                       EXPERT_DOMAIN)),
                  about="Endpoints found foreign, and calls that experts refused for that."),
            graph("Do callers notice?", SHARE,
                  ("failed", recorded("orchard:pictures_failed:ratio_rate5m")),
                  ("degraded", recorded("orchard:degraded:ratio_rate5m")),
                  alert="OrchardDegradedAnswers",
                  about="A roll-out done right leaves both at 0. The limit is that of degraded "
                        "answers.")),
        row("Processes",
            graph("What is there?", "none", ("{{job}}", f"sum by (job) (up{{{BOTH}}})"), width=6,
                  about="Processes that Prometheus reaches."),
            graph("Which restart?", "none",
                  ("{{instance}}", highest(f"changes(process_start_time_seconds{{{BOTH}}}[1h])")),
                  alert="OrchardRestarts", width=6,
                  about="Starts anew in the last hour at the same address, the five worst."),
            graph("How old are they?", "s",
                  ("youngest {{job}}",
                   f"time() - max by (job) (process_start_time_seconds{{{BOTH}}})"), width=6,
                  about="Age of the youngest process of each kind."),
            graph("Do routers see each other?", "none",
                  ("{{state}}", f"max by (state) (orchard_router_peers{{{ROUTER}}})"), width=6,
                  about="Routers that one asks for their demand (--router-peers), by state.")),
        row("Limits that creep up",
            graph("How long are certificates good?", "s",
                  ("{{job}} {{use}}",
                   "bottomk(5, min by (job, use) "
                   f"(orchard_tls_certificate_not_after_seconds{{{BOTH}}}) - time())"),
                  alert="OrchardCertificateExpiry", width=6, about="Until the first one ends."),
            graph("Which renewals were wrong?", "none",
                  ("{{job}} {{use}}",
                   highest("sum by (job, use) "
                           f"(increase(orchard_tls_reload_failures_total{{{BOTH}}}[1h]))")),
                  alert="OrchardCertificateReloadFailed", width=6,
                  about="TLS files that were not taken, in the last hour."),
            graph("How many descriptors are open?", SHARE,
                  ("{{job}}", f"max by (job) (process_open_fds{{{BOTH}}} / process_max_fds)"),
                  alert="OrchardFewDescriptors", most=1, width=6, about="Of the limit, the fullest."),
            graph("How much memory is taken?", "bytes",
                  ("largest {{job}}", f"max by (job) (process_resident_memory_bytes{{{BOTH}}})"),
                  width=6, about="Memory in RAM of the largest process of each kind.")),
    ])


def all_boards():
    """{file name without .json: dashboard}"""
    return {"overview": overview(), "routing": routing(), "experts": experts(),
            "latency": latency(), "rollout": rollout()}
