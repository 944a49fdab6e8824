import json, sys

for line in sys.stdin:
    try: request = dict(json.loads(line))
    except (TypeError, ValueError): request = {"id": None}
    if "id" not in request: continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if request.get("method") == "add_one": answer["result"] = request["params"][0] + 1
    else: answer["error"] = {"code": -32601, "message": "no method named %s" % request.get("method")}
    print(json.dumps(answer), flush=True)
