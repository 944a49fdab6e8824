import json, sys

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request: continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] == "add_one": answer["result"] = request["params"][0] + 1
    else: answer["error"] = {"code": -32601, "message": "no method named " + request["method"]}
    print(json.dumps(answer), flush=True)
