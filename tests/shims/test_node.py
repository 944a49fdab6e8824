"""The Node shim: channel, results, failures, start, several jobs at a time, cancelling, shared state."""

import base64
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ShimTest, main, node_command  # noqa: E402


class NodeTest(ShimTest):
    command = node_command()
    shim = "node"
    extension = ".mjs"
    library = "node_memory"


class Calling(NodeTest):
    def test_functions_of_each_kind_and_batches_in_order(self):
        w = self.start(
            """
            export function add(a, b = 10) { return a + b; }
            export async function later(x) { await new Promise((r) => setTimeout(r, 5)); return x; }
            export default () => "the default";
            export const named = ({ a, b }) => a - b;
            export class Tools { static twice(x) { return 2 * x; } }
            export const group = { by: 3, times(x) { return this.by * x; } };
            """,
            "add",
        )
        self.assertEqual(w.result("add", 1, 2), 3)
        self.assertEqual(w.result("later", 1), 1)
        self.assertEqual(w.result("default"), "the default")
        self.assertEqual(w.result("named", a=5, b=2), 3)
        self.assertEqual(w.result("Tools.twice", 2), 4)
        self.assertEqual(w.result("group.times", 2), 6)
        batch = [w.request("later" if i % 3 == 0 else "add", [i]) for i in range(60)]
        w.send(batch)
        self.assertEqual([w.receive()["id"] for _ in batch], [r["id"] for r in batch])
        self.assertEqual(w.finish(), (0, []))

    def test_commonjs(self):
        self.file("tasks.cjs", "const os = require('os');\nexports.f = (x) => x + 1;\nmodule.exports.g = async () => 'g';\n")
        w = self.start_spec("tasks.cjs:f")
        self.assertEqual((w.result("f", 1), w.result("g")), (2, "g"))
        self.file("compiled.cjs", """
            Object.defineProperty(exports, "__esModule", { value: true });
            exports.default = (x) => x + 1;
            exports.other = (x) => x + 2;
            """)
        w = self.start_spec("compiled.cjs:default")
        self.assertEqual((w.result("default", 1), w.result("other", 1)), (2, 3))
        self.file("computed.cjs", "module.exports = Object.fromEntries([['f', () => 1]]);\n")
        self.assertEqual(self.start_spec("computed.cjs:f").result("f"), 1)

    def test_only_exported_functions_can_be_called(self):
        w = self.start("import fs from 'node:fs';\nfunction hidden() {}\nexport const n = 5;\nexport function convert() { return 1; }\n")
        for name in ("fs", "fs.rmSync", "hidden", "n", "toString", "constructor", "__proto__", "convert.call", "convert.constructor", ""):
            self.assertEqual(w.error(name)["code"], -32601, name)
        self.assertIn("did you mean convert?", w.error("covnert")["message"])
        self.assertNotIn("did you mean", w.error("zz")["message"])

    def test_big_messages_and_lines_cut_anywhere(self):
        w = self.start("export const size = (s) => [...s].length;\nexport const make = (n) => 'é'.repeat(n);\n")
        self.assertEqual(w.result("size", "x" * 3_000_000), 3_000_000)
        self.assertEqual(len(w.result("make", 5_000_000)), 5_000_000)
        line = json.dumps(w.request("size", ["ü😀" * 100_000]), ensure_ascii=False).encode() + b"\n"
        for at in range(0, len(line), 4093):
            w.write(line[at : at + 4093])
        self.assertEqual(w.receive()["result"], 200_000)

    def test_what_is_no_request(self):
        w = self.start("export const f = () => 1;\n")
        w.write(b"nonsense\n\n  \n[]\n[1]\n{}\n{\"jsonrpc\":\"2.0\",\"method\":\"$/unknown\"}\n")
        self.assertEqual([w.receive()["error"]["code"] for _ in range(4)], [-32700, -32600, -32600, -32600])
        self.assertEqual(w.result("f"), 1)


    def test_a_notification_calls_its_function_before_the_jobs_that_follow(self):
        text = """
            let base = 0;
            export const setup = async ({ by }) => { await null; base += by; console.log("set", supervisor.jobId()); };
            export const bad = () => { throw new RangeError("no database"); };
            export const add = (x) => base + x;
            export const leave = () => process.exit(3);
            export const later = () => new Promise(() => setTimeout(() => process.exit(4), 1));
            """
        for concurrency in (1, 3):
            w = self.start(text, concurrency=concurrency)
            for method in ("setup", "bad", "nosuch", "leave", "later"):
                w.send({"jsonrpc": "2.0", "method": method, "params": {"by": 7}})
            answer, printed = w.call("add", 1)
            self.assertEqual(answer["result"], 8)
            self.assertEqual({one.get("id") for one in printed}, {None})
            self.assertEqual(self.printed(printed, "stdout"), "set null\n")
            told = self.printed(printed, "stderr")
            self.assertIn("the notification bad failed: RangeError: no database\n    at bad (", told)
            self.assertIn("the notification nosuch failed: no function nosuch in tasks.mjs", told)
            self.assertIn("the notification leave failed: ProcessExit: process.exit(3)", told)
            self.assertIn("the notification later failed: ProcessExit: process.exit(4)", told)
            self.assertEqual(w.finish(), (0, []))


