// Reads AsyncAPI documents with AsyncAPI's own parser: node parse.js PARSER DOCUMENT...; prints what it objects to.
globalThis.window = globalThis.self = globalThis; // It was packed for browsers.
const { readFileSync } = require("node:fs");
const [path, ...documents] = process.argv.slice(2);
const packed = require(path);
const Parser = packed.default ?? packed.Parser ?? packed;

(async () => {
  const found = [];
  for (const one of documents) {
    const { document, diagnostics } = await new Parser().parse(readFileSync(one, "utf8"));
    found.push({
      read: document !== undefined,
      objections: diagnostics.map(({ severity, code, path, message }) => ({
        severity,
        code: String(code),
        where: path.join("."),
        message,
      })),
    });
  }
  console.log(JSON.stringify(found));
})();
