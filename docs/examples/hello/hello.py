"""Greets everyone named in a file, with a greeting from the environment; writes greetings.txt and summary.txt.

  rgrid run hello.py names.txt --env GREETING=Hello
"""

import os
import sys

greeting = os.environ.get("GREETING", "Hi")
with open(sys.argv[1], encoding="utf-8") as source:
    names = [line.strip() for line in source if line.strip()]

with open("greetings.txt", "w", encoding="utf-8") as target:
    for name in names:
        print(f"{greeting}, {name}!", file=target)
with open("summary.txt", "w", encoding="utf-8") as target:
    print(len(names), file=target)

print(f"greeted {len(names)}")
print("done", file=sys.stderr)
