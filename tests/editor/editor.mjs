// What an author sees in an editor: yaml-language-server, driven as VS Code drives it, over the shipped schemas.
//
//     npm install --prefix target/editor yaml-language-server && node tests/editor/editor.mjs
//
// It opens made-up texts under the names of shipped files, each with the schema line, and asserts completions, hover
// text and errors. The exit code is 0 when all of them are as expected.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const prefix = process.env.EDITOR_PREFIX ?? resolve(root, 'target/editor');
const server = createRequire(`${prefix}/package.json`).resolve('yaml-language-server/bin/yaml-language-server');

// --- The protocol ---------------------------------------------------------------------------------------------------

const child = spawn(process.execPath, [server, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
const waiting = new Map();
const diagnostics = new Map();
let next = 1;
let buffer = Buffer.alloc(0);

function send(message) {
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
  child.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
  child.stdin.write(body);
}

function request(method, params) {
  const id = next++;
  send({ id, method, params });
  return new Promise((done, failed) => waiting.set(id, { done, failed }));
}

function receive(message) {
  if (message.method && message.id !== undefined) {
    // The server asks for settings: the defaults will do.
    const result = message.method === 'workspace/configuration' ? message.params.items.map(() => null) : null;
    send({ id: message.id, result });
  } else if (message.method === 'textDocument/publishDiagnostics') {
    diagnostics.set(message.params.uri, message.params.diagnostics);
  } else if (waiting.has(message.id)) {
    const { done, failed } = waiting.get(message.id);
    waiting.delete(message.id);
    message.error ? failed(new Error(message.error.message)) : done(message.result);
  }
}

child.stdout.on('data', (chunk) => {
  buffer = Buffer.concat([buffer, chunk]);
  for (;;) {
    const head = buffer.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(buffer.subarray(0, head).toString())[1]);
    if (buffer.length < head + 4 + length) return;
    receive(JSON.parse(buffer.subarray(head + 4, head + 4 + length).toString()));
    buffer = buffer.subarray(head + 4 + length);
  }
});

// --- What is asked --------------------------------------------------------------------------------------------------

let files = 0;

/** Opens a text as a file beside the shipped ones; `|` marks the cursor. */
async function open(schema, text) {
  const name = `rules/red-spots/${schema === 'case' ? 'cases/' : ''}editor_${files++}.yaml`;
  const uri = pathToFileURL(resolve(root, name)).href;
  const up = schema === 'case' ? '../' : '';
  const line = `# yaml-language-server: $schema=${up}.schema/${schema}.schema.json\n`;
  const at = text.indexOf('|');
  const before = line + (at < 0 ? text : text.slice(0, at));
  const whole = line + text.replace('|', '');
  const lines = before.split('\n');
  send({
    method: 'textDocument/didOpen',
    params: { textDocument: { uri, languageId: 'yaml', version: 1, text: whole } },
  });
  return { textDocument: { uri }, position: { line: lines.length - 1, character: lines.at(-1).length } };
}

const completions = async (schema, text) => {
  const result = await request('textDocument/completion', await open(schema, text));
  return (result.items ?? result).map((item) => item.label);
};

const hover = async (schema, text) => {
  const result = await request('textDocument/hover', await open(schema, text));
  return JSON.stringify(result?.contents ?? '');
};

const errors = async (schema, text) => {
  const { textDocument } = await open(schema, text);
  for (let i = 0; i < 100 && !diagnostics.has(textDocument.uri); i++) await new Promise((done) => setTimeout(done, 50));
  return (diagnostics.get(textDocument.uri) ?? []).map((one) => `${one.range.start.line}: ${one.message}`);
};

let wrong = 0;

function check(what, holds, seen) {
  console.log(`${holds ? 'ok    ' : 'WRONG '} ${what}${holds ? '' : `: ${JSON.stringify(seen)?.slice(0, 600)}`}`);
  if (!holds) wrong++;
}

async function main() {
  await request('initialize', {
    processId: process.pid,
    rootUri: pathToFileURL(root).href,
    capabilities: { textDocument: { hover: { contentFormat: ['markdown'] }, completion: {} } },
  });
  send({ method: 'initialized', params: {} });
  send({
    method: 'workspace/didChangeConfiguration',
    params: { settings: { yaml: { validate: true, completion: true, hover: true, schemaStore: { enable: false } } } },
  });

  let seen = await completions('rules', '|');
  check('sections complete', ['red_flags', 'conditions', 'findings'].every((name) => seen.includes(name)), seen);
  seen = await completions('rules', 'red_flags:\n  - id: a\n    name: a\n    |');
  check('keys of a red flag complete', ['sign', 'floor', 'given'].every((name) => seen.includes(name)), seen);
  seen = await completions('rules', 'red_flags:\n  - id: a\n    floor: |');
  check('a floor completes, without self-care', seen.includes('emergency') && !seen.includes('self_care'), seen);
  seen = await completions('rules', 'red_flags:\n  - id: a\n    sign: |');
  check('findings and definitions complete in `sign`', seen.includes('fever') && seen.includes('strain'), seen);
  seen = await completions('rules', 'definitions:\n  - id: a\n    name: a\n    when:\n      all:\n        - |');
  check('findings complete inside `all`', seen.includes('fever'), seen);
  seen = await completions('rules', 'definitions:\n  - id: a\n    name: a\n    when:\n      finding: count\n      is: |');
  check('options complete for the finding that is compared', seen.includes('many') && !seen.includes('light'), seen);
  seen = await completions('rules', 'conditions:\n  - id: a\n    part_of: |');
  check('conditions complete', seen.includes('cherry_angioma'), seen);
  seen = await completions('case', 'id: a\ntitle: a\nexpect:\n  red_flags:\n    - |');
  check('red flags complete in a case', seen.includes('fever_with_non_blanching_spots'), seen);
  seen = await completions('case', 'id: a\ntitle: a\npresent:\n  - |');
  check('findings complete in a case', seen.includes('fever') && !seen.includes('temperature'), seen);
  seen = await hover('rules', 'red_flags:\n  - id: a\n    fl|oor: urgent\n');
  check('a key explains itself', seen.includes('nothing can lower it'), seen);
  seen = await hover('rules', 'red_flags:\n  - id: a\n    sign: fev|er\n');
  check('a name explains itself', /fever/i.test(seen), seen);

  const flag = 'red_flags:\n  - { id: a, name: a, sign: SIGN, floor: urgent, because: A. }\n';
  seen = await errors('rules', flag.replace('SIGN', 'fever'));
  check('a good file has no errors', seen.length === 0, seen);
  seen = await errors('rules', flag.replace('SIGN', 'fevr'));
  check('a misspelt finding is underlined', seen.length === 1 && seen[0].startsWith('2: '), seen);
  seen = await errors('rules', flag.replace('floor', 'flor'));
  check('a misspelt key is underlined', seen.some((text) => text.includes('flor')), seen);
  seen = await errors('rules', flag.replace('SIGN', '{ all: [fever], any: [itch] }'));
  check('two connectives are underlined', seen.length > 0, seen);
  seen = await errors('rules', flag.replace('SIGN', '{ finding: count, is: lots }'));
  check('an option that is none is underlined', seen.length > 0, seen);
  seen = await errors('case', 'id: a\ntitle: a\nexpect: { top: cherry_angiom }\n');
  check('a misspelt condition in a case is underlined', seen.length > 0, seen);
}

main()
  .catch((error) => check('no exception', false, String(error)))
  .finally(() => {
    child.kill();
    process.exit(wrong ? 1 : 0);
  });
