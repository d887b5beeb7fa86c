// The TextMate grammar in the engine that VS Code runs: each line of the example, each word with its scope.
// `npm test`; with files as arguments: no word of them may be without a scope.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const oniguruma = require("vscode-oniguruma");
const { INITIAL, Registry, parseRawGrammar } = require("vscode-textmate");

const GRAMMAR = path.join(__dirname, "..", "syntaxes", "tax.tmLanguage.json");

async function loadGrammar() {
  const wasm = path.join(path.dirname(require.resolve("vscode-oniguruma")), "onig.wasm");
  await oniguruma.loadWASM(fs.readFileSync(wasm).buffer);
  const registry = new Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => parseRawGrammar(fs.readFileSync(GRAMMAR, "utf8"), GRAMMAR),
  });
  return registry.loadGrammar("source.tax");
}

/** [text, innermost scope] of every stretch that is not white space. */
function* scopes(grammar, text) {
  let stack = INITIAL;
  for (const line of text.split(/\r?\n/)) {
    const result = grammar.tokenizeLine(line, stack);
    stack = result.ruleStack;
    for (const token of result.tokens) {
      const value = line.slice(token.startIndex, token.endIndex).trim();
      if (value) yield [value, token.scopes.at(-1).replace(/\.tax$/, "")];
    }
  }
}

const KEYWORD = "keyword.control", NAME = "entity.name.type.class", TARGET = "variable.other.class";
const OP = "keyword.operator", NOTE = "comment.line.number-sign", COLOUR = "constant.other.color.rgb-value";
const ID = "constant.numeric.integer", TAXON = "entity.name.namespace", VERSION = "constant.numeric.version";
const STRING = "string.quoted.double", GROUP = "entity.name.section", KEY = "support.type.property-name";
const COLON = "punctuation.separator.key-value", VALUE = "string.unquoted", ANY = "constant.language";
const COMMA = "punctuation.separator", ALIAS = "variable.other.alias", AKA = "keyword.other.aka";
const OPEN = "punctuation.definition.group.begin", CLOSE = "punctuation.definition.group.end";

const EXAMPLE = [
  ["tax 1  # the edition", ["tax", KEYWORD], ["1", ID], ["# the edition", NOTE]],
  ["dataset field v2 -> cityscapes v1.1",
    ["dataset", KEYWORD], ["field", TAXON], ["v2", VERSION], ["->", OP], ["cityscapes", TAXON], ["v1.1", VERSION]],
  ["extends base v1", ["extends", KEYWORD], ["base", TAXON], ["v1", VERSION]],
  ["title:    Off-road #1 set", ["title", KEY], [":", COLON], ["Off-road #1 set", VALUE]],
  ["void:     255  # raw values", ["void", KEY], [":", COLON], ["255", VALUE], ["# raw values", NOTE]],
  ["[ground.hard]", ["[", OPEN], ["ground.hard", GROUP], ["]", CLOSE]],
  ["3  gravel  #786450  ~ road terrain void  # loose",
    ["3", ID], ["gravel", NAME], ["#786450", COLOUR], ["~", OP], ["road", TARGET], ["terrain", TARGET], ["void", ANY],
    ["# loose", NOTE]],
  ["6,7 woody #006400 aka bush \"big tree\" < vegetation",
    ["6", ID], [",", COMMA], ["7", ID], ["woody", NAME], ["#006400", COLOUR], ["aka", AKA], ["bush", ALIAS],
    ['"big tree"', STRING], ["<", OP], ["vegetation", TARGET]],
  ['9 pickup "pick-up" > truck', ["9", ID], ["pickup", NAME], ['"pick-up"', STRING], [">", OP], ["truck", TARGET]],
  ["     ~ car void  # quads", ["~", OP], ["car", TARGET], ["void", ANY], ["# quads", NOTE]],
  ["12..14 obstacle -> any ! @flat",
    ["12", ID], ["..", COMMA], ["14", ID], ["obstacle", NAME], ["->", OP], ["any", ANY], ["!", OP], ["@flat", GROUP]],
  ["-  tunnel  -> void", ["-", "constant.language.never"], ["tunnel", NAME], ["->", OP], ["void", ANY]],
  ["map idd v2 -> cityscapes v1",
    ["map", KEYWORD], ["idd", TAXON], ["v2", VERSION], ["->", OP], ["cityscapes", TAXON], ["v1", VERSION]],
  ["source_road  < road", ["source_road", NAME], ["<", OP], ["road", TARGET]],
  ['"Road, paved"  = "asphalt road"', ['"Road, paved"', STRING], ["=", OP], ['"asphalt road"', STRING]],
  ["0 road #804", ["0", ID], ["road", NAME], ["#804", "invalid.illegal"]],
];

async function main(files) {
  const grammar = await loadGrammar();
  const text = EXAMPLE.map(([line]) => line).join("\n");
  const expected = EXAMPLE.flatMap(([, ...tokens]) => tokens);
  assert.deepEqual([...scopes(grammar, text)], expected);
  for (const file of files) {
    const bare = [...scopes(grammar, fs.readFileSync(file, "utf8").replace(/^\ufeff/, ""))]
      .filter(([value, scope]) => (scope === "source" && value !== ",") || scope.startsWith("invalid"));
    assert.deepEqual(bare, [], file);
  }
  console.log(`grammar: ${expected.length} scopes and ${files.length} files as expected`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message ?? error);
  process.exitCode = 1;
});