class Results(NodeTest):
    def test_numbers_of_any_size_as_results_and_as_ids(self):
        w = self.start("export const value = (text) => Number(text); export const later = async (text) => Number(text);")
        numbers = [1, -1, 9, 10, -10, 99, 100, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 - 1, 0.5, -1e-7]
        for method in ("value", "later"):
            w.send([w.request(method, [str(number)], id=number) for number in numbers])
            got = [w.receive() for _ in numbers]
            self.assertEqual([(one["id"], one["result"]) for one in got], [(number, number) for number in numbers])
        w.write(b'{"jsonrpc":"2.0","id":0,"method":"value","params":["-0"]}\n')
        self.assertEqual(repr(w.receive()), "{'jsonrpc': '2.0', 'id': 0, 'result': 0}")

    def test_a_library_that_is_no_file_is_not_opened(self):
        fifo = os.path.join(self.dir, "fifo")
        os.mkfifo(fifo)
        for place in (fifo, self.dir, "/nonexistent/library", self.file("text", "no library")):
            self.variables = dict(self.variables, SPV_LIBRARY=place)
            self.assertEqual(self.start("export const inc = (x) => x + 1;").result("inc", 1), 2)

    def test_more_short_answers_than_the_shelf_holds(self):
        w = self.start("export const inc = (x) => x + 1;")
        batch = [w.request("inc", [number]) for number in range(20000)]
        w.send(batch)
        self.assertEqual([w.receive()["result"] for _ in batch], list(range(1, 20001)))

    def test_values(self):
        w = self.start(
            """
            export const give = () => [2n ** 100n, new Map([["a", 1]]), new Set([1, 2]), Buffer.from([0, 255]),
              new Float32Array([0.5]), new Date(0), undefined, null, { u: undefined, n: { deep: 5n } }, "é😀\\ud800", -0];
            export const same = (x) => x;
            export const nothing = () => {};
            export const big = () => -(2n ** 70n);
            """
        )
        self.assertEqual(
            w.result("give"),
            [2 ** 100, {"a": 1}, [1, 2], {"base64": "AP8="}, [0.5], "1970-01-01T00:00:00.000Z", None, None,
             {"n": {"deep": 5}}, "é😀\ud800", 0],
        )  # fmt: skip
        self.assertIsNone(w.result("nothing"))
        self.assertEqual(w.result("big"), -(2 ** 70))
        for value in (None, True, 0, 1.5, "", "a\n\"\\\u2028", [], {}, {"a": [None, {}]}):
            self.assertEqual(w.result("same", value), value)

    def test_iterators_are_arrays_of_what_they_yield(self):
        w = self.start(
            """
            export function* count(n) { for (let i = 0; i < n; i++) yield i; }
            export const inner = async () => ({ keys: new Map([["a", 1]]).keys(), big: (function* () { yield 2n ** 70n; })() });
            export const fails = function* () { yield 1; throw new Error("in the middle"); };
            export function* odd() { yield NaN; }
            class Hidden { #secret = 1; }
            class Told { toJSON() { return "told"; } }
            export const own = () => [new Hidden(), Object.create(null), new Number(1), new Told()];
            """
        )
        self.assertEqual(w.result("count", 3), [0, 1, 2])
        self.assertEqual(w.result("inner"), {"keys": ["a"], "big": [2 ** 70]})
        fails = w.error("fails")
        self.assertEqual((fails["message"], fails["data"]["type"]), ("Error: in the middle", "Error"))
        self.assertIn("tasks.mjs:4", fails["data"]["traceback"])
        self.assertIn("of type Generator, is no JSON: TypeError: NaN", w.error("odd")["message"])
        self.assertEqual(w.result("own"), [{}, {}, 1, "told"])

    def test_what_is_no_json_fails_its_job_by_name(self):
        w = self.start(
            """
            export const nan = () => NaN;
            export const inner = () => ({ a: [Infinity] });
            export const fn = () => () => 1;
            export const method = () => ({ f() {} });
            export const loop = () => { const a = []; a.push(a); return a; };
            export const sym = () => Symbol("x");
            export const regexp = () => /x/;
            export const promise = () => ({ a: Promise.resolve(1) });
            export const later = async function* () {};
            export const weak = () => [new WeakMap()];
            export const search = () => new URLSearchParams("a=1");
            export const keys = () => new Map([[1, "a"], ["1", "b"]]);
            export const nameless = () => ({ get constructor() { throw new Error("a trap"); }, f() {} });
            export const ok = () => 1;
            """
        )
        for name in (
            "nan", "inner", "fn", "method", "loop", "sym", "regexp", "promise", "later", "weak", "search", "keys", "nameless",
        ):  # fmt: skip
            error = w.error(name)
            self.assertEqual(error["code"], -32000)
            self.assertIn("is no JSON", error["message"])
        self.assertIn("a promise that was not awaited has no form in JSON (at a)", w.error("promise")["message"])
        self.assertIn("a RegExp has", w.error("regexp")["message"])
        self.assertIn('two keys that read "1"', w.error("keys")["message"])
        self.assertEqual(w.result("ok"), 1)

    def test_what_is_longer_than_a_string_may_be_fails_its_job(self):
        w = self.start(
            """
            export const just = () => "\\u0001".repeat(Math.floor((2 ** 29 - 30) / 6)); // fits, but not with what is around it
            export const bytes = () => new Uint8Array(450e6);
            export const ok = () => 1;
            """
        )
        for name, kind in (("just", "String"), ("bytes", "Uint8Array")):
            error = w.error(name)
            self.assertIn("the result, of type %s, is too large" % kind, error["message"])
            self.assertEqual((error["code"], error["data"]["result_type"]), (-32000, kind))
        self.assertEqual(w.result("ok"), 1)


