// The Node worker of supervisor: runs exported functions of a user's module, one JSON-RPC message a line.
//
// Started by supervisor as `sh -c 'exec "$0" "$@" 3<&0 4>&1 </dev/null >&2' node --input-type=module -e LOADER M SPEC`;
// LOADER runs this text, which comes in the environment, as the body of an async function with the arguments `load`
// (what import() is to a module) and `require`: so its file has the short name <supervisor>, where an imported text would
// have all of itself as its name. SPEC is FILE[:FUNCTION]. Node 18 or newer, no packages.
//
// What it owns: the channel, descriptors 3 (in) and 4 (out), which Node keeps from child processes. Descriptor 0 is
// empty, and 1 is where 2 is: what a child process writes there is the worker's own output. What it never does: decide
// about retries, timeouts or order.
//
// A function that returns no promise is answered before the next job is looked at. With M > 1 the job that code belongs
// to is followed through promises and callbacks (AsyncLocalStorage). With M = 1 it is the only one there is, and what is
// followed says only whether an error that nobody caught was left behind by an earlier one.
//
// Messages and requests to supervisor are those of python.py; the ids are "node-1", "node-2", ... `stuck` is never sent:
// while a function holds the event loop, nothing else runs here.

const { AsyncLocalStorage, executionAsyncResource } = require("node:async_hooks");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { Writable } = require("node:stream");
const { pathToFileURL } = require("node:url");

const [IN, OUT] = [3, 4];
const PENDING_OUTPUT = 1 << 18;
const OUTPUT_PIECE = 1 << 16; // most bytes printed in one message, whose line may be six times as long; and lines have limits
const MAX_TRACEBACK = 1 << 16;
const MAX_MESSAGE = 1 << 13;
const MAX_NAME = 1 << 8;
const PARSE_ERROR = -32700, INVALID_REQUEST = -32600, UNKNOWN_METHOD = -32601, BAD_PARAMS = -32602;
const FUNCTION_FAILED = -32000, CANCELLED = -32800, DEADLOCK = -32010;
const OWN_FRAME = "<supervisor>"; // what LOADER calls this text
const reallyExit = process.exit.bind(process);

// ---- the channel ---------------------------------------------------------------------------------------------------

const pause = new Int32Array(new SharedArrayBuffer(4));

function send(text) {
  const done = tryWrite(text);
  if (done === text.length && done < 4096) return; // all of it, and no character of several bytes can have been cut
  let rest = Buffer.from(text).subarray(done);
  while (rest.length > 0) {
    const more = tryWrite(rest);
    if (more === 0) Atomics.wait(pause, 0, 0, 1); // a full pipe that does not block: somebody else made it so
    rest = rest.subarray(more);
  }
}

function tryWrite(data) {
  try {
    return fs.writeSync(OUT, data);
  } catch (error) {
    if (error.code === "EAGAIN" || error.code === "EINTR") return 0;
    reallyExit(1); // nobody is left to write to
  }
}

function notify(method, params) {
  send(JSON.stringify({ jsonrpc: "2.0", method, params }) + "\n");
}

function fail(id, error) {
  deliver();
  send(JSON.stringify({ jsonrpc: "2.0", id, error }) + "\n");
}

// Throws where the whole is longer than a string may be.
function answerLine(id, text) {
  return '{"jsonrpc":"2.0","id":' + (typeof id === "number" ? id : JSON.stringify(id)) + ',"result":' + text + "}\n";
}

// ---- what is printed -----------------------------------------------------------------------------------------------

let printed = []; // [job id or null, stream, Buffer]
let pending = 0;

function deliver() {
  const parts = printed;
  printed = [];
  pending = 0;
  for (let at = 0; at < parts.length; ) {
    const [id, stream] = parts[at];
    const run = [];
    for (; at < parts.length && parts[at][0] === id && parts[at][1] === stream; at++) run.push(parts[at][2]);
    const bytes = run.length === 1 ? run[0] : Buffer.concat(run);
    for (let from = 0; from < bytes.length; ) {
      const to = pieceEnd(bytes, from);
      const data = told(bytes.subarray(from, to));
      notify("output", id === null ? { stream, data } : { id, stream, data });
      from = to;
    }
  }
}

