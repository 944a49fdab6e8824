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
      const params = id === null ? { stream, data } : { id, stream, data };
      say(JSON.stringify({ jsonrpc: "2.0", method: "output", params }) + "\n");
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
    if (pending > PENDING_OUTPUT || running === 0) flushLate();
    else if (flushTimer === null) flushTimer = setTimeout(flushLate, 100).unref();
    // Told now, as this process may die next; on standard output where that costs no write.
    if (bytes.at(-1) === 10 && (this.fd === 2 || isTaken())) deliver();
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
  clearTimeout(flushTimer);
  flushTimer = null;
  if (printed.length > 0) deliver();
  flush();
}

function replaceStreams() {
  for (const [name, fd] of [["stdout", 1], ["stderr", 2]]) {
    const stream = new Stream(name, fd);
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
  }
}