class Failures(NodeTest):
    TEXT = """
        export function bad() { throw new RangeError("nope"); }
        export async function later() { await null; throw new TypeError("later", { cause: new Error("why") }); }
        export function text() { throw "just text"; }
        export function half() { throw new Error("\\ud800 \\\\ud800"); }
        export function mute() { throw { toString() { throw 1; } }; }
        export function leave() { process.exit(3); }
        export const callback = () => new Promise(() => setTimeout(() => { throw new Error("in a callback"); }, 1));
        export const rejected = () => new Promise(() => { Promise.reject(new Error("nobody listens")); });
        export const quits = () => new Promise(() => setTimeout(() => process.exit(4), 1));
        export function recurse() { return recurse(); }
        export const ok = () => 1;
        """

    def test_each_kind_of_failure_ends_its_job_alone(self):
        for concurrency in (1, 3):
            w = self.start(self.TEXT, concurrency=concurrency)
            bad = w.error("bad")
            self.assertEqual((bad["code"], bad["message"], bad["data"]["type"]), (-32000, "RangeError: nope", "RangeError"))
            self.assertIn("tasks.mjs:2", bad["data"]["traceback"])
            self.assertNotRegex(bad["data"]["traceback"], r"<supervisor>|\[eval")
            self.assertIn("Error: why", w.error("later")["data"]["traceback"])
            self.assertEqual(w.error("text")["message"], "thrown string: just text")
            half = w.error("half")  # supervisor reads no text with half a character
            self.assertEqual((half["code"], half["message"]), (-32000, "Error: \ufffd \\ud800"))
            self.assertIn("Error: \ufffd", half["data"]["traceback"])
            self.assertEqual(w.error("mute")["code"], -32000)
            self.assertEqual(w.error("leave")["message"], "ProcessExit: process.exit(3)")
            self.assertEqual(w.error("callback")["message"], "Error: in a callback")
            self.assertEqual(w.error("rejected")["message"], "Error: nobody listens")
            self.assertEqual(w.error("quits")["data"]["type"], "ProcessExit")
            self.assertEqual(w.error("recurse")["data"]["type"], "RangeError")
            self.assertEqual(w.result("ok"), 1)
            self.assertEqual(w.finish(), (0, []))

    def test_what_a_job_leaves_behind_fails_no_later_job(self):
        w = self.start(
            """
            const error = (text) => { throw new Error(text); };
            export const plain = (text) => { setTimeout(error, 1, text); return text; };
            export async function scoped(text) { setImmediate(error, text); Promise.reject(new Error(text)); }
            export const wait = () => new Promise((done) => setTimeout(done, 50, "waited"));
            export const own = () => new Promise(() => setTimeout(error, 20, "my own"));
            let given = 0;
            export const mixed = () => (given++ === 0 ? "at once" : own());
            """
        )
        for _ in range(2):  # the second time it is known which return promises
            for name in ("plain", "scoped"):
                w.send([w.request(name, ["left"]), w.request("wait")])
                seen = w.until(lambda m: m.get("result") == "waited")
                left = [m["params"] for m in seen if m.get("method") == "output"]
                self.assertEqual([m for m in seen if "error" in m], [])
                self.assertEqual([one.get("id") for one in left], [None] * (1 if name == "plain" else 2))
                self.assertTrue(all("of no running job: Error: left" in one["data"] for one in left), left)
            self.assertEqual(w.error("own")["message"], "Error: my own")
        self.assertEqual(w.result("mixed"), "at once")
        self.assertEqual(w.error("mixed")["message"], "Error: my own")
        self.assertEqual(w.result("plain", "left"), "left")
        self.assertEqual(w.error("mixed")["message"], "Error: my own")

    def test_a_socket_of_an_earlier_job_may_fail_the_running_one(self):
        w = self.start(
            """
            import net from "node:net";
            let socket, asked;
            export const open = () => new Promise((done) => {
              const server = net.createServer((one) => one.pipe(one)).listen(0, () => {
                socket = net.connect(server.address().port, () => done(1)).on("data", () => asked());
              });
            });
            export const ask = () => new Promise(() => {
              asked = () => { throw new Error("of the one who asked"); };
              socket.write("x");
            });
            """
        )
        self.assertEqual(w.result("open"), 1)
        self.assertEqual(w.error("ask")["message"], "Error: of the one who asked")

    def test_what_node_says_at_a_fatal_error_does_not_hold_the_shim(self):
        w = self.start("export const abort = () => process.abort();\n")
        w.send(w.request("abort"))
        self.assertEqual(w.finish(), (-6, []))
        said = w.err + w.process.stderr.read()
        self.assertIn(b"[node]", said)
        self.assertLess(len(said), 1 << 13)

    def test_a_death_in_mid_batch_takes_no_finished_answer_with_it(self):
        w = self.start("export const ok = (x) => x;\nexport const die = () => process.kill(process.pid, 'SIGKILL');\n")
        w.send([w.request("ok", [1]), w.request("ok", [2]), w.request("die"), w.request("ok", [3])])
        code, rest = w.finish()
        self.assertEqual((code, [m.get("result") for m in rest][:2]), (-9, [1, 2]))


