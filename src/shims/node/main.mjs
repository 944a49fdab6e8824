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

// Nothing is left to be done, and the module is not there yet.
function waitsForEver() {
  startFailure(`${fileName} waits for a promise at its top level that nothing settles`, "");
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
  const memory = loadMemory();
  const [file, method] = splitSpec(spec);
  fileName = file;
  const full = path.resolve(file);
  process.argv.splice(1, process.argv.length, full);
  process.execArgv.length = 0; // a Worker or a fork of the user's must not run the loader again
  replaceStreams();
  offerModule();
  process.exit = (code) => {
    if (job() === null && failNotification === null) reallyExit(code);
    throw new ProcessExit(code);
  };
  try {
    const found = fs.statSync(full, { throwIfNoEntry: false });
    if (found === undefined) return startFailure(`no file ${file}`, "");
    if (found.isDirectory()) {
      return startFailure(`${file} is a directory; a file is wanted, as in ${path.join(file, "tasks.mjs")}`, "");
    }
    process.once("beforeExit", waitsForEver);
    space = await load(pathToFileURL(full).href);
    process.off("beforeExit", waitsForEver);
  } catch (error) {
    const told = failure(error);
    return startFailure(told.message, syntaxPlace(error, full) ?? told.data.traceback);
  }
  if (method !== null && find(method) === undefined) return startFailure(unknown(method), "");
  process.on("uncaughtException", (error) => uncaught(error, false));
  process.on("unhandledRejection", (error) => uncaught(error, true));
  const ready = { protocol: 1, name: "node", pid: process.pid, concurrency: limit, prefetch: true, batch: true };
  if (limit > 1) ready.stuck = true;
  if (limit === 1) {
    mark = openMarks(memory);
    Object.assign(ready, mark === null ? {} : { marks: true }, openShelf(memory));
  }
  notify("ready", ready);
  countFromHere();
  listen();
}

await main();
