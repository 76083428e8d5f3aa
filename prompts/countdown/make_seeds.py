"""Writes train.jsonl and heldout.jsonl: puzzles that can be solved, the same bytes at every run."""

import json
import random
from fractions import Fraction
from pathlib import Path

SIZES = {3: (20, 8), 4: (20, 8)}
"""How many numbers → how many puzzles (train, held out)."""
LARGEST, MOST = 25, 100


def puzzle(size: int, chance: random.Random) -> tuple[list[int], int]:
    """Numbers and a target that a random expression of them reaches."""
    while True:
        numbers = [chance.randint(1, LARGEST) for _ in range(size)]
        values = [Fraction(number) for number in chance.sample(numbers, size)]
        while len(values) > 1:
            left, right = values.pop(), values.pop()
            results = [left + right, left - right, left * right, *([left / right] if right else [])]
            values.append(chance.choice(results))
        target = values[0]
        if target.denominator == 1 and 1 <= target <= MOST and int(target) not in numbers:
            return numbers, int(target)


def main() -> None:
    """Write both files, no puzzle in two of them."""
    chance = random.Random("countdown")
    seen: set[str] = set()
    for place, name in enumerate(("train", "heldout")):
        lines = []
        for size, counts in SIZES.items():
            while sum(f'"size": {size}' in line for line in lines) < counts[place]:
                numbers, target = puzzle(size, chance)
                key = f"{sorted(numbers)}={target}"
                if key not in seen:
                    seen.add(key)
                    lines.append(json.dumps({"numbers": numbers, "target": target, "size": size}))
        path = Path(__file__).with_name(f"{name}.jsonl")
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        print(f"{path.name}: {len(lines)} puzzles")


if __name__ == "__main__":
    main()
