"""Numbers of rounds as text: what tests/bench's programs share."""

import math
import statistics
import sys


def say(text):
    print(text, file=sys.stderr, flush=True)


def ratio(rounds, way, reference, row, what):
    """The median of a row's ratios, each of one round: what disturbs a round disturbs both."""
    return statistics.median(one[way][row][what] / one[reference][row][what] for one in rounds)


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def table(head, lines):
    widths = [max(len(line[n]) for line in [head, *lines]) for n in range(len(head))]
    text = [" ".join([line[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(line[1:], widths[1:]))]).rstrip()
            for line in (head, ["-" * width for width in widths], *lines)]
    return "\n".join(text) + "\n"