class Printing(NodeTest):
    def test_what_is_printed_belongs_to_its_job(self):
        w = self.start(
            """
            import { execSync, spawnSync } from "node:child_process";
            export function say(x) { console.log("out", x); console.error("err", x); process.stdout.write(Buffer.from([255])); }
            export async function slow(x) {
              for (const part of "ab") { await new Promise((r) => setTimeout(r, 3)); console.log(part, x); }
            }
            export const child = () => { spawnSync("echo", ["from a child"], { stdio: "inherit" }); return 1; };
            export const fds = () => spawnSync("ls", ["/proc/self/fd"], { encoding: "utf8" }).stdout.trim().split("\\n");
            export const env = () => [process.env.SPV_SHIM ?? null, process.argv.length, process.argv[1].endsWith("tasks.mjs")];
            export const input = () => execSync("cat", { stdio: ["inherit", "pipe", "inherit"] }).toString();
            """,
            concurrency=3,
        )
        answer, output = w.call("say", 1)
        self.assertEqual([o["stream"] for o in output], ["stdout", "stderr", "stdout"])
        self.assertEqual([o["data"] for o in output], ["out 1\n", "err 1\n", {"base64": "/w=="}])
        requests = [w.request("slow", [i]) for i in range(3)]
        w.send(requests)
        printed, left = {}, {r["id"] for r in requests}
        while left:
            message = w.receive()
            if message.get("method") == "output":
                printed[message["params"]["id"]] = printed.get(message["params"]["id"], "") + message["params"]["data"]
            else:
                left.remove(message["id"])
        self.assertEqual([printed[r["id"]] for r in requests], ["a %d\nb %d\n" % (i, i) for i in range(3)])
        self.assertEqual(w.result("child"), 1)
        w.stderr_until(b"from a child")
        self.assertEqual(w.result("fds"), ["0", "1", "2", "3"])  # 3 is the directory that ls reads
        self.assertEqual(w.result("env"), [None, 2, True])
        self.assertEqual(w.result("input"), "")

    def test_what_is_long_comes_in_pieces_cut_between_characters(self):
        w = self.start(
            """
            export const say = (text, times) => { console.log(text.repeat(times)); };
            export const bytes = () => { process.stdout.write(Buffer.alloc(200_000, 0x80)); };
            export function halves() { for (const half of [[0xc3], [0xa9]]) process.stdout.write(Buffer.from(half)); }
            """
        )
        for text, times in (("\0", 300_000), ("xé€😀", 300_000), ("é", 1 << 15)):
            answer, output = w.call("say", text, times)
            self.assertIsNone(answer["result"])
            self.assertEqual(self.printed(output), text * times + "\n")
            self.assertLessEqual(max(len(o["data"].encode()) for o in output), 1 << 16)
        _, output = w.call("bytes")
        self.assertEqual(b"".join(base64.b64decode(o["data"]["base64"]) for o in output), b"\x80" * 200_000)
        self.assertEqual(self.printed(w.call("halves")[1]), "é")


