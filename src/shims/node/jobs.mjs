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
const open = new Map(); // id -> job that waits for its promise: no other can be cancelled, since nothing is heard meanwhile

let pace = 1; // jobs that take STRETCH

const job = () => {
  const task = limit === 1 ? current : scope.getStore();
  return task && !task.done ? task : null;
};
const jobId = () => job()?.id ?? null;

// Where supervisor keeps a journal (--output), whoever comes after it wants to know which calls had begun when it was killed:
// SPV_MARKS=FD:PLACE names a file and the place of eight bytes of ours, one more than the id of the call begun last.
let mark = null;

function openMarks(memory) {
  const told = process.env.SPV_MARKS;
  delete process.env.SPV_MARKS;
  if (told === undefined) return null;
  const [fd, place] = told.split(":").map(Number);
  const word = memory === null ? null : mapped(memory, fd, place);
  const bytes = Buffer.alloc(8);
  return (id) => {
    if (!Number.isSafeInteger(id)) return;
    if (word !== null) return Atomics.store(word, 0, BigInt(id) + 1n);
    bytes.writeBigUInt64LE(BigInt(id) + 1n);
    fs.writeSync(fd, bytes, 0, 8, place);
  };
}

// Those eight bytes as memory, if that can be had. The file is opened anew, so that this process does not hold the lock that
// goes with the descriptor it was given.
function mapped(memory, fd, place) {
  try {
    const own = fs.openSync(`/proc/self/fd/${fd}`, "r+");
    const area = memory.map(own, place + 8);
    fs.closeSync(own);
    if (LOW_HALF !== 0 || area === undefined) return null;
    const word = new BigUint64Array(area, place, 1);
    fs.closeSync(fd);
    return word;
  } catch {
    return null;
  }
}

function pump() {
  if (pumping) return;
  pumping = true;
  try {
    while (head < queue.length && running < limit) stretch();
  } finally {
    pumping = false;
    flush();
  }
  if (head === queue.length) {
    queue = [];
    head = 0;
  }
  if (ended && running === 0 && queue.length === 0) leave();
}

// Begins as many jobs as take STRETCH, by what the last ones took. Their answers leave together.
function stretch() {
  const first = head;
  const end = Math.min(queue.length, first + pace);
  const began = now();
  while (head < end && running < limit) {
    const request = queue[head];
    queue[head++] = undefined;
    mark?.(request.id);
    begin(request);
  }
  flush();
  const took = now() - began;
  pace = Math.max(1, Math.min(STRETCH_MAX, Math.floor(((head - first) * STRETCH) / (took + 1e-6))));
}

function begin(request) {
  const { id, params } = request;
  if (id === undefined) return notified(request);
  const found = known.get(request.method) ?? find(request.method);
  if (found === undefined) return fail(id, { code: UNKNOWN_METHOD, message: unknown(request.method) });
  const positional = argumentsOf(params);
  if (positional === undefined) return fail(id, { code: BAD_PARAMS, message: "params is an array or an object" });
  const task = { id, done: false, later: false, abort: null, unscoped: limit === 1 && found.kind === PLAIN };
  running++;
  if (limit > 1) return scope.run(task, call, task, found, positional);
  current = task;
  if (task.unscoped) return call(task, found, positional);
  scope.enterWith(task); // never left, since that costs: once the job is over, its scope only says "not the running job's"
  call(task, found, positional);
  if (found.kind === UNKNOWN) found.kind = PLAIN;
  if (!follows) scope.disable();
}

// The arguments of a call; undefined where `params` can be none.
function argumentsOf(params) {
  if (Array.isArray(params)) return params;
  if (params === undefined || params === null) return [];
  return typeof params === "object" ? [params] : undefined;
}

let failNotification = null; // while one runs: for what its promise does not tell

// Calls what nobody wants an answer of, as a message of --init may be; jobs wait meanwhile. What it prints, and what goes
// wrong with it, is the worker's own output.
function notified({ method, params }) {
  const failed = (why) => tellOwn(`the notification ${method} failed: ${why}\n`);
  const found = find(method);
  if (found === undefined) return failed(unknown(method));
  current = null;
  running += limit;
  const { run } = found;
  const thrown = new Promise((_, reject) => (failNotification = reject));
  const call = async () => run(...(argumentsOf(params) ?? [params]));
  const settled = Promise.race([limit === 1 ? call() : scope.run(null, call), thrown]);
  const done = () => {
    failNotification = null;
    running -= limit;
    pump();
  };
  settled.catch((error) => failed(failure(error).data.traceback)).then(done);
}

function call(task, found, positional) {
  let result;
  try {
    const { run } = found;
    result = run(...positional);
    if (result !== null && typeof result === "object" && typeof result.then === "function") {
      found.kind = PROMISING;
      follows = true;
      task.later = true;
      if (!task.done) open.set(task.id, task);
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
  if (isSmall(value) && isSmall(task.id)) {
    end(task);
    if (printed.length > 0) deliver();
    sayNumber(task.id, value);
    if (later) pump();
    return;
  }
  let line;
  try {
    line = answerLine(task.id, resultJson(value));
  } catch (error) {
    return error instanceof Thrown ? settle(task, error.error, later) : settle(task, null, later, unfit(value, error));
  }
  end(task);
  if (printed.length > 0) deliver();
  say(line);
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
  if (task.later) open.delete(task.id);
}

// Gives back a request that was not begun; whether there was one.
function recall(id) {
  if (id === undefined) return false; // notifications have none
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
    // Who hears nothing of it knows that nothing goes on here.
    if (limit > 1) setImmediate(() => task.done || notify("stuck", { id, interruptible: true }));
  }
}

// An exception that nobody caught belongs to the job whose code it came from, where that can be told.
function uncaught(error, rejected) {
  const task = limit === 1 && isLeftBehind(rejected) ? null : job();
  if (task !== null) return settle(task, error, true);
  if (failNotification !== null) return failNotification(error);
  tellOwn(`uncaught, of no running job: ${failure(error).data.traceback}\n`);
}

function tellOwn(text) {
  printed.push([null, "stderr", Buffer.from(text)]);
  deliver();
  flush();
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

