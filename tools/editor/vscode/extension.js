// Starts `lsu-onto lsp` and hands .tax files to it. What the language means is known there and nowhere else.
"use strict";

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

/** @type {LanguageClient | undefined} */
let client;

/** The program of the setting, with `${workspaceFolder}` filled in. */
function command() {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
  const setting = vscode.workspace.getConfiguration("lsu-tax").get("command", "lsu-onto");
  return setting.replaceAll("${workspaceFolder}", folder);
}

async function start() {
  const program = command();
  const cwd = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  client = new LanguageClient(
    "lsu-tax",
    "Tax",
    { command: program, args: ["lsp"], options: { cwd } }, // no transport: standard input and output, without a flag
    { documentSelector: [{ language: "tax" }] },
  );
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    const choice = await vscode.window.showErrorMessage(
      `\`${program} lsp\` does not start: ${error instanceof Error ? error.message : error}. ` +
        "Install it with `pip install '.[lsp]'` at the root of the repository, or say in the setting `lsu-tax.command` where it is.",
      "Open the setting",
    );
    if (choice) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "lsu-tax.command");
    }
  }
}

async function stop() {
  const running = client;
  client = undefined;
  await running?.stop();
}

async function restart() {
  await stop();
  await start();
}

/** @param {vscode.ExtensionContext} context */
async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("lsu-tax.restart", restart),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("lsu-tax.command")) {
        return restart();
      }
    }),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
