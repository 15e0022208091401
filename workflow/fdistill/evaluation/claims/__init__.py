"""Which claims of papers hold in a study.

A claim has tests, each with a verdict. It is about every case: it fails if one case fails; or else it is n/a if one is,
undecided if one is, and holds. A case is one test. With `than_one_of` it is all tests of one better method on one task
in one metric, and holds if one of them does; or else it is n/a if one is, undecided if one is, and fails.
"""

from fdistill.evaluation.claims.decide import decide_claims
from fdistill.evaluation.claims.verdicts import CLAIMS_FILE, FAILS, HOLDS, MISSING, UNDECIDED

__all__ = ["CLAIMS_FILE", "FAILS", "HOLDS", "MISSING", "UNDECIDED", "decide_claims"]
