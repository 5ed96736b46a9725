// Judges messages by the published JSON Schemas with ajv in its strict mode: node strict.mjs FOLDER < cases.
// A case is [schema, message]; prints for each what is wrong with it, an empty text if nothing is.
import { readFileSync, readdirSync } from "node:fs";
import formats from "ajv-formats";
import Ajv2020 from "ajv/dist/2020.js";

const folder = process.argv[2];
const ajv = new Ajv2020({ strict: true, allErrors: true });
formats(ajv);
const judges = Object.fromEntries(
  readdirSync(folder).map((file) => [
    file.replace(/\.json$/, ""),
    ajv.compile(JSON.parse(readFileSync(`${folder}/${file}`, "utf8"))),
  ]),
);
const verdicts = JSON.parse(readFileSync(0, "utf8")).map(([name, message]) =>
  judges[name](message) ? "" : ajv.errorsText(judges[name].errors),
);
console.log(JSON.stringify(verdicts));
