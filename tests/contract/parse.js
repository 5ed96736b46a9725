// Reads AsyncAPI documents with AsyncAPI's own parser: node parse.js DOCUMENT...; prints what it objects to.
const { readFileSync } = require("node:fs");
const { Parser } = require("@asyncapi/parser");

(async () => {
  const found = [];
  for (const one of process.argv.slice(2)) {
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
