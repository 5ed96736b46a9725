// The chain of settlements, verified from docs/mqtt.md alone: one `ended` a line on stdin, in the order of `seq`.
// Prints one line for each; the exit code is 1 if any is wrong.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const fields = process.argv.slice(2);
const canonical = (value) => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
};

let previous;
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const message = JSON.parse(line);
  const covered = Object.fromEntries(fields.map((name) => [name, message[name]]));
  const digest = createHash("sha256").update(canonical(covered)).digest("hex");
  const follows = previous === undefined || message.previous_digest === previous;
  previous = message.digest;
  const verdict = digest !== message.digest ? "changed" : follows ? "holds" : "does not follow";
  if (verdict !== "holds") process.exitCode = 1;
  console.log(`${message.session_id} ${verdict}`);
}
