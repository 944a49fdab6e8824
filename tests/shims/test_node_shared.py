"""Shared state in the Node shim: what it asks supervisor for, and how it takes timeouts."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import main  # noqa: E402
from test_node import NodeTest  # noqa: E402


class SharedState(NodeTest):
    def test_requests_on_the_wire(self):
        w = self.start(
            """
            export const lock = () => new supervisor.Lock("db").with(async (held) => held.previousHolderDied);
            export const add = () => new supervisor.Value("n", 5).add(2);
            export const get = () => new supervisor.Queue("q").get({ timeout: 1 });
            const kinds = {
              lock: (given) => new supervisor.Lock("l").acquire(given),
              rlock: (given) => new supervisor.RLock("r").acquire(given),
              semaphore: (given) => new supervisor.Semaphore("s").acquire(given),
              event: (given) => new supervisor.Event("e").wait(given),
              barrier: (given) => new supervisor.Barrier("b", 2).wait(given),
              put: (given) => new supervisor.Queue("q").put(1, given),
              get: (given) => new supervisor.Queue("q").get(given),
            };
            export const wait = (kind, given) => kinds[kind](given);
            """
        )

        def serve(method, replies, *params):
            w.send(w.request(method, list(params)))
            asked = []
            while True:
                message = w.receive()
                if "method" not in message:
                    return asked, message
                asked.append((message["method"], message["params"]))
                reply = replies[len(asked) - 1]
                w.send({"jsonrpc": "2.0", "id": message["id"], "error" if "code" in reply else "result": reply})

        asked, answer = serve("lock", [{"acquired": True, "previous_holder_died": True}, {}])
        self.assertEqual(asked, [("lock.acquire", {"name": "db", "job": 1}), ("lock.release", {"name": "db", "job": 1})])
        self.assertEqual(answer["result"], True)
        asked, answer = serve("add", [{"value": 7}])
        self.assertEqual((asked[0], answer["result"]), (("value.add", {"name": "n", "initial": 5, "amount": 2, "job": 2}), 7))
        self.assertEqual(serve("get", [{"ok": True, "item": [1]}])[1]["result"], [1])
        for kind in ("lock", "rlock", "semaphore", "event", "barrier", "put", "get"):
            for given, timeout in ((0.25, 0.25), ({"timeout": 0.5}, 0.5), ({"timeout": None}, None), (None, None), ({}, None)):
                asked, _ = serve("wait", [{"ok": True}], kind, given)
                self.assertEqual(asked[0][1].get("timeout"), timeout, (kind, given))
            for given in ("1", False, {"timeout": "1"}, {"tiemout": 1}):
                self.assertIn("a timeout is a number of seconds", w.error("wait", kind, given)["message"], (kind, given))
        answer = serve("lock", [{"code": -32010, "message": "a deadlock of two"}])[1]
        self.assertEqual(answer["error"]["message"], "Deadlock: a deadlock of two")


if __name__ == "__main__":
    main()
