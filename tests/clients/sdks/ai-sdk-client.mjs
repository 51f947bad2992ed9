/**
 * Asks through the AI SDK and one of its providers: `node ai-sdk-client.mjs PROVIDER PROMPT`. The conversation goes on in
 * conversation.json of the folder that it runs in.
 */
import { execSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { CLIENT_URL: url, CLIENT_KEY: apiKey, CLIENT_MODEL: id, CLIENT_PACKAGES: packages } = process.env;
const [, , provider, prompt] = process.argv;
const FILE = 'conversation.json';

const resolve = createRequire(`${packages}/package.json`).resolve;
const load = (name) => import(pathToFileURL(resolve(name)).href);
const { streamText, tool, jsonSchema, stepCountIs } = await load('ai');

const text = (name) =>
  jsonSchema({ type: 'object', properties: { [name]: { type: 'string' } }, required: [name] });
const tools = {
  read_file: tool({
    description: 'Reads a file.',
    inputSchema: text('path'),
    execute: ({ path }) => readFileSync(path, 'utf8'),
  }),
  run_command: tool({
    description: 'Runs a command.',
    inputSchema: text('command'),
    execute: ({ command }) => execSync(command, { encoding: 'utf8' }),
  }),
  list_files: tool({
    description: 'Lists files.',
    inputSchema: jsonSchema({ type: 'object', properties: {} }),
    execute: () => readdirSync('.').join('\n'),
  }),
};

const baseURL = `${url}/v1`;
const MODELS = {
  openai: async () => (await load('@ai-sdk/openai')).createOpenAI({ baseURL, apiKey })(id),
  'openai-chat': async () => (await load('@ai-sdk/openai')).createOpenAI({ baseURL, apiKey }).chat(id),
  anthropic: async () => (await load('@ai-sdk/anthropic')).createAnthropic({ baseURL, apiKey })(id),
  deepseek: async () => (await load('@ai-sdk/deepseek')).createDeepSeek({ baseURL, apiKey })(id),
  'openai-compatible': async () =>
    (await load('@ai-sdk/openai-compatible')).createOpenAICompatible({ name: 'tollgate', baseURL, apiKey })(
      id,
    ),
  openrouter: async () =>
    (await load('@openrouter/ai-sdk-provider')).createOpenRouter({ baseURL, apiKey }).chat(id),
};

const before = existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : [];
const messages = [...before, { role: 'user', content: prompt }];
let failed = null;
const answer = streamText({
  model: await MODELS[provider](),
  messages,
  tools,
  // The provider for Anthropic's API sends 4,096 for a model that it does not know.
  maxOutputTokens: 20_000,
  stopWhen: stepCountIs(10),
  maxRetries: 0,
  onError({ error }) {
    failed = error;
  },
});
await answer.consumeStream();
if (failed) throw failed;
const steps = await answer.steps;
// A thought that the client does not see is a fault, too; the provider for OpenAI's chat reads no field for it.
if (provider !== 'openai-chat' && !steps.some(({ reasoningText }) => reasoningText)) {
  console.error('no thought was seen');
  process.exitCode = 1;
}
writeFileSync(FILE, JSON.stringify([...messages, ...(await answer.response).messages]));
console.log(await answer.text);
