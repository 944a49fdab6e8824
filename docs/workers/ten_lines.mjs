import { createInterface } from "node:readline";
const parse = (line) => { try { return JSON.parse(line); } catch { return { id: null }; } };
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = parse(line) ?? {};
  if (id === undefined) continue;
  const answer = { jsonrpc: "2.0", id };
  if (method === "add_one") answer.result = params[0] + 1;
  else answer.error = { code: -32601, message: `no method named ${method}` };
  process.stdout.write(JSON.stringify(answer) + "\n");
}
