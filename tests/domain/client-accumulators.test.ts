/**
 * Each official client assembles from our events exactly the engine's answer, with signs of life between all of them. The
 * clients are the packages themselves; only the network is a text.
 */
import { createDeepSeek } from '@ai-sdk/deepseek';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { jsonSchema, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import type { DialectName } from '../../worker/gateway/dialects/index.ts';
import { type AnswerOptions, nodeChunk, streamedText } from './dialect-answer.ts';

interface Said {
  reasoning: string;
  content: string;
  calls: { id: string; name: string; arguments: unknown }[];
  finish: string | null;
}

const call = (index: number, id: string, name: string, args: string) => ({
  index,
  ...{ id, type: 'function' as const, function: { name, arguments: args } },
});
const more = (index: number, args: string) => ({ index, function: { arguments: args } });
const calls = (...deltas: ReturnType<typeof call | typeof more>[]) => nodeChunk({ tool_calls: deltas });

const THOUGHT = [nodeChunk({ reasoning_content: 'Let me ' }), nodeChunk({ reasoning_content: 'think “ß”.' })];
const TEXT = [nodeChunk({ content: 'Four' }), nodeChunk({ content: '. 👍\n' })];

/** Engine streams with what they say. */
const STREAMS: [name: string, chunks: NodeChunk[], said: Said][] = [
  [
    'a thought and a text',
    [...THOUGHT, ...TEXT, nodeChunk({}, 'stop')],
    { reasoning: 'Let me think “ß”.', content: 'Four. 👍\n', calls: [], finish: 'stop' },
  ],
  [
    'a text that is cut off',
    [...TEXT, nodeChunk({}, 'length')],
    { reasoning: '', content: 'Four. 👍\n', calls: [], finish: 'length' },
  ],
  [
    'a thought, a text and a call in pieces',
    [
      ...THOUGHT,
      ...TEXT,
      calls(call(0, 'call_a', 'find', '')),
      calls(more(0, '{"city": "K')),
      calls(more(0, 'öln"}')),
      nodeChunk({}, 'tool_calls'),
    ],
    {
      reasoning: 'Let me think “ß”.',
      content: 'Four. 👍\n',
      calls: [{ id: 'call_a', name: 'find', arguments: { city: 'Köln' } }],
      finish: 'tool_calls',
    },
  ],
  [
    'calls under one index that grow in turn, one of them without arguments, and text between',
    [
      calls(call(0, 'call_a', 'find', '{"city":')),
      calls(call(0, 'call_b', 'now', '')),
      nodeChunk({ content: 'So.' }),
      calls(call(0, 'call_a', 'find', '"Bonn"}')),
      nodeChunk({}, 'tool_calls'),
    ],
    {
      reasoning: '',
      content: 'So.',
      calls: [
        { id: 'call_a', name: 'find', arguments: { city: 'Bonn' } },
        { id: 'call_b', name: 'now', arguments: {} },
      ],
      finish: 'tool_calls',
    },
  ],
];

/** A network whose only answer is a stream of these chunks, in the dialect of a client. */
function network(dialect: DialectName, chunks: NodeChunk[], options: AnswerOptions = {}) {
  return async () => {
    const text = await streamedText(dialect, chunks, { alive: true, ...options });
    return new Response(text, { headers: { 'content-type': 'text/event-stream' } });
  };
}

const messages = [{ role: 'user' as const, content: 'Hello' }];
const connection = { apiKey: 'k', baseURL: 'https://api.test/v1', maxRetries: 0 };

const CLIENTS: Record<string, (chunks: NodeChunk[]) => Promise<Said>> = {
  'openai, chat': async (chunks) => {
    const client = new OpenAI({ ...connection, fetch: network('openaiChat', chunks) });
    const stream = client.chat.completions.stream({ model: 'm', messages });
    // The helper keeps the latest value only of a field that it does not know.
    let reasoning = '';
    stream.on('chunk', ({ choices: [choice] }) => {
      reasoning += (choice?.delta as { reasoning_content?: string } | undefined)?.reasoning_content ?? '';
    });
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0]!;
    const found = (message.tool_calls ?? []).map(
      (each) => each as OpenAI.ChatCompletionMessageFunctionToolCall,
    );
    return {
      reasoning,
      content: message.content ?? '',
      calls: found.map(({ id, function: { name, arguments: args } }) => ({
        ...{ id, name, arguments: JSON.parse(args) },
      })),
      finish: finish_reason,
    };
  },
  'openai, responses': async (chunks) => {
    const client = new OpenAI({ ...connection, fetch: network('openaiResponses', chunks) });
    const { output, incomplete_details, output_text } = await client.responses
      .stream({ model: 'm', input: 'Hello' })
      .finalResponse();
    const found = output.flatMap((item) =>
      item.type === 'function_call'
        ? [{ id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) }]
        : [],
    );
    return {
      reasoning: output
        .flatMap((item) => (item.type === 'reasoning' ? item.summary.map(({ text }) => text) : []))
        .join(''),
      content: output_text,
      calls: found,
      finish: incomplete_details ? 'length' : found.length > 0 ? 'tool_calls' : 'stop',
    };
  },
  anthropic: async (chunks) => {
    const { baseURL: _, ...rest } = connection;
    const client = new Anthropic({ ...rest, fetch: network('anthropicMessages', chunks) });
    const { content, stop_reason } = await client.messages
      .stream({ model: 'm', max_tokens: 100, messages })
      .finalMessage();
    const finishes: Record<string, string> = {
      end_turn: 'stop',
      max_tokens: 'length',
      tool_use: 'tool_calls',
    };
    return {
      reasoning: content.flatMap((block) => (block.type === 'thinking' ? [block.thinking] : [])).join(''),
      content: content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join(''),
      calls: content.flatMap((block) =>
        block.type === 'tool_use' ? [{ id: block.id, name: block.name, arguments: block.input }] : [],
      ),
      finish: finishes[stop_reason!] ?? stop_reason,
    };
  },
  'AI SDK, openai-compatible': (chunks) => {
    const fetch = network('openaiChat', chunks);
    return aiSdk(createOpenAICompatible({ ...connection, name: 'tollgate', fetch })('m'));
  },
  'AI SDK, deepseek': (chunks) =>
    aiSdk(createDeepSeek({ ...connection, fetch: network('openaiChat', chunks) })('m')),
};

