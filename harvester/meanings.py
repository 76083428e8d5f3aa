"""What the words of a dataset mean to whoever finds it: reasons for leaving a row out, and verifiers."""

CHECKS = {
    "json_schema": ("the answer is bare JSON of the stated schema", "that the values in it are right"),
    "labels": ("the answer is one of the stated labels", "that it is the right one"),
    "regex": ("the answer has, or lacks, the stated pattern", "anything else about it"),
    "math": ("its last formula or number equals the seed's value", "that the steps before it are right"),
    "arithmetic": ("its expression uses the seed's numbers and has the target as its value", "the words around it"),
    "code": ("its Python passes the seed's tests in a sandbox", "what the tests do not ask"),
    "citations": ("its quotations stand in the seed's source", "that they support what it says"),
    "language": ("it is written in the stated language", "that it is written well"),
    "length": ("it is neither too short nor too long", "anything about its content"),
    "refusal": ("it has no phrase of refusal that is known", "that it does what was asked"),
    "copied_span": ("a field stands in the seed's text word for word", "that it is the right passage"),
    "number_in_text": ("a number stands in the seed's text", "that it is the right number"),
    "date_in_text": ("a date stands in the seed's text", "that it is the right date"),
    "python": ("a function of the recipe's own accepts it", "what that function does not look at"),
}
"""Verifier → what an answer that passes is known to be, and what it is not."""
UNKNOWN_CHECK = ("it passes", "what the check does not look at")

REASONS = {
    "length": "cut off: the teacher reached its limit of tokens",
    "content_filter": "the provider's filter stopped the answer",
    "refusal": "the teacher refused",
    "empty": "the teacher said nothing",
    "unreadable": "the reply was no chat completion",
    "parse": "the recipe's own function finds no answer in it",
    "output": "not of the form that the step asks for",
    "not_selected": "another answer to the same question was taken",
    "low_score": "the judge's score is too low",
    "no_score": "the judge gave no score",
    "no_vote": "the answer cannot be compared with others",
    "no_new_seeds": "no seeds in it",
    "older": "answered before the day that was asked for",
    "under_min_score": "the judge's score is under the one that was asked for",
}
"""Reason, as rows and harvester.json have it → words."""
FAMILIES = {
    "verify": "fails the check {rest}",
    "curate": "taken out by curation: {rest}",
    "person": "a person took it out",
    "terms": "a teacher's terms are {rest}",
    "failed": "the request failed",
    "render": "the next question could not be put",
    "of": "the answer of step {rest} that it follows from is not used",
}
"""What stands before a reason's first colon → words for the whole."""
IN_FORMAT = {
    "no_logprobs": "the API gave no probabilities with it, which the format is for",
    "other_tokens": "the student cuts the answer into other tokens than the teacher said",
    "other_text": "the student's template or tokenizer changes the text",
    "too_long": "more tokens than a row of the format may have",
}
"""After a format's name and a colon: why it cannot hold a row → words."""


def meaning(reason: str, steps: frozenset[str]) -> str:
    """A reason in words; "" where it has none.

    Args:
        reason: as it is counted; that of an earlier step begins with its name.
        steps: their names.
    """
    family, _, rest = reason.partition(":")
    if rest in IN_FORMAT:
        return IN_FORMAT[rest]
    if family in FAMILIES:
        return FAMILIES[family].format(rest=rest.strip())
    if family in steps and (said := meaning(rest, frozenset())):
        return f"at step {family}: {said}"
    return REASONS.get(reason, "")
