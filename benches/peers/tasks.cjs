// The functions that supervisor and the pools of Node call: the same file for all.
"use strict";

const inc = (x) => x + 1;
const echo = (text) => text;

module.exports = { inc, echo };
