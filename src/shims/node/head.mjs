// The Node worker of supervisor: runs exported functions of a user's module, one JSON-RPC message a line.
//
// Started by supervisor as `sh -c 'exec "$0" "$@" 3<&0 4>&1 </dev/null >&2' node -e LOADER M SPEC`; LOADER runs this text,
// which comes in the environment, as the body of an async function with the arguments `load` (what import() is to a module)
// and `require`: so its file has the short name <supervisor>, where an imported text would have all of itself as its name.
// SPEC is FILE[:FUNCTION]. Node 18 or newer, no packages.
// SPV_LIBRARY names a library of supervisor's own, which is loaded where that is possible.
//
// What it owns: the channel, descriptors 3 (in) and 4 (out), which Node keeps from child processes. Descriptor 0 is
// empty, and 1 is where 2 is: what a child process writes there is the worker's own output. What it never does: decide
// about retries, timeouts or order.
//
// A function that returns no promise is answered before the next job is looked at. With M > 1 the job that code belongs
// to is followed through promises and callbacks (AsyncLocalStorage). With M = 1 it is the only one there is, and what is
// followed says only whether an error that nobody caught was left behind by an earlier one.
//
// Messages and requests to supervisor are those of python.py; the ids are "node-1", "node-2", ... With M > 1
// `stuck` tells of each cancelled job that goes on: while a function holds the event loop it cannot be sent, and that says it.

const { AsyncLocalStorage, executionAsyncResource } = require("node:async_hooks");
const { spawnSync } = require("node:child_process");
const { randomBytes } = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { Writable } = require("node:stream");
const { pathToFileURL } = require("node:url");

const [IN, OUT] = [3, 4];
const PENDING_OUTPUT = 1 << 18;
const OUTPUT_PIECE = 1 << 16; // most bytes printed in one message, whose line may be six times as long; and lines have limits
const STRETCH = 0.3; // milliseconds of work whose answers leave together
const STRETCH_MAX = 256; // and at most so many jobs
const MAX_TRACEBACK = 1 << 16;
const MAX_MESSAGE = 1 << 13;
const MAX_NAME = 1 << 8;
const PARSE_ERROR = -32700, INVALID_REQUEST = -32600, UNKNOWN_METHOD = -32601, BAD_PARAMS = -32602;
const FUNCTION_FAILED = -32000, CANCELLED = -32800, DEADLOCK = -32010;
const OWN_FRAME = "<supervisor>"; // what LOADER calls this text
const reallyExit = process.exit.bind(process);
const now = performance.now.bind(performance);

