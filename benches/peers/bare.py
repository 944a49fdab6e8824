"""The smallest worker in Python: a line, a call, a line. What is measured beside `supervisor --python` as the limit."""

import json
import sys

import tasks

for line in sys.stdin:
    call = json.loads(line)
    result = getattr(tasks, call["method"])(*call["params"])
    print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}), flush=True)
