// Makes the contract's types with AsyncAPI's modelina, for TypeScript and Go:
//
//     npm install @asyncapi/modelina@5
//     node types.cjs ../contract/asyncapi.json FOLDER      writes contract.ts and contract.go
//
// What is set here keeps names as they are on the wire, and null apart from 0.
const { readFileSync, writeFileSync } = require("node:fs");
const { GoGenerator, TypeScriptGenerator } = require("@asyncapi/modelina");

const [document, folder] = process.argv.slice(2);
// modelina 5 knows AsyncAPI 3.0; what is new in 3.1 is not about payloads.
const contract = { ...JSON.parse(readFileSync(document, "utf8")), asyncapi: "3.0.0" };
const processorOptions = { interpreter: { ignoreAdditionalProperties: true } };

const typescript = new TypeScriptGenerator({
  modelType: "interface",
  processorOptions,
  constraints: { propertyKey: ({ objectPropertyModel }) => objectPropertyModel.propertyName },
});

const pointer = (type) => ({ constrainedModel, partOfProperty }) =>
  constrainedModel.options.isNullable || (partOfProperty && !partOfProperty.required) ? `*${type}` : type;
const tagged = ({ content, field }) =>
  `${content} \`json:"${field.unconstrainedPropertyName}${field.required ? "" : ",omitempty"}"\``;
const go = new GoGenerator({
  processorOptions,
  presets: [{ struct: { field: tagged } }],
  typeMapping: {
    Boolean: pointer("bool"),
    Float: pointer("float64"),
    Integer: pointer("int64"),
    String: pointer("string"),
    Reference: ({ constrainedModel }) => constrainedModel.name.replace(/OrNull$/, ""), // They are pointers anyhow.
  },
});

const named = ({ modelName }) => !modelName.endsWith("OrNull");
const write = (file, models, form, header = "") =>
  writeFileSync(`${folder}/${file}`, header + models.filter(named).map(form).join("\n"));

(async () => {
  const model = await typescript.process(contract);
  write("contract.ts", await typescript.generate(model), ({ result }) => `export ${result}\n`);
  write("contract.go", await go.generate(model), ({ result }) => `${result}\n`, "package contract\n\n");
})();
