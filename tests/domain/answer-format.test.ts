/** The form of an answer reaches the agent whole: as JSON, in which the agent's schema knows every field. */
import { expect, it } from 'vitest';
import { AnswerFormat } from '../../gpu-pool/protocol/schemas.ts';
import { type AnswerHead, answerFormat } from '../../worker/gateway/dialects/dialect.ts';
import type { DialectName } from '../../worker/gateway/dialects/index.ts';
import { readDialectRequest } from './dialect-request.ts';

const HEAD = { requestId: 'req_1', createdAtMs: 1_700_000_000_123, modelId: 'm', revision: 'r' };

/** The form as the agent reads it; a field that its schema does not know would be missing. */
async function formOf(name: DialectName, body: object, turn?: { secret: string | null }) {
  const dialectRequest = await readDialectRequest(name, body);
  const { ignored } = dialectRequest.request;
  const head = { ...HEAD, ignored, ...(turn && { turn: { previousResponseId: null, ...turn } }) };
  const sent: unknown = JSON.parse(JSON.stringify(answerFormat(dialectRequest, head as AnswerHead)));
  const read = AnswerFormat.parse(sent);
  expect(read).toEqual(sent);
  return read;
}

const custom = { type: 'custom', custom: { name: 'patch' } };
const sum = { type: 'function', function: { name: 'sum', parameters: { type: 'object' } } };

it.each([
  ['openaiChat', {}, { dialect: 'chat', stream: false, choices: 1 }],
  ['openaiChat', { stream: true, n: 3 }, { stream: true, choices: 3 }],
  ['openaiChat', { stream_options: { include_usage: true } }, { include_usage: true }],
  ['openaiChat', { tools: [custom, sum] }, { custom_tools: ['patch'] }],
  ['openaiChat', { functions: [{ name: 'sum' }] }, { legacy_calls: true, calls_max: 1 }],
  ['openaiChat', { tools: [sum], parallel_tool_calls: false }, { calls_max: 1 }],
  ['openaiChat', { reasoning: { exclude: true } }, { exclude_reasoning: true }],
  ['openaiChat', { web_search_options: { a: 1 } }, { head: { ignored: ['web_search_options'] } }],
  ['openaiCompletions', {}, { dialect: 'completions' }],
  ['openaiCompletions', { echo: true, prompt: 'Once' }, { prefix: 'Once' }],
  ['openaiCompletions', { stream_options: { include_usage: true } }, { include_usage: true }],
  ['anthropicMessages', { stream: true }, { dialect: 'messages', stream: true }],
] as const)('%s %j', async (name, body, expected) => {
  expect(await formOf(name, body)).toMatchObject(expected);
});

it('of a response has the fields that it repeats, and the tools that the model knows otherwise', async () => {
  const namespaced = { type: 'namespace', name: 'fs', tools: [{ type: 'function', name: 'read' }] };
  const plain = { type: 'function', name: 'sum', parameters: { type: 'object' }, strict: true };
  const body = {
    instructions: 'Be brief.',
    tools: [plain, { type: 'custom', name: 'patch' }, namespaced, { type: 'web_search' }],
    include: ['reasoning.encrypted_content'],
    metadata: { a: 'b' },
    temperature: 0.5,
    text: { format: { type: 'json_schema', name: 'x', schema: { type: 'object' } } },
    tool_choice: { type: 'function', name: 'sum' },
  };
  expect(await formOf('openaiResponses', body, { secret: 's' })).toMatchObject({
    dialect: 'responses',
    head: { turn: { previous_response_id: null, secret: 's' }, ignored: ['tools[].web_search'] },
    repeated: {
      instructions: 'Be brief.',
      metadata: { a: 'b' },
      temperature: 0.5,
      text: { format: { type: 'json_schema', name: 'x' } },
      tool_choice: { type: 'function', name: 'sum' },
      tools: [plain, { type: 'custom', name: 'patch' }, { type: 'namespace', name: 'fs' }],
    },
    tool_forms: [
      { called: 'patch', kind: 'custom', name: 'patch' },
      { called: 'fs__read', kind: 'function', name: 'read', namespace: 'fs' },
    ],
    streams_thought: true,
    encrypted_thought: true,
  });
  const summarized = await formOf('openaiResponses', { reasoning: { summary: 'auto' } });
  expect(summarized).not.toHaveProperty('streams_thought');
});
