"""Load on port 8200: python train/trials/ask.py SECONDS CALLERS... Kept in history only."""

import asyncio
import sys

from serve.bench.measure import load
from serve.bench.servers import classify

from asif_data.encoding import Utterance
from asif_data.rows import read_rows, row_files

rows = [row for row in read_rows(row_files("data/corpus")) if row.split == "test"][:200]
requests = [classify(Utterance(row.text, row.context)) for row in rows]
for callers in map(int, sys.argv[2:]):
    found = asyncio.run(load(8200, requests, callers, float(sys.argv[1])))
    times = sorted(found.seconds)
    print(callers, "callers:", round(found.rate, 1), "a second, p50", round(1e3 * times[len(times) // 2], 2), "ms, client", round(1e3 * found.client / found.answered, 3), "ms each")
