// One of Node's pools with many calls: what `rates.py` and `large.py` measure. Packages are found by NODE_PATH.
//
//     node pools.cjs POOL inc CALLS          two workers
//     node pools.cjs POOL echo CALLS BYTES   one worker, a string of so many bytes there and back
"use strict";

const [kind, work, calls, bytes] = process.argv.slice(2);
const maxWorkers = work === "inc" ? 2 : 1;
const file = require.resolve("./tasks.cjs");

// Each gives a function that makes a call, and one that ends the pool.
const pools = {
  workerpool() {
    const tasks = require("./tasks.cjs");
    const pool = require("workerpool").pool({ maxWorkers, minWorkers: maxWorkers, workerType: "process" });
    return [(x) => pool.exec(tasks[work], [x]), () => pool.terminate()];
  },
  // Threads: it has nothing else.
  piscina() {
    const { Piscina } = require("piscina");
    const pool = new Piscina({ filename: file, minThreads: maxWorkers, maxThreads: maxWorkers, maxQueue: Infinity });
    return [(x) => pool.run(x, { name: work }), () => pool.destroy()];
  },
  "jest-worker"() {
    const { Worker } = require("jest-worker");
    const pool = new Worker(file, { numWorkers: maxWorkers, enableWorkerThreads: false, exposedMethods: [work] });
    return [(x) => pool[work](x), () => pool.end()];
  },
};

async function main() {
  const [call, end] = pools[kind]();
  const argument = (n) => (work === "inc" ? n : "x".repeat(Number(bytes)));
  const results = await Promise.all(Array.from({ length: Number(calls) }, (_, n) => call(argument(n))));
  const wrong = results.some((result, n) => (work === "inc" ? result !== n + 1 : result.length !== Number(bytes)));
  await end();
  if (wrong) process.exitCode = 1;
}

main();
