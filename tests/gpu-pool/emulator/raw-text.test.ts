/** Raw text of the emulator: calls of every family that the agent parses, in its own format, as a real engine leaves them. */
import { afterEach, describe, expect, it } from 'vitest';
import { toEngineRequest } from '../../../gpu-pool/agent/sglang/request.ts';
import { StreamReader } from '../../../gpu-pool/agent/sglang/stream.ts';
import { wantedAnswer } from '../../../gpu-pool/agent/sglang/wanted.ts';
import { type Emulator, startEmulator } from '../../../gpu-pool/emulator/server.ts';
import { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import { SALT, textOf } from '../agent/helpers.ts';

const running: Emulator[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

const TOOLS = ['get_weather', 'get_time'].map((name) => ({
  type: 'function',
  function: {
    name,
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' }, exact: { type: 'boolean' } },
      required: ['city', 'days', 'exact'],
    },
  },
}));

async function answerOf(parsers: { reasoning: string; tools: string }, fields: object) {
  const emulator = await startEmulator({
    profile: '8xh200',
    reasoningParser: parsers.reasoning,
    toolCallParser: parsers.tools,
  });
  running.push(emulator);
  const engine = { url: new URL(emulator.url) };
  const content = 'Weather and time, please. [tool] [[reasoning=20 tools=2]]';
  const request = GenerateRequest.parse({
    messages: [{ role: 'user', content }],
    tools: TOOLS,
    max_tokens: 2_000,
    cache_salt: SALT,
    ...fields,
  });
  const modelPath = 'deepseek-ai/DeepSeek-R1-0528';
  const wanted = await wantedAnswer(engine, request, { parsers, modelPath });
  if ('code' in wanted) throw new Error(wanted.message);
  const asked = { rid: 'req_1', modelPath, wanted: { ...wanted, engineBudget: null } };
  const { path, body } = toEngineRequest(request, asked);
  const response = await fetch(`${emulator.url}${path}`, { method: 'POST', body: JSON.stringify(body) });
  const reader = new StreamReader({
    choices: 1,
    maxTokens: 2_000,
    json: false,
    stop: [],
    newCallId: () => 'call',
    onChoiceId: () => {},
    onAnomaly: (kind) => expect(kind).toBe('never'),
  });
  reader.readAs(wanted.format);
  const chunks = (await response.text()).split('\n\n').flatMap((event) => {
    if (!event.startsWith('data: {')) return [];
    const result = reader.read(event.slice(6));
    if (result.kind !== 'chunk') throw new Error(`${result.kind}: ${event}`);
    return result.chunk ?? [];
  });
  const deltas = chunks.flatMap(({ choices }) => choices.flatMap(({ delta }) => delta.tool_calls ?? []));
  const calls: { name: string | undefined; json: string }[] = [];
  for (const { index, function: call } of deltas) {
    calls[index] ??= { name: call.name, json: '' };
    calls[index].json += call.arguments ?? '';
  }
  return {
    wanted,
    sent: body,
    calls: calls.map(({ name, json }) => ({ name, arguments: JSON.parse(json) as unknown })),
    content: textOf(chunks),
    reasoning: textOf(chunks, 'reasoning_content'),
    finish: chunks.flatMap(({ choices }) => choices.map(({ finish_reason }) => finish_reason)).at(-1),
    usage: reader.usage,
  };
}

const FAMILIES = [
  ['deepseek-r1', 'deepseekv3'],
  ['deepseek-v3', 'deepseekv31'],
  ['deepseek-v3', 'deepseekv32'],
  ['qwen3', 'qwen'],
  ['qwen3', 'qwen3_coder'],
  ['glm45', 'glm45'],
  ['kimi_k2', 'kimi_k2'],
] as const;

const ARGUMENTS = { city: expect.any(String), days: expect.any(Number), exact: expect.any(Boolean) };

describe.each(FAMILIES)('calls of %s and %s', (reasoning, tools) => {
  it.each([
    ['auto', undefined, ['get_weather', 'get_time']],
    ['required', 'required', ['get_weather', 'get_time']],
    ['named', { type: 'function', function: { name: 'get_time' } }, ['get_time']],
  ])('are taken out of the text: %s', async (_, tool_choice, names) => {
    const answer = await answerOf({ reasoning, tools }, { tool_choice });
    expect(answer.wanted.format?.parsers).toEqual({ reasoning, tools });
    expect(answer.sent).not.toHaveProperty('tools');
    const called = answer.calls.map(({ name }) => name);
    // A JSON list is sampled from its schema, and can name any of the tools.
    if (answer.wanted.format?.calls?.list) for (const name of called) expect(names).toContain(name);
    else expect(called).toEqual(names);
    expect(called.length).toBeGreaterThan(0);
    for (const call of answer.calls) expect(call.arguments).toEqual(ARGUMENTS);
    expect([answer.content.trim(), answer.finish]).toEqual(['', 'tool_calls']);
    expect(answer.reasoning).toMatch(/^Okay, let me think about this\./);
    expect(answer.usage.reasoning_tokens).toBe(20);
  });

  it('stay text where the request has no tools, as does an answer without calls', async () => {
    const answer = await answerOf({ reasoning, tools }, { tool_choice: 'none' });
    expect(answer.calls).toEqual([]);
    expect(answer.content).toMatch(/^Here is the answer\./);
    expect(answer.finish).toBe('stop');
  });
});