// Where the piece that begins at `from` ends: between two characters, if these bytes are UTF-8.
function pieceEnd(bytes, from) {
  const most = from + OUTPUT_PIECE;
  if (most >= bytes.length) return bytes.length;
  for (let to = most; to > most - 4; to--) if ((bytes[to] & 0xc0) !== 0x80) return to;
  return most;
}

function told(bytes) {
  const text = bytes.toString();
  return text.includes("\ufffd") && !Buffer.from(text).equals(bytes) ? { base64: bytes.toString("base64") } : text;
}

class Stream extends Writable {
  constructor(name, fd) {
    super({ decodeStrings: true });
    this.spvName = name;
    this.fd = fd;
  }

  write(chunk, encoding, callback) {
    if (typeof encoding === "function") [callback, encoding] = [encoding, undefined];
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding) : Buffer.from(chunk);
    if (bytes.length > 0) printed.push([jobId(), this.spvName, bytes]);
    pending += bytes.length;
    if (pending > PENDING_OUTPUT || running === 0) deliver();
    else if (flushTimer === null) flushTimer = setTimeout(flushLate, 100).unref();
    if (callback) process.nextTick(callback);
    return true;
  }

  end(chunk, encoding, callback) {
    if (chunk !== undefined && typeof chunk !== "function") this.write(chunk, encoding);
    const last = [chunk, encoding, callback].find((one) => typeof one === "function");
    if (last) process.nextTick(last);
    return this;
  }

  destroy() {
    return this;
  }
}

let flushTimer = null;

function flushLate() {
  flushTimer = null;
  if (printed.length > 0) deliver();
}

function replaceStreams() {
  for (const [name, fd] of [["stdout", 1], ["stderr", 2]]) {
    const stream = new Stream(name, fd);
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
  }
}

// ---- results and errors --------------------------------------------------------------------------------------------

