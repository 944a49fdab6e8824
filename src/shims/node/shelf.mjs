// ---- the shelf -----------------------------------------------------------------------------------------------------

// A file in memory that supervisor has open too. What is said lies there until it is worth a write, and when this process
// dies before that, supervisor takes it from there: a finished job is never lost, and costs no system call of its own.
// Its words: a random mark, whether supervisor has it open, the place of the first byte in all that was said since
// `ready`, and where in the file what is held ends. That last one is written after the bytes it covers.
const [SHELF_TAKEN, SHELF_BASE, SHELF_END] = [1, 2, 3];
const SHELF_HEAD = 64;
const SHELF_BYTES = 1 << 16; // what a pipe holds: more could not be written at once
const UTF8_MAX = 3; // bytes that one unit of a string can become
const LOW_HALF = os.endianness() === "LE" ? 0 : 1;

// The library of supervisor's that makes and maps files (memory.rs), which Node cannot. Null where it cannot be loaded: then
// each answer is written as soon as it is there.
function loadMemory() {
  const place = process.env.SPV_LIBRARY;
  delete process.env.SPV_LIBRARY;
  if (place === undefined) return null;
  const library = { exports: {} };
  try {
    if (!fs.statSync(place).isFile()) return null; // where processes have other numbers it may be any process's pipe
    process.dlopen(library, place);
    return library.exports;
  } catch {
    return null;
  }
}

const shelf = { area: null, words: null, halves: null, held: SHELF_HEAD, position: 0, taken: false };

// What `ready` says of it; nothing where there is none.
function openShelf(memory) {
  const fd = memory?.file(SHELF_BYTES) ?? -1;
  const mapped = fd < 0 ? undefined : memory.map(fd, SHELF_BYTES);
  if (mapped === undefined) return {};
  shelf.area = Buffer.from(mapped);
  shelf.words = new BigUint64Array(mapped, 0, SHELF_HEAD / 8);
  shelf.halves = new Uint32Array(mapped, 0, SHELF_HEAD / 4);
  const mark = randomBytes(8);
  mark.copy(shelf.area);
  shelf.words[SHELF_END] = BigInt(SHELF_HEAD);
  return { shelf: { fd, mark: mark.toString("hex") } };
}

// From here on it is counted what was said.
function countFromHere() {
  shelf.position = 0;
  tellBase();
}

function tellBase() {
  if (shelf.words !== null) Atomics.store(shelf.words, SHELF_BASE, BigInt(shelf.position));
}

function tellEnd(end) {
  shelf.held = end;
  Atomics.store(shelf.halves, 2 * SHELF_END + LOW_HALF, end);
}

// Whether supervisor would see what is put there.
function isTaken() {
  if (!shelf.taken && shelf.words !== null) shelf.taken = Atomics.load(shelf.words, SHELF_TAKEN) === 1n;
  return shelf.taken;
}

// Holds it back, or writes it if it cannot be held.
function say(text) {
  if (!isTaken()) return send(text);
  const most = text.length * UTF8_MAX;
  if (shelf.held + most > SHELF_BYTES) flush();
  if (shelf.held + most > SHELF_BYTES) return send(text);
  tellEnd(shelf.held + shelf.area.write(text, shelf.held));
}

const ANSWER = Buffer.from('{"jsonrpc":"2.0","id":');
const RESULT = Buffer.from(',"result":');
const ANSWER_MAX = ANSWER.length + RESULT.length + 2 * "-2147483648".length + "}\n".length;

// Whether that is a number of 32 bits which JSON spells as it is.
const isSmall = (value) => typeof value === "number" && (value | 0) === value && !Object.is(value, -0);

// As `say(answerLine(id, String(result)))` for two such numbers, byte by byte: a string for it costs three times as much.
function sayNumber(id, result) {
  if (shelf.held + ANSWER_MAX > SHELF_BYTES) flush();
  if (!isTaken()) return say(answerLine(id, String(result)));
  let at = putDigits(id, putBytes(ANSWER, shelf.held));
  at = putDigits(result, putBytes(RESULT, at));
  shelf.area[at] = 0x7d; // }
  shelf.area[at + 1] = 0x0a;
  tellEnd(at + 2);
}

function putBytes(bytes, at) {
  const { area } = shelf;
  for (let n = 0; n < bytes.length; n++) area[at + n] = bytes[n];
  return at + bytes.length;
}

function putDigits(number, at) {
  const { area } = shelf;
  if (number < 0) area[at++] = 0x2d; // -
  let end = at + 1;
  for (let rest = (number / 10) | 0; rest !== 0; rest = (rest / 10) | 0) end++;
  for (let place = end - 1, rest = number; place >= at; place--) {
    area[place] = 0x30 + Math.abs(rest % 10);
    rest = (rest / 10) | 0;
  }
  return end;
}

// Writes what is held. At no moment could supervisor find a byte twice, or miss one.
function flush() {
  if (shelf.held === SHELF_HEAD) return;
  writeAll(shelf.area.subarray(SHELF_HEAD, shelf.held));
  tellEnd(SHELF_HEAD);
  tellBase();
}

