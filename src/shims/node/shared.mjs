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
    const line = `{"jsonrpc":"2.0","id":"${id}","method":"${method}","params":${paramsJson(params)}}\n`;
    asked.set(id, (reply) => {
      asked.delete(id);
      if ("error" in reply) reject(new SupervisorError(reply.error));
      else resolve(reply.result ?? {});
    });
    send(line);
  });
}

// What is shared is written as results are: nothing of it is lost without a word. A timeout may be Infinity.
function paramsJson(params) {
  const given = Object.entries({ ...params, job: jobId() }).filter(([, value]) => value !== undefined);
  return `{${given.map(([name, value]) => `"${name}":${(name === "timeout" ? JSON.stringify : resultJson)(value)}`)}}`;
}

// A timeout in seconds is given as `{ timeout }` or as the number alone. What is neither would be to wait without limit.
function timeoutOf(given) {
  const options = typeof given === "object" && given !== null ? given : { timeout: given ?? undefined };
  const timeout = options.timeout ?? undefined;
  const fits = timeout === undefined || (typeof timeout === "number" && !Number.isNaN(timeout));
  if (fits && Object.keys(options).every((name) => name === "timeout")) return timeout;
  throw new TypeError("a timeout is a number of seconds, or { timeout: seconds }");
}

class Shared {
  constructor(name) {
    this.name = String(name);
  }
}

class Lock extends Shared {
  previousHolderDied = false;

  async acquire(timeout) {
    return this.got(await ask("lock.acquire", { name: this.name, timeout: timeoutOf(timeout) }));
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

  async acquire(timeout) {
    const key = this.key();
    const count = RLock.held.get(key) ?? 0;
    if (count === 0 && !(await super.acquire(timeout))) return false;
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

  async acquire(timeout) {
    const more = { value: this.value, timeout: timeoutOf(timeout) };
    return this.got(await ask("semaphore.acquire", { name: this.name, ...more }));
  }

  async release() {
    await ask("semaphore.release", { name: this.name, value: this.value });
  }
}

class Event extends Shared {
  set = async () => void (await ask("event.set", { name: this.name }));
  clear = async () => void (await ask("event.clear", { name: this.name }));
  isSet = async () => (await ask("event.is_set", { name: this.name })).set;
  wait = async (timeout) => (await ask("event.wait", { name: this.name, timeout: timeoutOf(timeout) })).set;
}

class Barrier extends Shared {
  constructor(name, parties) {
    super(name);
    this.parties = parties;
  }

  async wait(timeout) {
    const reply = await ask("barrier.wait", { name: this.name, parties: this.parties, timeout: timeoutOf(timeout) });
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
  set = async (value = null) => void (await this.on("set", { value }));
  add = async (amount = 1) => (await this.on("add", { amount })).value;
  compareAndSwap = async (expected = null, next = null) => (await this.on("cas", { expected, new: next })).swapped;
}

class Queue extends Shared {
  constructor(name, maxsize = 0) {
    super(name);
    this.maxsize = maxsize;
  }

  on = (verb, more) => ask(`queue.${verb}`, { name: this.name, maxsize: this.maxsize, ...more });
  size = async () => (await this.on("size")).size;

  async put(item = null, timeout = undefined) {
    const { ok } = await this.on("put", { item, timeout: timeoutOf(timeout) });
    if (ok === false) throw new SupervisorError({ message: "the queue is full" });
  }

  async get(timeout) {
    const reply = await this.on("get", { timeout: timeoutOf(timeout) });
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