function resultJson(value) {
  switch (typeof value) {
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no form in JSON`);
      return Object.is(value, -0) ? "-0" : String(value);
    case "string":
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "undefined":
      return "null";
    case "bigint":
      return value.toString();
    case "object":
      if (value === null) return "null";
      if (isPlain(value, 0)) return JSON.stringify(value);
      return unusualJson(value);
    default:
      throw new TypeError(`a ${typeof value} has no form in JSON`);
  }
}

// Whether JSON.stringify tells all of it as it is. It loses Maps and NaN without a word, so it is asked second.
function isPlain(value, depth) {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth > 500) return false;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) if (!isPlain(value[at], depth + 1)) return false;
    return true;
  }
  const kind = Object.getPrototypeOf(value);
  if ((kind !== Object.prototype && kind !== null) || value.toJSON !== undefined) return false;
  for (const key in value) if (!isPlain(value[key], depth + 1)) return false;
  return true;
}

const bigMark = `bigint-${process.pid}-${Math.random()}:`;
const bigPattern = new RegExp(`"${bigMark.replace(/[.]/g, "[.]")}(-?[0-9]+)"`, "g");

// The kinds of objects of which the members are all there is to tell, even none. Others without members have no form.
const ORDINARY = /^(Object|Array|Arguments|Number|String|Boolean)$/;
const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values())); // what generators inherit from too

function unusualJson(value) {
  let big = false;
  const text = JSON.stringify(value, function (key, shown) {
    const raw = this[key];
    if (typeof raw === "bigint") {
      big = true;
      return bigMark + raw.toString();
    }
    if (typeof raw === "number" && !Number.isFinite(raw)) throw new TypeError(`${raw} has no form in JSON`);
    if (typeof raw === "function" || typeof raw === "symbol") throw formless(typeof raw, key);
    if (typeof raw !== "object" || raw === null) return shown;
    if (raw instanceof Uint8Array) return { base64: Buffer.from(raw).toString("base64") };
    if (raw instanceof ArrayBuffer) return { base64: Buffer.from(raw).toString("base64") };
    if (ArrayBuffer.isView(raw) && !(raw instanceof DataView)) return Array.from(raw);
    if (raw instanceof Set) return [...raw];
    if (raw instanceof Map) return membersOf(raw, key);
    if (raw instanceof Date && Number.isNaN(raw.getTime())) throw new TypeError("an invalid Date has no form in JSON");
    if (raw instanceof Error) return { name: raw.name, message: raw.message };
    if (shown !== raw) return shown; // it has a toJSON
    if (iterators.isPrototypeOf(raw)) return [...raw];
    if (typeof raw.then === "function") throw formless("promise that was not awaited", key);
    const kind = Object.prototype.toString.call(raw).slice(8, -1);
    if (!ORDINARY.test(kind) && Object.keys(raw).length === 0) throw formless(kind, key);
    return shown;
  });
  if (text === undefined) return "null";
  return big ? text.replace(bigPattern, "$1") : text;
}

function formless(kind, place) {
  const article = /^[AEIOU]/i.test(kind) ? "an" : "a";
  return new TypeError(`${article} ${kind} has no form in JSON${place === "" ? "" : ` (at ${place})`}`);
}

function membersOf(map, place) {
  const members = new Map();
  for (const [key, one] of map) {
    const name = String(key);
    if (members.has(name)) throw formless(`Map with two keys that read ${JSON.stringify(name)}`, place);
    members.set(name, one);
  }
  return Object.fromEntries(members);
}

const shorten = (text, most) =>
  text.length <= most
    ? text
    : `${text.slice(0, most >> 2)}\n  ... ${text.length - most} characters left out ...\n${text.slice(-(most - (most >> 2)))}`;

function typeName(error) {
  if (error === null || (typeof error !== "object" && typeof error !== "function")) return typeof error;
  try {
    return String(error.name ?? error.constructor?.name ?? "Object").slice(0, MAX_NAME);
  } catch {
    return "Object";
  }
}

function kindOf(value) {
  try {
    return String(value?.constructor?.name ?? typeof value).slice(0, MAX_NAME);
  } catch {
    return typeof value;
  }
}

function failure(error) {
  const type = typeName(error);
  let message, trace;
  try {
    const text = String(error instanceof Error || typeof error?.message === "string" ? error.message : error);
    message = error instanceof Error ? (text ? `${type}: ${text}` : type) : `thrown ${type}: ${text}`;
  } catch {
    message = `${type}: its text cannot be told`;
  }
  try {
    trace = stackOf(error);
    for (let cause = error?.cause, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth++) {
      trace += `\n[cause]: ${stackOf(cause)}`;
    }
    for (const one of (error instanceof AggregateError && error.errors) || []) trace += `\n[errors]: ${stackOf(one)}`;
  } catch {
    trace = message;
  }
  const data = { type, traceback: shorten(trace, MAX_TRACEBACK) };
  return { code: FUNCTION_FAILED, message: shorten(message, MAX_MESSAGE), data };
}

// What is said of a result for which `resultJson` or `answerLine` threw `error`.
function unfit(value, error) {
  const { message, data } = failure(error);
  const long = /Invalid string length|Cannot create a string longer/.test(message);
  const why = long ? "is too large: its JSON would be longer than a string may be" : `is no JSON: ${message}`;
  const kind = kindOf(value);
  const text = shorten(`the result, of type ${kind}, ${why}`, MAX_MESSAGE);
  return { code: FUNCTION_FAILED, message: text, data: { type: data.type, result_type: kind } };
}

function stackOf(error) {
  const lines = String(error?.stack ?? error).split("\n");
  const ours = lines.findIndex((line) => /^\s+at /.test(line) && line.includes(OWN_FRAME)); // from here on it is us
  return (ours < 0 ? lines : lines.slice(0, ours)).join("\n");
}

// ---- the functions -------------------------------------------------------------------------------------------------

let space = null; // the namespace of the user's module
const known = new Map(); // name -> { run, kind }

// Whether a function has returned a promise yet. With M = 1 one that did not is called without a scope, and while none did
// nothing is followed at all: either would be 5 to 10 % of a short call.
const [UNKNOWN, PLAIN, PROMISING] = [0, 1, 2];

const own = (holder, name) => holder != null && Object.prototype.hasOwnProperty.call(holder, name);

function lookUp(name) {
  const parts = typeof name === "string" ? name.split(".") : [""];
  if (parts.some((part) => part === "" || part.startsWith("_"))) return undefined;
  const shared = own(space, "default") ? space.default : undefined; // module.exports of CommonJS, or `export default {}`
  let holder = own(space, parts[0]) ? space : shared;
  let found;
  for (const part of parts) {
    if ((typeof holder !== "object" && typeof holder !== "function") || !own(holder, part)) return undefined;
    if (typeof holder === "function" && ["prototype", "constructor", "caller", "arguments"].includes(part)) return undefined;
    found = holder[part];
    if (typeof found === "function" && holder !== space) found = bound(found, holder);
    holder = holder[part];
  }
  return typeof found === "function" ? found : undefined;
}

const bound = (method, holder) => Object.defineProperty(method.bind(holder), "spvOriginal", { value: method });

function find(name) {
  let found = known.get(name);
  if (found === undefined) {
    const run = lookUp(name);
    if (run !== undefined) known.set(name, (found = { run, kind: UNKNOWN }));
  }
  return found;
}

function names() {
  const inner = typeof space.default === "object" && space.default !== null ? Object.keys(space.default) : [];
  return [...new Set([...Object.keys(space), ...inner])].filter((name) => find(name) !== undefined).sort();
}

function unknown(name) {
  const near = names().map((one) => [distance(String(name), one), one]).sort((a, b) => a[0] - b[0])[0];
  const hint = near && near[0] <= Math.max(2, near[1].length / 3) ? `; did you mean ${near[1]}?` : "";
  return `no function ${name} in ${fileName}${hint}`;
}

function distance(from, to) {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[to.length];
}

// ---- running jobs --------------------------------------------------------------------------------------------------

const scope = new AsyncLocalStorage();
let limit = 1;
let follows = false; // some function has returned a promise
let fileName = "";
let queue = [];
let head = 0; // jobs before it in `queue` are begun
let running = 0;
let current = null; // with M = 1, the job begun last
let ended = false;
let pumping = false;
const open = new Map(); // id -> job that has begun and was not answered yet

const job = () => {
  const task = limit === 1 ? current : scope.getStore();
  return task && !task.done ? task : null;
};
const jobId = () => job()?.id ?? null;

// Where supervisor keeps a journal (--output), whoever comes after it wants to know which calls had begun when it was killed:
// SPV_MARKS=FD:PLACE names a file and the place of eight bytes of ours, one more than the id of the call begun last.
let mark = null;

function openMarks() {
  const told = process.env.SPV_MARKS;
  delete process.env.SPV_MARKS;
  if (told === undefined) return null;
  const [fd, place] = told.split(":").map(Number);
  const bytes = Buffer.alloc(8);
  return (id) => {
    if (!Number.isSafeInteger(id)) return;
    bytes.writeBigUInt64LE(BigInt(id) + 1n);
    fs.writeSync(fd, bytes, 0, 8, place);
  };
}

function pump() {
  if (pumping) return;
  pumping = true;
  try {
    while (head < queue.length && running < limit) {
      const request = queue[head];
      queue[head++] = undefined;
      mark?.(request.id);
      begin(request);
    }
  } finally {
    pumping = false;
  }
  if (head === queue.length) {
    queue = [];
    head = 0;
  }
  if (ended && running === 0 && queue.length === 0) leave();
}

function begin(request) {
  const { id, params } = request;
  const found = known.get(request.method) ?? find(request.method);
  if (found === undefined) return fail(id, { code: UNKNOWN_METHOD, message: unknown(request.method) });
  let positional = params;
  if (!Array.isArray(params)) {
    if (params === undefined || params === null) positional = [];
    else if (typeof params === "object") positional = [params];
    else return fail(id, { code: BAD_PARAMS, message: "params is an array or an object" });
  }
  const task = { id, done: false, abort: null, unscoped: limit === 1 && found.kind === PLAIN };
  running++;
  open.set(id, task);
  if (limit > 1) return scope.run(task, call, task, found, positional);
  current = task;
  if (task.unscoped) return call(task, found, positional);
  scope.enterWith(task); // never left, since that costs: once the job is over, its scope only says "not the running job's"
  call(task, found, positional);
  if (found.kind === UNKNOWN) found.kind = PLAIN;
  if (!follows) scope.disable();
}

function call(task, found, positional) {
  let result;
  try {
    const { run } = found;
    result = run(...positional);
    if (result !== null && typeof result === "object" && typeof result.then === "function") {
      found.kind = PROMISING;
      follows = true;
      Promise.resolve(result).then((value) => finish(task, value, true), (error) => settle(task, error, true));
      return;
    }
  } catch (error) {
    return settle(task, error, false);
  }
  finish(task, result, false);
}

function finish(task, value, later) {
  if (task.done) return;
  let line;
  try {
    line = answerLine(task.id, resultJson(value));
  } catch (error) {
    return settle(task, null, later, unfit(value, error));
  }
  end(task);
  if (printed.length > 0) deliver();
  send(line);
  if (later) pump();
}

function settle(task, error, later, told = null) {
  if (task.done) return;
  end(task);
  if (told === null && task.abort?.signal.aborted) told = { code: CANCELLED, message: "cancelled", data: { begun: true } };
  fail(task.id, told ?? failure(error));
  if (later) pump();
}

function end(task) {
  task.done = true;
  running--;
  open.delete(task.id);
}

// Gives back a request that was not begun; whether there was one.
function recall(id) {
  const at = queue.findIndex((request, number) => number >= head && request.id === id);
  if (at < 0) return false;
  queue.splice(at, 1);
  fail(id, { code: CANCELLED, message: "cancelled", data: { begun: false } });
  return true;
}

function cancel(id) {
  if (recall(id)) return;
  const task = open.get(id);
  if (task) {
    task.abort ??= new AbortController();
    task.abort.abort();
  }
}

// An exception that nobody caught belongs to the job whose code it came from, where that can be told.
function uncaught(error, rejected) {
  const task = limit === 1 && isLeftBehind(rejected) ? null : job();
  if (task !== null) return settle(task, error, true);
  printed.push([null, "stderr", Buffer.from(`uncaught, of no running job: ${failure(error).data.traceback}\n`)]);
  deliver();
}

// With M = 1: whether what nobody caught is certain not to be the running job's. Promises and timers that were not made in
// its scope are not. A socket from before may serve it all the same, and it would wait for ever were it not told.
function isLeftBehind(rejected) {
  if (current === null || current.unscoped || scope.getStore() === current) return false;
  return rejected || ["Timeout", "Immediate"].includes(executionAsyncResource().constructor?.name);
}

class ProcessExit extends Error {
  constructor(code) {
    super(`process.exit(${code ?? ""})`);
    this.name = "ProcessExit";
  }
}

// ---- messages ------------------------------------------------------------------------------------------------------

const asked = new Map();
let askedCount = 0;

function sort(line) {
  let message;
  try {
    message = JSON.parse(line);
  } catch (error) {
    return fail(null, { code: PARSE_ERROR, message: `the line is no JSON: ${error.message}` });
  }
  const batch = Array.isArray(message) ? message : [message];
  if (batch.length === 0) fail(null, { code: INVALID_REQUEST, message: "an empty batch" });
  for (const one of batch) {
    if (one === null || typeof one !== "object") {
      fail(null, { code: INVALID_REQUEST, message: "a message is a JSON object" });
    } else if (one.method !== undefined) {
      if (one.id !== undefined) queue.push(one);
      else if (one.method === "$/cancelRequest") cancel(one.params?.id);
      else if (one.method === "$/recall") recall(one.params?.id);
    } else if ("result" in one || "error" in one) {
      asked.get(one.id)?.(one);
    } else {
      fail(null, { code: INVALID_REQUEST, message: "neither a request nor an answer" });
    }
  }
}

function listen() {
  const input = new net.Socket({ fd: IN, readable: true, writable: false });
  let tail = [];
  input.on("data", (piece) => {
    let from = 0;
    for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, from)) {
      const part = piece.subarray(from, at);
      const line = tail.length === 0 ? part.toString() : Buffer.concat([...tail, part]).toString();
      tail = [];
      from = at + 1;
      if (line.trim() !== "") sort(line);
    }
    if (from < piece.length) tail.push(piece.subarray(from));
    pump();
  });
  input.on("error", () => {});
  input.on("close", () => {
    ended = true;
    const lost = { error: { code: -32001, message: "supervisor has closed the channel" } };
    for (const settleAsked of [...asked.values()]) settleAsked(lost);
    pump();
  });
}

function leave() {
  deliver();
  process.exit = reallyExit;
  process.exitCode = 0;
  reallyExit(0); // runs the user's "exit" handlers; timers and sockets left behind do not hold it up
}

// ---- shared state: globalThis.supervisor ---------------------------------------------------------------------------

class SupervisorError extends Error {
  constructor(error) {
    super(error?.message ?? "refused");
    this.name = error?.code === DEADLOCK ? "Deadlock" : "SupervisorError";
    this.code = error?.code;
    this.data = error?.data;
  }
}

function ask(method, params) {
  return new Promise((resolve, reject) => {
    if (ended) return reject(new SupervisorError({ code: -32001, message: "supervisor has closed the channel" }));
    const id = `node-${++askedCount}`;
    asked.set(id, (reply) => {
      asked.delete(id);
      if ("error" in reply) reject(new SupervisorError(reply.error));
      else resolve(reply.result ?? {});
    });
    send(JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, job: jobId() } }) + "\n");
  });
}

class Shared {
  constructor(name) {
    this.name = String(name);
  }
}

class Lock extends Shared {
  previousHolderDied = false;

  async acquire({ timeout } = {}) {
    return this.got(await ask("lock.acquire", { name: this.name, timeout }));
  }

  async release() {
    await ask("lock.release", { name: this.name });
  }

  got(reply) {
    this.previousHolderDied = Boolean(reply.previous_holder_died);
    return reply.acquired ?? true;
  }

  async with(body) {
    await this.acquire();
    try {
      return await body(this);
    } finally {
      await this.release();
    }
  }
}

class RLock extends Lock {
  static held = new Map();

  key() {
    return `${jobId()} ${this.name}`;
  }

  async acquire(options) {
    const key = this.key();
    const count = RLock.held.get(key) ?? 0;
    if (count === 0 && !(await super.acquire(options))) return false;
    RLock.held.set(key, count + 1);
    return true;
  }

  async release() {
    const key = this.key();
    const count = RLock.held.get(key) ?? 0;
    if (count === 0) throw new Error(`the lock ${this.name} is not held here`);
    if (count > 1) return void RLock.held.set(key, count - 1);
    RLock.held.delete(key);
    await super.release();
  }
}

class Semaphore extends Lock {
  constructor(name, value = 1) {
    super(name);
    this.value = value;
  }

  async acquire({ timeout } = {}) {
    return this.got(await ask("semaphore.acquire", { name: this.name, value: this.value, timeout }));
  }

  async release() {
    await ask("semaphore.release", { name: this.name, value: this.value });
  }
}

class Event extends Shared {
  set = async () => void (await ask("event.set", { name: this.name }));
  clear = async () => void (await ask("event.clear", { name: this.name }));
  isSet = async () => (await ask("event.is_set", { name: this.name })).set;
  wait = async ({ timeout } = {}) => (await ask("event.wait", { name: this.name, timeout })).set;
}

class Barrier extends Shared {
  constructor(name, parties) {
    super(name);
    this.parties = parties;
  }

  async wait({ timeout } = {}) {
    const reply = await ask("barrier.wait", { name: this.name, parties: this.parties, timeout });
    if (reply.broken) throw new SupervisorError({ message: `the barrier ${this.name} is broken` });
    return reply.index;
  }
}

class Value extends Shared {
  constructor(name, initial = 0) {
    super(name);
    this.initial = initial;
  }

  on = (verb, more) => ask(`value.${verb}`, { name: this.name, initial: this.initial, ...more });
  get = async () => (await this.on("get")).value;
  set = async (value) => void (await this.on("set", { value }));
  add = async (amount = 1) => (await this.on("add", { amount })).value;
  compareAndSwap = async (expected, next) => (await this.on("cas", { expected, new: next })).swapped;
}

class Queue extends Shared {
  constructor(name, maxsize = 0) {
    super(name);
    this.maxsize = maxsize;
  }

  on = (verb, more) => ask(`queue.${verb}`, { name: this.name, maxsize: this.maxsize, ...more });
  size = async () => (await this.on("size")).size;

  async put(item, { timeout } = {}) {
    if ((await this.on("put", { item, timeout })).ok === false) throw new SupervisorError({ message: "the queue is full" });
  }

  async get({ timeout } = {}) {
    const reply = await this.on("get", { timeout });
    if (reply.ok === false) throw new SupervisorError({ message: "the queue is empty" });
    return reply.item;
  }
}

function offerModule() {
  const progress = (done, total = null, message = null) => notify("progress", { id: jobId(), done, total, message });
  const log = (message, level = "info") => notify("log", { id: jobId(), level, message: String(message) });
  const signal = () => {
    const task = job();
    if (task === null) return new AbortController().signal;
    task.abort ??= new AbortController();
    return task.abort.signal;
  };
  globalThis.supervisor = Object.freeze({
    Lock, RLock, Semaphore, Event, Barrier, Value, Queue, SupervisorError, progress, log, signal, jobId,
  });
}

// ---- start ---------------------------------------------------------------------------------------------------------

function splitSpec(spec) {
  const match = /^(.+):([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*)$/s.exec(spec);
  return match ? [match[1], match[2]] : [spec, null];
}

function startFailure(message, traceback) {
  deliver();
  notify("failed", { message, traceback });
  reallyExit(1);
}

/** Where a syntax error is: the error itself does not say, only node's own report of it does. */
function syntaxPlace(error, full) {
  if (!(error instanceof SyntaxError)) return undefined;
  const { stderr } = spawnSync(process.execPath, ["--check", full], { encoding: "utf8", timeout: 5000 });
  return stderr?.split(/\n\s+at |\n\nNode/)[0] || undefined;
}

async function main() {
  const [concurrency, spec] = process.argv.slice(-2);
  limit = Number(concurrency);
  const [file, method] = splitSpec(spec);
  fileName = file;
  const full = path.resolve(file);
  process.argv.splice(1, process.argv.length, full);
  process.execArgv.length = 0; // a Worker or a fork of the user's must not run the loader again
  replaceStreams();
  offerModule();
  process.exit = (code) => {
    if (job() === null) reallyExit(code);
    throw new ProcessExit(code);
  };
  try {
    const found = fs.statSync(full, { throwIfNoEntry: false });
    if (found === undefined) return startFailure(`no file ${file}`, "");
    if (found.isDirectory()) {
      return startFailure(`${file} is a directory; a file is wanted, as in ${path.join(file, "tasks.mjs")}`, "");
    }
    space = await load(pathToFileURL(full).href);
  } catch (error) {
    const told = failure(error);
    return startFailure(told.message, syntaxPlace(error, full) ?? told.data.traceback);
  }
  if (method !== null && find(method) === undefined) return startFailure(unknown(method), "");
  process.on("uncaughtException", (error) => uncaught(error, false));
  process.on("unhandledRejection", (error) => uncaught(error, true));
  mark = limit === 1 ? openMarks() : null;
  const ready = { protocol: 1, name: "node", pid: process.pid, concurrency: limit, prefetch: true, batch: true };
  notify("ready", mark === null ? ready : { ...ready, marks: true });
  listen();
}

await main();
