// ---- the functions -------------------------------------------------------------------------------------------------

let space = null; // the namespace of the user's module
const known = new Map(); // name -> { run, kind }

// Whether a function has returned a promise yet. With M = 1 one that did not is called without a scope, and while none did
// nothing is followed at all: either would be 5 to 10 % of a short call.
const [UNKNOWN, PLAIN, PROMISING] = [0, 1, 2];

const own = (holder, name) => holder != null && Object.prototype.hasOwnProperty.call(holder, name);

function lookUp(name) {
  const parts = typeof name === "string" ? name.split(".") : [""];
  if (parts.some((part) => part === "" || part.startsWith("_"))) return undefined;
  const shared = own(space, "default") ? space.default : undefined; // module.exports of CommonJS, or `export default {}`
  const compiled = parts[0] === "default" && own(shared, "default") && shared.__esModule; // into CommonJS, by TypeScript say
  let holder = own(space, parts[0]) && !compiled ? space : shared;
  let found;
  for (const part of parts) {
    if ((typeof holder !== "object" && typeof holder !== "function") || !own(holder, part)) return undefined;
    if (typeof holder === "function" && ["prototype", "constructor", "caller", "arguments"].includes(part)) return undefined;
    found = holder[part];
    if (typeof found === "function" && holder !== space) found = bound(found, holder);
    holder = holder[part];
  }
  return typeof found === "function" ? found : undefined;
}

const bound = (method, holder) => Object.defineProperty(method.bind(holder), "spvOriginal", { value: method });

function find(name) {
  let found = known.get(name);
  if (found === undefined) {
    const run = lookUp(name);
    if (run !== undefined) known.set(name, (found = { run, kind: UNKNOWN }));
  }
  return found;
}

function names() {
  const inner = typeof space.default === "object" && space.default !== null ? Object.keys(space.default) : [];
  return [...new Set([...Object.keys(space), ...inner])].filter((name) => find(name) !== undefined).sort();
}

function unknown(name) {
  const near = names().map((one) => [distance(String(name), one), one]).sort((a, b) => a[0] - b[0])[0];
  const hint = near && near[0] <= Math.max(1, String(name).length / 3) ? `; did you mean ${near[1]}?` : "";
  return `no function ${name} in ${fileName}${hint}`;
}

function distance(from, to) {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[to.length];
}