class Starting(NodeTest):
    def test_failures_are_told_once_and_end_with_1(self):
        self.file("bad.mjs", "import 'nosuchpackage';\n")
        self.file("syntax.mjs", "export function (\n")
        self.file("raises.mjs", "throw new Error('at load');\n")
        self.file("good.mjs", "await null;\nexport function convert() {}\n")
        self.assertIn("nosuchpackage", self.failure("bad.mjs")["message"])
        self.file("waits.mjs", "await new Promise(() => {});\nexport const f = 1;\n")
        self.assertIn("that nothing settles", self.failure("waits.mjs")["message"])
        self.file("half.mjs", "throw new Error('\\ud800');\n")
        self.assertEqual(self.failure("half.mjs")["message"], "Error: \ufffd")
        self.assertIn("SyntaxError", self.failure("syntax.mjs")["message"])
        raises = self.failure("raises.mjs")
        self.assertEqual(raises["message"], "Error: at load")
        self.assertIn("raises.mjs:1", raises["traceback"])
        self.assertNotRegex(raises["traceback"], r"<supervisor>|\[eval")
        self.assertEqual(self.failure(".")["message"], ". is a directory; a file is wanted, as in tasks.mjs")
        self.assertIn("no file nosuch.mjs", self.failure("nosuch.mjs:f")["message"])
        self.assertIn("did you mean convert?", self.failure("good.mjs:covnert")["message"])

    def test_timers_left_behind_do_not_hold_up_the_end(self):
        w = self.start("export const f = () => { setInterval(() => {}, 1000); return 1; };\n")
        self.assertEqual(w.result("f"), 1)
        self.assertEqual(w.finish(), (0, []))


