from tests.faults.campaign import Outcome, Part
def trial(seed, k, directory): return Outcome("x")
FORKS = Part("forks", trial, full=10, short=2)
