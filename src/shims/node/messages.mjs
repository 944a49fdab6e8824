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
      if (one.id !== undefined || !String(one.method).startsWith("$/")) queue.push(one);
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
  flush();
  process.exit = reallyExit;
  process.exitCode = 0;
  reallyExit(0); // runs the user's "exit" handlers; timers and sockets left behind do not hold it up
}

