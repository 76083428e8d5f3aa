"""Verifiers: pure functions that judge an answer by what the seed says, before training and after it.

A verifier sees the answer's text and the seed without its reference, so what it accepts was never compared with gold.
It is total: whatever text a model writes, the result is a `Check`, and a failed one says why.

A recipe's verify block names verifiers and their settings; a list of settings uses one verifier several times:

    verify:
      json_schema: order.json                          # or the schema itself
      copied_span: {field: name, source: text}
      number_in_text: {field: amount, source: text}
      date_in_text: {field: date, source: text}        # day_first: true reads 03/05/2024 as 3 May
      labels: {of: [refund, order]}
      regex: {pattern: "^Dear "}
      math: {expected: solution}
      arithmetic: {numbers: numbers, target: target}
      code: {tests: tests}
      citations: {source: text}
      language: {is: en}
      length: {max_words: 200}
      refusal: {}
      python: checks:polite                            # with --trust-recipe only

Every verifier that reads JSON reads bare JSON only. An answer inside a ``` fence or with a sentence around it fails,
because the student is trained on the text as it stands and would learn the wrapping too.
"""

from harvester.verify.base import Verifier
from harvester.verify.reference import matches_reference, matching_fields
from harvester.verify.registry import build, is_slow, resolve, seed_fields
from harvester.verify.voting import vote_key

__all__ = [
    "Verifier",
    "build",
    "is_slow",
    "matches_reference",
    "matching_fields",
    "resolve",
    "seed_fields",
    "vote_key",
]
