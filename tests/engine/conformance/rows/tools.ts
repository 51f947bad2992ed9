/** Tools: calls, their deltas, and their schemas. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Assumption, verdict, withoutFaults } from '../assumption.ts';
import { choicesOf, finishOf } from '../direct-engine.ts';
import { freshSalt, freshWord, user } from '../prompts.ts';
import type { Subject } from '../subject.ts';

const STREAM = 'gpu-pool/agent/sglang/stream.ts';
const CHAT = 'gpu-pool/emulator/request.ts';

export const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city.',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } },
      required: ['city'],
      additionalProperties: false,
    },
  },
} as const;

const TRIES = 3;

/** Streams an answer with a call; another one where the thought took all tokens. */
async function called({ engine }: Subject, toolChoice: unknown) {
  for (let tries = 0; ; tries++) {
    const { chunks } = await engine.stream({
      messages: user(`${freshWord()} What is the weather in Paris? [tool] [[reasoning=20]]`),
      tools: [WEATHER],
      tool_choice: toolChoice,
      max_tokens: 1_000,
      cache_salt: freshSalt(),
    });
    const finish = finishOf(chunks)?.finish_reason;
    if (finish !== 'length' || tries === TRIES) return { chunks, finish };
  }
}

const call = (id: string, argumentsText: string) => [
  { role: 'user', content: 'The weather?' },
  {
    role: 'assistant',
    content: '',
    tool_calls: [{ id, type: 'function', function: { name: 'get_weather', arguments: argumentsText } }],
  },
  { role: 'tool', tool_call_id: id, content: 'Sunny.' },
];

export const TOOLS: readonly Assumption[] = [
  ...(['required', { type: 'function', function: { name: 'get_weather' } }] as const).map(
    (choice): Assumption => ({
      id: `tools/${typeof choice === 'string' ? choice : 'named'}`,
      says: `a call that is ${typeof choice === 'string' ? choice : 'named'} arrives as deltas: first id and name, then pieces of its arguments, which are JSON; the answer ends with "tool_calls"`,
      madeBy: [STREAM, 'gpu-pool/emulator/openai-shape.ts'],
      async check(subject) {
        const { chunks, finish } = await called(subject, choice);
        const deltas = choicesOf(chunks).flatMap(({ delta }) => delta?.tool_calls ?? []);
        const [first] = deltas;
        const written = deltas.map((delta) => delta.function?.arguments ?? '').join('');
        const seen = `${first?.id ? 'id' : 'no id'} ${first?.function?.name}, ${isObject(written) ? 'an object' : written}, ${finish}`;
        return verdict('id get_weather, an object, tool_calls', seen);
      },
    }),
  ),
  {
    id: 'tools/none',
    says: 'with tool_choice "none" the prompt has no tools',
    madeBy: [CHAT],
    async check({ engine }) {
      const messages = user('Hello.');
      const [without, none, auto] = await Promise.all([
        engine.tokenize({ messages }),
        engine.tokenize({ messages, tools: [WEATHER], tool_choice: 'none' }),
        engine.tokenize({ messages, tools: [WEATHER] }),
      ]);
      return verdict(
        'as many tokens as without tools, and fewer than with',
        `${without.count} without, ${none.count} with none, ${auto.count} with auto`,
        without.count === none.count && auto.count > none.count,
      );
    },
  },
  {
    id: 'tools/bad-schema',
    says: 'a tool whose schema is none is refused with 400',
    madeBy: [CHAT, 'gpu-pool/agent/sglang/engine-error.ts'],
    async check({ engine }) {
      const bad = {
        type: 'function',
        function: { name: 'f', parameters: { type: 'object', required: 'city' } },
      };
      const { status } = await engine.whole({ messages: user('Hi'), tools: [bad], max_tokens: 2 });
      return verdict('400', String(status));
    },
  },
  {
    id: 'tools/history',
    says: 'arguments of earlier calls must be a JSON object; everything else is refused with 400',
    madeBy: [CHAT, 'gpu-pool/agent/sglang/engine-error.ts', 'worker/domain/engine-text.ts'],
    async check({ engine }) {
      const texts = ['{}', '{"city": "Paris"}', '', '{"city": "Par', '[1]', '"Paris"'];
      const faults: string[] = [];
      for (const [at, text] of texts.entries()) {
        const { status } = await engine.whole({ messages: call(`call_${at}`, text), max_tokens: 2 });
        const expected = at < 2 ? 200 : 400;
        if (status !== expected) faults.push(`${JSON.stringify(text)}: ${status}`);
        await sleep(0);
      }
      return withoutFaults('two taken, four refused', faults);
    },
  },
  {
    id: 'tools/unknown-name',
    says: 'a tool that is named and not given is refused with 400',
    madeBy: [CHAT],
    async check({ engine }) {
      const { status } = await engine.whole({
        messages: user('Hi'),
        tools: [WEATHER],
        tool_choice: { type: 'function', function: { name: 'other' } },
        max_tokens: 2,
      });
      return verdict('400', String(status));
    },
  },
];

export function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