class Concurrency(NodeTest):
    def test_promises_overlap_and_keep_to_their_number(self):
        text = """
            let now = 0, most = 0;
            export async function f(x) {
              now++; most = Math.max(most, now);
              await new Promise((r) => setTimeout(r, 20 * (3 - (x % 3)))); now--;
              return x;
            }
            export const peak = () => most;
            """
        for concurrency in (1, 3):
            w = self.start(text, concurrency=concurrency)
            w.send([w.request("f", [i]) for i in range(6)])
            answers = [w.receive()["result"] for _ in range(6)]
            self.assertEqual(sorted(answers), list(range(6)))
            self.assertEqual(answers[0], 0 if concurrency == 1 else 2)
            self.assertEqual(w.result("peak"), concurrency)

    def test_cancelling(self):
        w = self.start(
            """
            export const wait = () => new Promise((_, no) => {
              console.log("begun");
              supervisor.signal().addEventListener("abort", () => no(new Error("stopped")));
            });
            export const f = () => 1;
            """
        )
        w.send([w.request("wait"), w.request("f")])
        self.assertEqual(w.receive()["method"], "output")
        w.cancel(2)
        self.assertEqual(w.receive()["error"]["data"], {"begun": False})
        w.cancel(1)
        error = w.receive()["error"]
        self.assertEqual((error["code"], error["data"]), (-32800, {"begun": True}))
        self.assertEqual(w.result("f"), 1)


class Workers(NodeTest):
    def test_workers_and_children_of_a_function_run_what_they_are_given(self):
        self.file("say.mjs", "import { parentPort } from 'node:worker_threads';\nparentPort.postMessage('module');\n")
        self.file("child.mjs", "process.send('child', () => process.disconnect());\n")
        w = self.start(
            """
            import { fork } from "node:child_process";
            import { Worker } from "node:worker_threads";
            const heard = (one) => new Promise((take, fail) => one.on("message", take).on("error", fail).on("exit", fail));
            const url = (name) => new URL(name, import.meta.url);
            export const text = () => heard(new Worker("require('worker_threads').parentPort.postMessage('text')", { eval: true }));
            export const module = () => heard(new Worker(url("say.mjs")));
            export const child = () => heard(fork(url("child.mjs")));
            export const globals = () => [typeof require, typeof exports, typeof __filename];
            """
        )
        for name in ("text", "module", "child"):
            self.assertEqual(w.result(name), name)
        self.assertEqual(w.result("globals"), ["undefined"] * 3)


if __name__ == "__main__":
    main()
