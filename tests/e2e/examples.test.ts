/** Runs every example as it is shown, against a local Tollgate. docs/api.md must show the same text. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKey, PortalSession } from '../../gpu-pool/local/portal-session.ts';
import type { Example } from '../../worker/examples/example.ts';
import { examples } from '../../worker/examples/examples.ts';
import { type Local, startLocal } from './local.ts';

const ROOT = join(import.meta.dirname, '../..');
/** A question with a quote and a backslash, which examples must escape. */
const QUESTION = `What's "6 × 7" in C:\\maths? [[reasoning=12 answer=12]]`;
const MODEL = 'deepseek-r1-0528';
/** The longest wait for the package index, which is not under test. */
const PIP_MS_MAX = 60_000;

let local: Local;
let folder: string;
beforeAll(async () => {
  local = await startLocal();
  folder = mkdtempSync(join(tmpdir(), 'tollgate-examples-'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await local.end();
});

function exampleOf(id: string, key: string | null): Example {
  const baseUrl = `${local.stack.dev.baseUrl}/v1`;
  return examples({ baseUrl, model: MODEL, question: QUESTION, key }).find((each) => each.id === id)!;
}

/** Where the key is: inside the example's text, or in the environment. */
const KEYS = ['inside', 'in the environment'] as const;

async function run(id: string, keyIs: (typeof KEYS)[number], command: string, name: string): Promise<string> {
  const { apiKey } = local.stack.dev;
  const { code } = exampleOf(id, keyIs === 'inside' ? apiKey : null);
  const file = join(folder, name);
  writeFileSync(file, code);
  const child = spawn(command, [file], {
    cwd: folder,
    env: { ...process.env, ...(keyIs === 'inside' ? {} : { TOLLGATE_API_KEY: apiKey }) },
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const exitCode = await new Promise((resolve) => child.on('close', resolve));
  expect({ code: exitCode, errors: exitCode === 0 ? '' : errors }).toEqual({ code: 0, errors: '' });
  return output;
}

const THOUGHT = /let me think/;
const ANSWER = /the answer/;

describe.each(KEYS)('with the key %s', (keyIs) => {
  it('curl runs', async () => {
    const { choices } = JSON.parse(await run('curl', keyIs, 'bash', 'example.sh')) as OpenAI.ChatCompletion;
    expect(choices[0]!.message).toMatchObject({
      reasoning_content: expect.stringMatching(THOUGHT),
      content: expect.stringMatching(ANSWER),
    });
  });

  it.each(['node', 'langchain', 'ai-sdk', 'anthropic'])('%s runs', async (id) => {
    const output = await run(id, keyIs, process.execPath, `${id}.mjs`);
    expect(output).toMatch(THOUGHT);
    expect(output).toMatch(ANSWER);
  });

  it('python runs, where there is one', async (context) => {
    const python = pythonWithOpenai();
    if (typeof python === 'object') return context.skip(`the example in Python was not run: ${python.why}`);
    const output = await run('python', keyIs, python, 'example.py');
    expect(output).toMatch(THOUGHT);
    expect(output).toMatch(ANSWER);
  });
});

let found: string | { why: string } | undefined;

/** A Python with the package openai: the system's, or one in a virtual environment. */
function pythonWithOpenai(): string | { why: string } {
  found ??= findPython();
  return found;
}

function findPython(): string | { why: string } {
  const works = (python: string) => spawnSync(python, ['-c', 'import openai']).status === 0;
  if (works('python3')) return 'python3';
  const home = join(folder, 'venv');
  if (spawnSync('python3', ['-m', 'venv', home]).status !== 0)
    return { why: 'there is no python3 with venv' };
  const python = join(home, 'bin/python');
  spawnSync(python, ['-m', 'pip', 'install', '--quiet', 'openai'], { timeout: PIP_MS_MAX });
  return works(python) ? python : { why: 'the package openai could not be installed' };
}

/** Checks that the settings reach the API; the tools themselves are interactive programs. */
describe('the settings of', () => {
  async function asks(settings: { baseURL: string; apiKey: string; model: string }): Promise<void> {
    const { baseURL, apiKey, model } = settings;
    const client = new OpenAI({ baseURL, apiKey });
    const answer = await client.chat.completions.create({
      model,
      messages: [{ role: 'user', content: QUESTION }],
    });
    expect(answer.choices[0]!.message.content).toMatch(ANSWER);
  }

  it('opencode reach the API', async () => {
    const { provider } = JSON.parse(exampleOf('opencode', local.stack.dev.apiKey).code) as {
      provider: { tollgate: { options: { baseURL: string; apiKey: string }; models: object } };
    };
    const { options, models } = provider.tollgate;
    await asks({ ...options, model: Object.keys(models)[0]! });
  });

  it('Cline reach the API', async () => {
    const lines = exampleOf('cline', local.stack.dev.apiKey).code.split('\n');
    const setting = (name: string) =>
      lines.find((line) => line.startsWith(`${name}: `))!.slice(name.length + 2);
    await asks({ baseURL: setting('Base URL'), apiKey: setting('API Key'), model: setting('Model ID') });
  });
});

it('the command of docs/api.md sets an alias, by which a model then answers', async () => {
  const { dev } = local.stack;
  const session = new PortalSession(dev.baseUrl);
  await session.signInOrSignUp({ ...dev.portal, name: 'Ada' });
  const manager = await createKey(session, { name: 'manager', scope: 'management' });
  const document = readFileSync(join(ROOT, 'docs/api.md'), 'utf8');
  const command = document.match(/```sh\n(curl -X PUT [^`]+\/v1\/aliases\/([\w.-]+)[^`]+)```/);
  const [, code = '', name = ''] = command ?? [];
  const env = { ...process.env, TOLLGATE_URL: dev.baseUrl, TOLLGATE_MANAGEMENT_KEY: manager };
  const { stdout, stderr } = spawnSync('bash', ['-c', code], { encoding: 'utf8', env });
  expect({ stderr: '', ...JSON.parse(stdout || `{"stderr": ${JSON.stringify(stderr)}}`) }).toMatchObject({
    ...{ id: name, object: 'alias', model: MODEL, effort: 'low' },
  });
  const client = new OpenAI({ baseURL: `${dev.baseUrl}/v1`, apiKey: dev.apiKey, maxRetries: 0 });
  const ask = () =>
    client.chat.completions.create({ model: name, messages: [{ role: 'user', content: QUESTION }] });
  // an isolate may have the record of the key from before
  await expect.poll(async () => (await ask().catch(() => null))?.model, { interval: 500 }).toBe(MODEL);
});

it('docs/api.md shows all examples unchanged, and the README the first', () => {
  const document = readFileSync(join(ROOT, 'docs/api.md'), 'utf8');
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const baseUrl = 'http://localhost:8787/v1';
  const question = 'How many primes are below 100?';
  const shown = examples({ baseUrl, model: MODEL, question, key: null });
  for (const { name, code } of shown) expect(document.includes(code), name).toBe(true);
  expect(readme).toContain(shown[0]!.code);
});