async function aiSdk(model: Parameters<typeof streamText>[0]['model']): Promise<Said> {
  const inputSchema = jsonSchema({ type: 'object' });
  const tools = { find: tool({ inputSchema }), now: tool({ inputSchema }) };
  const result = streamText({ model, messages, tools, maxRetries: 0 });
  const [reasoning, content, found, finish] = await Promise.all([
    result.reasoningText,
    result.text,
    result.toolCalls,
    result.finishReason,
  ]);
  return {
    reasoning: reasoning ?? '',
    content,
    calls: found.map(({ toolCallId, toolName, input }) => ({
      ...{ id: toolCallId, name: toolName, arguments: input },
    })),
    finish: finish === 'tool-calls' ? 'tool_calls' : finish,
  };
}

describe.each(Object.entries(CLIENTS))('%s', (_, read) => {
  it.each(STREAMS)('assembles %s', async (_, chunks, said) => {
    expect(await read(chunks)).toEqual(said);
  });
});

it('openai, completions, reads a text', async () => {
  const client = new OpenAI({
    ...connection,
    fetch: network('openaiCompletions', [...TEXT, nodeChunk({}, 'stop')]),
  });
  let text = '';
  const stream = await client.completions.create({ model: 'm', prompt: 'Hello', stream: true });
  for await (const { choices } of stream) text += choices[0]?.text ?? '';
  expect(text).toBe('Four. 👍\n');
});
