/** SDKs, each as a program of a few lines that asks with tools until the model has answered, and keeps its conversation in a file. */
import { join } from 'node:path';
import type { Client } from '../client.ts';

const here = (file: string) => join(import.meta.dirname, file);

/** The tools that every program offers. */
const TOOLS: Client['tools'] = {
  readFile: (path) => ({ name: 'read_file', arguments: { path } }),
  runCommand: (command) => ({ name: 'run_command', arguments: { command } }),
  withoutArguments: () => ({ name: 'list_files', arguments: {} }),
  readImage: () => null,
  recovers: 'not by itself',
};

const WITHOUT = {
  'image-in-message': 'The program sends texts.',
  overflow: 'A program has to shorten its conversation itself.',
};

function program(
  name: string,
  { of, command, file, api }: { of: string; command: string; file: string; api: string },
): Client {
  return {
    name,
    package: of,
    tools: TOOLS,
    without: WITHOUT,
    ask: ({ installed, url, apiKey, model }, { prompt }) => ({
      command: command === 'node' ? process.execPath : join(installed, command),
      args: [here(file), api, prompt],
      env: { CLIENT_URL: url, CLIENT_KEY: apiKey, CLIENT_MODEL: model, CLIENT_PACKAGES: installed },
      // Some packages write on the same output before.
      says: (stdout) => stdout.trim().split('\n').at(-1) ?? '',
    }),
  };
}

const python = (name: string, of: string, api: string): Client =>
  program(name, { of, command: 'venv/bin/python', file: 'python_client.py', api });
const aiSdk = (name: string, of: string, api: string): Client =>
  program(name, { of, command: 'node', file: 'ai-sdk-client.mjs', api });

export const SDKS: readonly Client[] = [
  python('openai-python-chat', 'openai', 'openai_chat'),
  python('openai-python-responses', 'openai', 'openai_responses'),
  python('anthropic-python', 'anthropic', 'anthropic_messages'),
  python('litellm', 'litellm', 'litellm_chat'),
  python('langchain-openai', 'langchain-openai', 'langchain_openai_chat'),
  python('langchain-openai-responses', 'langchain-openai', 'langchain_openai_responses'),
  python('langchain-deepseek', 'langchain-deepseek', 'langchain_deepseek_chat'),
  python('pydantic-ai', 'pydantic-ai-slim', 'pydantic_ai_chat'),
  python('pydantic-ai-responses', 'pydantic-ai-slim', 'pydantic_ai_responses'),
  python('pydantic-ai-anthropic', 'pydantic-ai-slim', 'pydantic_ai_anthropic'),
  aiSdk('ai-sdk-openai', '@ai-sdk/openai', 'openai'),
  aiSdk('ai-sdk-openai-chat', '@ai-sdk/openai', 'openai-chat'),
  aiSdk('ai-sdk-anthropic', '@ai-sdk/anthropic', 'anthropic'),
  aiSdk('ai-sdk-deepseek', '@ai-sdk/deepseek', 'deepseek'),
  aiSdk('ai-sdk-openai-compatible', '@ai-sdk/openai-compatible', 'openai-compatible'),
  aiSdk('openrouter-provider', '@openrouter/ai-sdk-provider', 'openrouter'),
];
