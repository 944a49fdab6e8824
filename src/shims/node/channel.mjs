// ---- the channel ---------------------------------------------------------------------------------------------------

const pause = new Int32Array(new SharedArrayBuffer(4));

// One line, to be read now, and all that was said before it.
function send(text) {
  flush();
  const done = tryWrite(text);
  // All of it, and no character of several bytes can have been cut?
  if (done !== text.length || done >= 4096) writeAll(Buffer.from(text).subarray(done));
  tellBase();
}

function writeAll(bytes) {
  for (let rest = bytes; rest.length > 0; ) {
    const more = tryWrite(rest);
    if (more === 0) Atomics.wait(pause, 0, 0, 1); // a full pipe that does not block: somebody else made it so
    rest = rest.subarray(more);
  }
}

function tryWrite(data) {
  try {
    const count = fs.writeSync(OUT, data);
    shelf.position += count;
    return count;
  } catch (error) {
    if (error.code === "EAGAIN" || error.code === "EINTR") return 0;
    reallyExit(1); // nobody is left to write to
  }
}

function notify(method, params) {
  send(readable({ jsonrpc: "2.0", method, params }));
}

// The failure of a job, after what it printed.
function fail(id, error) {
  deliver();
  say(readable({ jsonrpc: "2.0", id, error }));
}

// A line for people. Half a character (a lone surrogate) becomes a mark, since no text has one.
function readable(message) {
  const line = JSON.stringify(message);
  return (/\\ud[89a-f]/.test(line) ? JSON.stringify(message, wellFormed) : line) + "\n";
}

const wellFormed = (_, value) => (typeof value === "string" ? Buffer.from(value).toString() : value);

// Throws where the whole is longer than a string may be.
function answerLine(id, text) {
  return '{"jsonrpc":"2.0","id":' + (typeof id === "number" ? id : JSON.stringify(id)) + ',"result":' + text + "}\n";
}

