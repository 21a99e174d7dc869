#!/usr/bin/env python3
"""How evenly routers that connect to a subset of the endpoints spread over them: decision 17.

    bench/experts/subset_balance.py [--routers 100] [--pods 400] [--subset 20] [--fleets 200]

Ways to choose, over many fleets of random identities:
  rendezvous      the pods with the highest hash of (router, pod): experts/subset.h, the same hash
  ring N          each pod at N points of a ring; from the router's point on, the next pods
  deterministic   routers are numbered; each round of routers deals out one shuffle of the pods
Prints max/mean and min/mean of connections per pod, and how many connections of a router move when
one pod goes, on average and at most.
"""

import argparse
import bisect
import functools
import random
import statistics

MASK = (1 << 64) - 1


def mix(x):
    """The finaliser of SplitMix64."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def fnv(text):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def rendezvous(routers, pods, size):
    """For each router the pods of the highest weight."""
    hashes = [(mix(fnv(pod)), pod) for pod in pods]
    for router in routers:
        own = mix((router + 0x9E3779B97F4A7C15) & MASK)
        ranked = sorted(hashes, key=lambda pod: -mix(pod[0] ^ own))
        yield {pod for _, pod in ranked[:size]}


def ring(routers, pods, size, points):
    """For each router the next pods on a ring of hashed points."""
    places = sorted((mix(fnv(f"{pod}#{point}")), pod) for pod in pods for point in range(points))
    keys = [key for key, _ in places]
    for router in routers:
        place = bisect.bisect(keys, mix(router))
        chosen = set()
        while len(chosen) < min(size, len(pods)):
            chosen.add(places[place % len(places)][1])
            place += 1
        yield chosen


def deterministic(routers, pods, size):
    """For the number of a router its share of a shuffle that a round of routers divides."""
    shares = max(1, len(pods) // size)
    for number, _ in enumerate(routers):
        shuffled = list(pods)
        random.Random(number // shares).shuffle(shuffled)
        begin = number % shares * size
        yield set(shuffled[begin:begin + size])


def figures(choose, routers, pods, size):
    """(max/mean, min/mean, mean moves, most moves) of one fleet."""
    before = list(choose(routers, pods, size))
    connections = dict.fromkeys(pods, 0)
    for chosen in before:
        for pod in chosen:
            connections[pod] += 1
    mean = len(routers) * size / len(pods)
    gone = pods[len(pods) // 2]
    after = choose(routers, [pod for pod in pods if pod != gone], size)
    moves = [len(new - old) for old, new in zip(before, after)]
    return (max(connections.values()) / mean, min(connections.values()) / mean,
            statistics.mean(moves), max(moves))


def main():
    """Prints a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--routers", type=int, default=100)
    parser.add_argument("--pods", type=int, default=400)
    parser.add_argument("--subset", type=int, default=20)
    parser.add_argument("--fleets", type=int, default=200)
    given = parser.parse_args()
    pods = [f"10.1.{number // 250}.{number % 250 + 1}:8011" for number in range(given.pods)]
    print(f"{given.routers} routers, {given.pods} pods, subset {given.subset}, "
          f"{given.fleets} fleets")
    print("way            max/mean: median  95th  worst   min/mean: median   moves: mean  most")
    ways = {"rendezvous": rendezvous, "deterministic": deterministic}
    ways |= {f"ring {points}": functools.partial(ring, points=points) for points in (1, 10, 100)}
    for name, choose in ways.items():
        rows = []
        for fleet in range(given.fleets):
            draw = random.Random(fleet)
            routers = [draw.getrandbits(64) for _ in range(given.routers)]
            rows.append(figures(choose, routers, pods, given.subset))
        most, least, moves, longest = zip(*rows)
        ranked = sorted(most)
        print(f"{name:<14} {statistics.median(most):16.2f} "
              f"{ranked[int(0.95 * (len(ranked) - 1))]:5.2f} {ranked[-1]:6.2f} "
              f"{statistics.median(least):18.2f} {statistics.mean(moves):14.3f} "
              f"{max(longest):5d}")


if __name__ == "__main__":
    main()
