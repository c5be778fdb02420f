"""Counts the words of a text file; writes counts.json and report.txt, and prints the commonest.

  python wordcount.py notes.txt        here
  rgrid run wordcount.py notes.txt     there: the same files come back, TOP=20 is given with --env TOP=20
"""

import collections
import json
import os
import re
import sys

if len(sys.argv) != 2:
    sys.exit("usage: wordcount.py FILE")

top = int(os.environ.get("TOP", "10"))
with open(sys.argv[1], encoding="utf-8") as source:
    words = re.findall(r"[^\W\d_]+", source.read().lower())
counts = collections.Counter(words)
# Equal counts in alphabetical order, so that the same text always gives the same files.
ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))

with open("counts.json", "w", encoding="utf-8") as target:
    json.dump(dict(ranked), target, ensure_ascii=False, indent=1)
with open("report.txt", "w", encoding="utf-8") as target:
    target.writelines(f"{count:6} {word}\n" for word, count in ranked[:top])

print(f"{len(words)} words, {len(counts)} different", file=sys.stderr)
for word, count in ranked[:top]:
    print(f"{count:6} {word}")
