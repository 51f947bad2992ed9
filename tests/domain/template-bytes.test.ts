import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { promptPieces } from '../../gpu-pool/emulator/tokenizer.ts';
import type { ChatMessage, GenerateRequest } from '../../gpu-pool/protocol/schemas.ts';
import { promptTokenBounds } from '../../worker/domain/hold.ts';
import { rendered } from '../../worker/gateway/rendered.ts';
import { R1_RULES } from '../model-profiles.ts';

type Tools = NonNullable<GenerateRequest['tools']>;

/** The most tokens that a prompt can be as the engine renders it: its bytes, and one for each special token. */
function tokensMost(messages: ChatMessage[], tools: Tools): number {
  return promptPieces(messages, { tools, reasoning: true }).reduce(
    (sum, piece) => sum + ('special' in piece ? 1 : Buffer.byteLength(piece.text)),
    0,
  );
}

function boundOf(messages: ChatMessage[], tools: Tools): number {
  const { contentBytes, templateBytes } = rendered({ messages, tools }, R1_RULES);
  return promptTokenBounds(contentBytes, messages.length, templateBytes).max;
}

const tool = (name: string, more: object = {}) => ({
  type: 'function' as const,
  function: { name, ...more },
});
const call = (args: string): ChatMessage => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: args } }],
});
const user: ChatMessage = { role: 'user', content: 'hi' };

/** Numbers in every notation of JSON, which Python writes in its own. */
const anyNumber = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.integer(), fc.integer({ min: -320, max: 308 })).map(([n, e]) => `${n}e${e}`),
  fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map(String),
);
const anyArguments = fc.oneof(
  fc.array(anyNumber, { maxLength: 50 }).map((numbers) => `{"a":[${numbers.join(',')}]}`),
  fc.json({ maxDepth: 4 }),
  fc.string({ unit: 'binary' }).map((text) => JSON.stringify({ text })),
);
const anyText = fc.string({ unit: 'grapheme', maxLength: 200 });
const anyMessage: fc.Arbitrary<ChatMessage> = fc.oneof(
  fc.record({ role: fc.constantFrom('system' as const, 'user' as const), content: anyText }),
  fc.record({ role: fc.constant('tool' as const), content: anyText, tool_call_id: fc.string() }),
  anyArguments.map(call),
);
const anyTool = fc
  .tuple(fc.string(), fc.option(fc.jsonValue({ maxDepth: 4 }), { nil: undefined }), fc.option(fc.string()))
  .map(([name, parameters, description]) => tool(name, { parameters, description }));

describe('the bound of a prompt', () => {
  it('covers whatever the engine renders of a request: its template, its tools and its arguments', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { minLength: 1, maxLength: 8 }),
        fc.array(anyTool, { maxLength: 8 }),
        (messages, tools) => {
          expect(tokensMost(messages, tools)).toBeLessThanOrEqual(boundOf(messages, tools));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it.each<[string, ChatMessage[], Tools]>([
    ['a tool of which only the name is given', [user], [tool('f')]],
    ['as many tools as are allowed', [user], Array.from({ length: 128 }, () => tool('f'))],
    [
      'lists of digits, each behind a comma',
      [user],
      [tool('f', { parameters: { enum: Array(9_999).fill(1) } })],
    ],
    ['arguments of digits', [call(`{"a":[${Array(9_999).fill(1)}]}`)], []],
    ['arguments whose numbers grow', [call(`{"a":[${Array(999).fill('1e15')}]}`)], []],
    ['arguments of integers past 64 bits', [call(`{"a":[${Array(999).fill(2n ** 64n)}]}`)], []],
    ['many calls of one message', [call('{}'), call('{}')], []],
  ])('covers %s', (_, messages, tools) => {
    expect(tokensMost(messages, tools)).toBeLessThanOrEqual(boundOf(messages, tools));
  });

  it('leaves room for the sentence that V3’s template puts before the results of calls', () => {
    const sentence =
      'Use the results below to formulate an answer to the user question unless additional information is needed.';
    const result: ChatMessage = { role: 'tool', content: '', tool_call_id: '' };
    for (const turns of [0, 1, 99]) {
      const messages = [result, ...Array.from({ length: turns }, () => [call('{}'), result]).flat()];
      const most = tokensMost(messages, []) + (1 + turns) * sentence.length;
      expect(most).toBeLessThanOrEqual(boundOf(messages, []));
    }
  });

  it('adds nothing for a conversation without tools, and a text has no template', () => {
    expect(rendered({ messages: [user], tools: [] }, R1_RULES).templateBytes).toBe(0);
    expect(rendered({ prompt: '{"a":1,"b":2}' }, R1_RULES).templateBytes).toBe(0);
  });

  it('counts every comma, colon and exponent of a body of the largest size', () => {
    const messages = [call(',:1e'.repeat(1 << 20))];
    // The arguments are no JSON object and are put into one, with a colon of its own.
    expect(rendered({ messages }, R1_RULES).templateBytes).toBe(((1 + 1 + 22) << 20) + 1);
  });
});

describe('the bound of a template that was not measured', () => {
  const unmeasured = { ...R1_RULES, bytes: undefined };
  const more = (messages: ChatMessage[], tools: Tools) =>
    rendered({ messages, tools }, unmeasured).templateBytes;

  it('is never below that of a measured one', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { minLength: 1, maxLength: 8 }),
        fc.array(anyTool, { maxLength: 8 }),
        (messages, tools) => {
          const measured = rendered({ messages, tools }, R1_RULES).templateBytes;
          expect(more(messages, tools)).toBeGreaterThanOrEqual(measured + 4_096);
        },
      ),
    );
  });

  it('covers a template that puts every value between tags which name it', () => {
    const names = Array.from({ length: 200 }, (_, i) => `parameter_${i}`);
    const schema = Object.fromEntries(names.map((name) => [name, { type: 'string', description: 'x' }]));
    const tools = [tool('f', { parameters: { type: 'object', properties: schema } })];
    const tagged = (value: unknown): string =>
      typeof value === 'object' && value !== null
        ? Object.entries(value)
            .map(
              ([name, inner]) =>
                `<parameter name="${name}" string="true|false">\n${tagged(inner)}\n</${name}>\n`,
            )
            .join('')
        : JSON.stringify(value);
    const args = JSON.stringify(Object.fromEntries(names.map((name) => [name, 1])));
    const messages = [call(args)];
    const { contentBytes, templateBytes } = rendered({ messages, tools }, unmeasured);
    const written = tagged(tools) + tagged(JSON.parse(args));
    expect(Buffer.byteLength(written)).toBeLessThanOrEqual(contentBytes + templateBytes);
  });

  it('adds nothing to a raw prompt', () => {
    expect(rendered({ prompt: 'a' }, unmeasured).templateBytes).toBe(0);
  });
});
