"""Near duplicates as others find them: a MinHash of 128 permutations for each answer, and an LSH index over those kept.

    PYTHON minhash_runner.py datasketch|rensa THRESHOLD ROWS.jsonl OUT

Shingles are those of Harvester, made the plain way: word 5-grams of the text in small letters. OUT gets the numbers of
the rows dropped; the JSON line on stdout says how much of the CPU time was shingling.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

NAME, THRESHOLD, ROWS, OUT = sys.argv[1:]
PERMUTATIONS = 128
WORD = re.compile(r"\w+")
shingling_s = 0.0


def shingles() -> Iterator[tuple[int, list[str]]]:
    """Row by row."""
    global shingling_s  # noqa: PLW0603 - a script's one figure
    with Path(ROWS).open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            began = time.process_time()
            words = WORD.findall(row["answer"].casefold())
            grams = zip(words, words[1:], words[2:], words[3:], words[4:], strict=False)
            found = list({" ".join(gram) for gram in grams})
            shingling_s += time.process_time() - began
            yield row["id"], found


def datasketch() -> list[int]:
    """Its documented loop: ask the index, insert what nothing like it is in."""
    from datasketch import MinHash, MinHashLSH  # noqa: PLC0415 - one library or the other

    index = MinHashLSH(threshold=float(THRESHOLD), num_perm=PERMUTATIONS)
    dropped = []
    for number, found in shingles():
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([one.encode() for one in found])
        if index.query(sketch):
            dropped.append(number)
        else:
            index.insert(number, sketch)
    return dropped


def rensa() -> list[int]:
    """Its documented way for a stream."""
    from rensa import RMinHashDeduplicator  # noqa: PLC0415

    index = RMinHashDeduplicator(threshold=float(THRESHOLD), num_perm=PERMUTATIONS, use_lsh=True)
    kept = index.add_pairs((str(number), found) for number, found in shingles())
    return [number for number, keep in enumerate(kept) if not keep]


Path(OUT).write_text(json.dumps({"datasketch": datasketch, "rensa": rensa}[NAME]()), encoding="utf-8")
print(json.dumps({"shingling_s": shingling_s}))
