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

