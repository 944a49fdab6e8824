// ---- errors --------------------------------------------------------------------------------------------------------

const shorten = (text, most) =>
  text.length <= most
    ? text
    : `${text.slice(0, most >> 2)}\n  ... ${text.length - most} characters left out ...\n${text.slice(-(most - (most >> 2)))}`;

function typeName(error) {
  if (error === null || (typeof error !== "object" && typeof error !== "function")) return typeof error;
  try {
    return String(error.name ?? error.constructor?.name ?? "Object").slice(0, MAX_NAME);
  } catch {
    return "Object";
  }
}

function kindOf(value) {
  try {
    const name = value?.constructor?.name; // a generator's is empty
    return String(name || Object.prototype.toString.call(value).slice(8, -1)).slice(0, MAX_NAME);
  } catch {
    return typeof value;
  }
}

function failure(error) {
  const type = typeName(error);
  let message, trace;
  try {
    const text = String(error instanceof Error || typeof error?.message === "string" ? error.message : error);
    message = error instanceof Error ? (text ? `${type}: ${text}` : type) : `thrown ${type}: ${text}`;
  } catch {
    message = `${type}: its text cannot be told`;
  }
  try {
    trace = stackOf(error);
    for (let cause = error?.cause, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth++) {
      trace += `\n[cause]: ${stackOf(cause)}`;
    }
    for (const one of (error instanceof AggregateError && error.errors) || []) trace += `\n[errors]: ${stackOf(one)}`;
  } catch {
    trace = message;
  }
  const data = { type, traceback: shorten(trace, MAX_TRACEBACK) };
  return { code: FUNCTION_FAILED, message: shorten(message, MAX_MESSAGE), data };
}

// What is said of a result for which `resultJson` or `answerLine` threw `error`.
function unfit(value, error) {
  const { message, data } = failure(error);
  const long = /Invalid string length|Cannot create a string longer/.test(message);
  const why = long ? "is too large: its JSON would be longer than a string may be" : `is no JSON: ${message}`;
  const kind = kindOf(value);
  const text = shorten(`the result, of type ${kind}, ${why}`, MAX_MESSAGE);
  return { code: FUNCTION_FAILED, message: text, data: { type: data.type, result_type: kind } };
}

function stackOf(error) {
  const lines = String(error?.stack ?? error).split("\n");
  const ours = lines.findIndex((line) => /^\s+at /.test(line) && line.includes(OWN_FRAME)); // from here on it is us
  return (ours < 0 ? lines : lines.slice(0, ours)).join("\n");
}

