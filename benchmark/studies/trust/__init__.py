"""Which metric can be trusted on which data: its range, its noise, and what a positive control scores."""

from benchmark.studies.trust.measure import TrustTable, measure
from benchmark.studies.trust.saved import read_trust, trust_path, write_trust
from benchmark.studies.trust.trainings import seed_noise

__all__ = ["TrustTable", "measure", "read_trust", "seed_noise", "trust_path", "write_trust"]
