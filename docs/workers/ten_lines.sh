#!/usr/bin/env bash
while IFS= read -r line; do
  jq -c --unbuffered 'select(has("id")) | {jsonrpc: "2.0", id} + (
    if .method == "add_one" then {result: (.params[0] + 1)}
    else {error: {code: -32601, message: "no method named \(.method)"}} end)' <<<"$line"
done
