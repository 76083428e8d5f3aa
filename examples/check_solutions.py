"""Recounts the solutions in an export of the recipes `countdown` or `reasoning`; shares no code with Harvester.

    python examples/check_solutions.py runs/countdown/dataset

Ends with 0 if every accepted row is right, 1 if one is not, 2 if there is nothing to check.
"""

import ast
import json
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

OPERATIONS = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def value_and_numbers(node: ast.AST) -> tuple[Fraction, list[int]]:
    """What an expression of whole numbers comes to, and the numbers in it."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return Fraction(node.value), [node.value]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        (left, its), (right, others) = value_and_numbers(node.left), value_and_numbers(node.right)
        return OPERATIONS[type(node.op)](left, right), its + others
    raise ValueError("not a sum, difference, product or quotient of whole numbers")


def puzzle_is_solved(answer: str, seed: dict[str, Any]) -> bool:
    """Whether the expression in <answer> uses each number once and comes to the target."""
    expression = answer.rpartition("<answer>")[2].partition("</answer>")[0].split("=")[0]
    for sign, plain in (("×", "*"), ("÷", "/"), ("−", "-")):  # noqa: RUF001 - what models write
        expression = expression.replace(sign, plain)
    try:
        value, numbers = value_and_numbers(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return False
    return value == Fraction(str(seed["target"])) and sorted(numbers) == sorted(map(int, seed["numbers"]))


def number(text: str) -> Fraction | str:
    """A result as a fraction, else as its bare text."""
    plain = re.sub(r"\\[td]?frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", text)
    plain = re.sub(r"\\(text|mathrm)\{.*?\}|\\[,;! ]|[$%\s]|\\%", "", plain).replace(",", "")
    try:
        return Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return plain.replace("\\", "").replace("π", "pi")


def result_is_right(answer: str, seed: dict[str, Any]) -> bool:
    r"""Whether the last \boxed{…}, else the last number, is the seed's result."""
    boxed = re.findall(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", answer)
    last = boxed[-1] if boxed else ["", *re.findall(r"-?\d+(?:[./]\d+)?", answer)][-1]
    return number(last) == number(str(seed["result"]))


def main() -> int:
    """Check the dataset that the command line names."""
    if not sys.argv[1:]:
        print(__doc__)
        return 2
    files = sorted(Path(sys.argv[1]).glob("data/*.parquet"))
    rows = [row for path in files for row in pq.read_table(path, columns=["messages", "seed", "accepted"]).to_pylist()]
    right = wrong = 0
    for row in rows:
        if not row["accepted"]:
            continue
        seed, answer = json.loads(row["seed"]), row["messages"][-1]["content"]
        check = puzzle_is_solved if "target" in seed else result_is_right if "result" in seed else None
        if check is None:
            continue
        fine = check(answer, seed)
        right, wrong = right + fine, wrong + (not fine)
        if not fine:
            print(f"not right: {row['seed']}: {answer[-120:]!r}")
    if not right + wrong:
        print(f"{sys.argv[1]}: no accepted row of countdown or reasoning there; export one of these recipes first")
        return 2
    print(f"{right} of {right + wrong} accepted rows are right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
