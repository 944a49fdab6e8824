// ---- results -------------------------------------------------------------------------------------------------------

function resultJson(value) {
  switch (typeof value) {
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no form in JSON`);
      return Object.is(value, -0) ? "-0" : String(value);
    case "string":
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "undefined":
      return "null";
    case "bigint":
      return value.toString();
    case "object":
      if (value === null) return "null";
      if (isPlain(value, 0)) return JSON.stringify(value);
      return unusualJson(value);
    default:
      throw new TypeError(`a ${typeof value} has no form in JSON`);
  }
}

// Whether JSON.stringify tells all of it as it is. It loses Maps and NaN without a word, so it is asked second.
function isPlain(value, depth) {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth > 500) return false;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) if (!isPlain(value[at], depth + 1)) return false;
    return true;
  }
  const kind = Object.getPrototypeOf(value);
  if ((kind !== Object.prototype && kind !== null) || value.toJSON !== undefined) return false;
  for (const key in value) if (!isPlain(value[key], depth + 1)) return false;
  return true;
}

const bigMark = `bigint-${process.pid}-${Math.random()}:`;
const bigPattern = new RegExp(`"${bigMark.replace(/[.]/g, "[.]")}(-?[0-9]+)"`, "g");

// The kinds of objects of which the members are all there is to tell, even none. Others without members have no form.
const ORDINARY = /^(Object|Array|Arguments|Number|String|Boolean)$/;
const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values())); // what generators inherit from too

function unusualJson(value) {
  let big = false;
  const text = JSON.stringify(value, function (key, shown) {
    const raw = this[key];
    if (typeof raw === "bigint") {
      big = true;
      return bigMark + raw.toString();
    }
    if (typeof raw === "number" && !Number.isFinite(raw)) throw new TypeError(`${raw} has no form in JSON`);
    if (typeof raw === "function" || typeof raw === "symbol") throw formless(typeof raw, key);
    if (typeof raw !== "object" || raw === null) return shown;
    if (raw instanceof Uint8Array) return { base64: Buffer.from(raw).toString("base64") };
    if (raw instanceof ArrayBuffer) return { base64: Buffer.from(raw).toString("base64") };
    if (ArrayBuffer.isView(raw) && !(raw instanceof DataView)) return Array.from(raw);
    if (raw instanceof Set) return [...raw];
    if (raw instanceof Map) return membersOf(raw, key);
    if (raw instanceof Date && Number.isNaN(raw.getTime())) throw new TypeError("an invalid Date has no form in JSON");
    if (raw instanceof Error) return { name: raw.name, message: raw.message };
    if (shown !== raw) return shown; // it has a toJSON
    if (iterators.isPrototypeOf(raw)) return yielded(raw);
    if (typeof raw.then === "function") throw formless("promise that was not awaited", key);
    const kind = Object.prototype.toString.call(raw).slice(8, -1);
    if (!ORDINARY.test(kind) && Object.keys(raw).length === 0) throw formless(kind, key);
    return shown;
  });
  if (text === undefined) return "null";
  return big ? text.replace(bigPattern, "$1") : text;
}

// What an iterator threw: an exception of the user's function, and no fault of its result.
class Thrown {
  constructor(error) {
    this.error = error;
  }
}

function yielded(iterator) {
  try {
    return [...iterator];
  } catch (error) {
    throw new Thrown(error);
  }
}

function formless(kind, place) {
  const article = /^[AEIOU]/i.test(kind) ? "an" : "a";
  return new TypeError(`${article} ${kind} has no form in JSON${place === "" ? "" : ` (at ${place})`}`);
}

function membersOf(map, place) {
  const members = new Map();
  for (const [key, one] of map) {
    const name = String(key);
    if (members.has(name)) throw formless(`Map with two keys that read ${JSON.stringify(name)}`, place);
    members.set(name, one);
  }
  return Object.fromEntries(members);
}

