r"""Formulas as people write them → as math-verify reads them.

    25pi, 25π → 25\pi     5√2, √(2+3) → 5\sqrt{2}, \sqrt{2+3}     x ≤ 2 → x \leq 2     47;, 47\\ → 47

Of a sentence math-verify reads only numbers and what stands between signs for a formula, so `in_sentence` puts these
signs around what is a formula beyond doubt.
"""

import re

_ENDING = re.compile(r"(?:\s|[;,:]|(?<!\.)\.|\\[,;:! \\]|\\q?quad)+$")
LONGEST_ENDING = 40
_PI = re.compile(r"(?<![^\W\d])(?<!\\)pi\b|π")
_ROOT = re.compile(r"([√∛∜])\s?(?:\(([^()]*)\)|\{([^{}]*)\}|([0-9]+(?:\.[0-9]+)?|[^\W\d_]))")
_DEGREES = {"√": "", "∛": "[3]", "∜": "[4]"}
_RELATIONS = str.maketrans(
    {"≤": r"\leq ", "⩽": r"\leq ", "≥": r"\geq ", "⩾": r"\geq ", "≠": r"\neq ", "≈": r"\approx "}
)
_FORMULA_SIGN = re.compile(r"\$|\\[(\[]")
_RUN = re.compile(r"(?<![^\W\d_])(?:[-0-9.()+*/^\u00d7·÷√∛∜π= ]|pi(?!\w))+")
_MADE = re.compile(r"[√∛∜π]|pi")
_EQUATION = re.compile(r"[0-9(][-0-9.()+*/^\u00d7·÷ ]*(?:=[-0-9.()+*/^\u00d7·÷ ]*)+")
_RELATED = re.compile(
    r"(?:(?<![\w</\\])[a-zA-Z]\s?(?:[≤≥≠⩽⩾]|[<>]=?)|[≤≥≠⩽⩾]|(?<=\S[ \t])[<>]=?)\s?-?[0-9]+(?:[.,/][0-9]+)*"
)


def bare(text: str) -> str:
    """A value that stands alone, without what ends a sentence or a line, and without the $ signs around all of it."""
    text = _ended(text.strip())
    inner = text.strip("$")
    if text.startswith("$") and text.endswith("$") and "$" not in inner.replace("\\$", ""):
        return _ended(inner)
    return text


def signs(text: str) -> str:
    """Constants, roots and relations in LaTeX."""
    return _PI.sub(r"\\pi ", _ROOT.sub(_root, text)).translate(_RELATIONS)


def in_sentence(text: str) -> str:
    """A text with $ signs around its plain formulas; the text itself where it has such signs already."""
    if _FORMULA_SIGN.search(text):
        return signs(text)
    head, newline, line = text.rstrip().rpartition("\n")
    label, colon, last = line.rpartition(":")
    equation = last.strip(" *.")
    if _EQUATION.fullmatch(equation):
        return f"{head}{newline}{label}{colon} ${equation}$"
    return _RUN.sub(_marked, _RELATED.sub(lambda found: f"${signs(found[0])}$", text))


def _ended(text: str) -> str:
    return text[:-LONGEST_ENDING] + _ENDING.sub("", text[-LONGEST_ENDING:])


def _root(match: re.Match[str]) -> str:
    return rf"\sqrt{_DEGREES[match[1]]}{{{match[2] or match[3] or match[4] or ''}}}"


def _marked(match: re.Match[str]) -> str:
    r"""25π → $25\pi$; what begins with an operator is a part of something longer, and stays."""
    formula = match[0].strip(" =.")
    if not _MADE.search(formula) or re.match(r"[+*/^\u00d7·÷)]|- ", formula):
        return match[0]
    before, _, after = match[0].partition(formula)
    return f"{before}${signs(formula).strip()}${after}"
