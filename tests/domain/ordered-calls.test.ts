/** Tool calls are told apart, and reach each dialect whole, however an engine numbers, cuts and mixes them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OrderedCalls } from '../../gpu-pool/answers/ordered-calls.ts';
import type { NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { nodeChunk, streamedText, wholeObject } from './dialect-answer.ts';

type CallDelta = NonNullable<NodeChunk['choices'][number]['delta']['tool_calls']>[number];

const call = (index: number, id: string | null, name: string | null, args: string | null): CallDelta => ({
  index,
  ...(id === null ? {} : { id, type: 'function' as const }),
  function: { ...(name === null ? {} : { name }), ...(args === null ? {} : { arguments: args }) },
});
const calls = (...deltas: CallDelta[]) => nodeChunk({ tool_calls: deltas });
const END = nodeChunk({}, 'tool_calls');

/** Calls as `name(arguments)` and text, in the order of an answer's parts. */
async function parts(chunks: NodeChunk[]) {
  const chat = await wholeObject('openaiChat', chunks);
  const responses = await wholeObject('openaiResponses', chunks);
  const messages = await wholeObject('anthropicMessages', chunks);
  const { message } = chat.choices[0];
  const inMessages = messages.content.map((block: { type: string; text: string; name: string }) =>
    block.type === 'text'
      ? block.text
      : `${block.name}(${JSON.stringify((block as unknown as { input: unknown }).input)})`,
  );
  const inResponses = responses.output.map(
    (item: { type: string; content: { text: string }[]; name: string; arguments: string }) =>
      item.type === 'message' ? item.content[0]!.text : `${item.name}(${item.arguments})`,
  );
  const ids = new Set(message.tool_calls?.map(({ id }: { id: string }) => id));
  expect(ids.size).toBe(message.tool_calls?.length ?? 0);
  const inChat = message.tool_calls?.map(
    ({ function: called }: { function: { name: string; arguments: string } }) =>
      `${called.name}(${called.arguments})`,
  );
  expect(inResponses).toEqual(inMessages);
  expect(inMessages.filter((part: string) => part.endsWith(')'))).toEqual(inChat ?? []);
  expect(inMessages.filter((part: string) => !part.endsWith(')')).join('')).toBe(message.content ?? '');
  return inMessages;
}

describe('calls are told apart', () => {
  it.each<[string, NodeChunk[], string[]]>([
    [
      'by id, where all have one index',
      [calls(call(0, 'a', 'now', '{}')), calls(call(0, 'b', 'now', '{}'))],
      ['now({})', 'now({})'],
    ],
    [
      'by index, where they have no id',
      [calls(call(0, null, 'now', '{}'), call(1, null, 'later', '{}'))],
      ['now({})', 'later({})'],
    ],
    [
      'by index, where all have one id',
      [
        calls(call(0, 'a', 'f', '{"x":'), call(1, 'a', 'g', '{"y":')),
        calls(call(0, 'a', null, '1}'), call(1, 'a', null, '2}')),
      ],
      ['f({"x":1})', 'g({"y":2})'],
    ],
    [
      'by name, where they have neither',
      [calls(call(0, null, 'now', '{}')), calls(call(0, null, 'later', '{}'))],
      ['now({})', 'later({})'],
    ],
    [
      'though a name and an id are repeated',
      [calls(call(0, 'a', 'f', '{"x":')), calls(call(0, 'a', 'f', '1}'))],
      ['f({"x":1})'],
    ],
    [
      'though an id comes late',
      [calls(call(0, null, 'f', '{"x":')), calls(call(0, 'a', null, '1}'))],
      ['f({"x":1})'],
    ],
    [
      'though a name comes late',
      [calls(call(0, 'a', null, '{"x":')), calls(call(0, null, 'f', '1}'))],
      ['f({"x":1})'],
    ],
    [
      'though a later delta has the index of another',
      [
        calls(call(0, 'a', 'f', '{"x":'), call(1, 'b', 'g', '{"y":')),
        calls(call(1, 'a', null, '1}'), call(0, 'b', null, '2}')),
      ],
      ['f({"x":1})', 'g({"y":2})'],
    ],
    [
      'and the last has no id of its own in a delta',
      [calls(call(0, 'a', 'f', '{}'), call(0, 'b', 'g', '{"y"')), calls(call(0, null, null, ':1}'))],
      ['f({})', 'g({"y":1})'],
    ],
  ])('%s', async (_, chunks, expected) => {
    expect(await parts([...chunks, END])).toEqual(expected);
  });

  it('and text around them stays where it is', async () => {
    const chunks = [
      nodeChunk({ content: 'one ' }),
      calls(call(0, 'a', 'f', '{"x":')),
      nodeChunk({ content: 'two ' }),
      calls(call(1, 'b', 'g', '{}')),
      nodeChunk({ content: 'three' }),
      calls(call(0, null, null, '1}')),
      END,
    ];
    expect(await parts(chunks)).toEqual(['one ', 'f({"x":1})', 'two ', 'g({})', 'three']);
  });

  it('and one without arguments has an empty object, unless it was cut off', async () => {
    const chunks = [
      calls(call(0, 'a', 'f', null)),
      nodeChunk({ content: 'text' }),
      calls(call(1, 'b', 'g', '')),
    ];
    expect(await parts([...chunks, END])).toEqual(['f({})', 'text', 'g({})']);
    const { message } = (await wholeObject('openaiChat', [...chunks, nodeChunk({}, 'length')])).choices[0];
    expect(message.tool_calls.map(({ function: called }: CallDelta) => called.arguments)).toEqual(['{}', '']);
  });

  it('and one that is never named is left out, since nobody could run it', async () => {
    expect(await parts([calls(call(0, 'a', null, '{}')), calls(call(1, 'b', 'g', '{}')), END])).toEqual([
      'g({})',
    ]);
  });

  it('in each choice', async () => {
    const chunks = [0, 1].flatMap((index) =>
      ['a', 'b'].map((id) => ({
        ...END,
        choices: [
          { index, delta: { tool_calls: [call(0, `${id}${index}`, 'f', '{}')] }, finish_reason: null },
        ],
      })),
    );
    const { choices } = await wholeObject('openaiChat', chunks, { body: { n: 2 } });
    expect(
      choices.map(({ message }: { message: { tool_calls: CallDelta[] } }) =>
        message.tool_calls.map(({ id }) => id),
      ),
    ).toEqual([
      ['a0', 'b0'],
      ['a1', 'b1'],
    ]);
  });

  it('when the answer ends without an end of its choice', async () => {
    const chunks = [calls(call(0, 'a', 'f', '{"x":'), call(0, 'b', 'g', '{}'))];
    const { content } = await wholeObject('anthropicMessages', chunks, { ranOut: 'insufficient_balance' });
    expect(content.map(({ name }: { name: string }) => name)).toEqual(['f', 'g']);
    const stream = await streamedText('openaiChat', chunks, { ranOut: 'insufficient_balance' });
    expect(stream).toContain('"name":"g"');
  });
});

describe('a chunk', () => {
  it('without calls stays the same object', () => {
    const chunk = nodeChunk({ content: 'x' });
    expect(new OrderedCalls(() => '').take(chunk)).toBe(chunk);
  });

  it('of a single call is passed on at once, as is text behind a whole one', () => {
    const ordered = new OrderedCalls(() => '');
    const passed = [
      calls(call(0, 'a', 'f', null)),
      calls(call(0, null, null, '{"x"')),
      calls(call(0, null, null, ':1}')),
      nodeChunk({ content: 'text' }),
    ].map((chunk) => ordered.take(chunk).choices.map(({ delta }) => delta));
    expect(passed).toEqual([
      [{ tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } }] }],
      [{ tool_calls: [{ index: 0, function: { arguments: '{"x"' } }] }],
      [{ tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }],
      [{ content: 'text' }],
    ]);
  });
});

const json = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 });
const part = fc.oneof(
  fc.record({ text: fc.string({ minLength: 1, maxLength: 6 }) }),
  fc.record({
    name: fc.constantFrom('now', 'later', 'find'),
    args: fc
      .array(json, { maxLength: 1 })
      .map(([value]) => (value === undefined ? '' : JSON.stringify(value))),
    cuts: fc.array(fc.nat(40), { maxLength: 4 }),
    repeatsName: fc.boolean(),
  }),
);
/** How an engine numbers its calls: all under one index with an id in each delta, by index alone, or by both. */
const numbering = fc.constantFrom('id', 'index', 'both');

describe('for any cutting and mixing of calls and text', () => {
  it('every call arrives once and whole, in the order of beginning, with text between where no call was open', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { maxLength: 7 }),
        numbering,
        fc.infiniteStream(fc.nat()),
        async (answer, numbered, chance) => {
          const expected = answer.flatMap((one) =>
            'name' in one ? [`${one.name}(${JSON.stringify(JSON.parse(one.args || '{}'))})`] : [],
          );
          const text = answer.flatMap((one) => ('text' in one ? [one.text] : [])).join('');
          const chunks = mixed(answer, numbered, () => chance.next().value as number);
          const got = await partsOf([...chunks, END]);
          expect(got.calls).toEqual(expected);
          expect(got.text).toBe(text);
          expectOrder([...chunks, END]);
        },
      ),
      { numRuns: 500 },
    );
  });
});

type Part = { text: string } | { name: string; args: string; cuts: number[]; repeatsName: boolean };

/** The parts as deltas: each begins in its turn, and a call goes on at any time after it began. */
function mixed(answer: Part[], numbered: string, random: () => number): NodeChunk[] {
  const chunks: NodeChunk[] = [];
  const open: CallDelta[][] = [];
  const next = (queue: CallDelta[]) => chunks.push(calls(queue.shift()!));
  let number = 0;
  for (const one of answer) {
    while (random() % 3 > 0 && open.some((queue) => queue.length > 0)) {
      const queues = open.filter((queue) => queue.length > 0);
      next(queues[random() % queues.length]!);
    }
    if ('text' in one) {
      chunks.push(nodeChunk({ content: one.text }));
      continue;
    }
    const index = numbered === 'id' ? 0 : number;
    const id = numbered === 'index' ? null : `call-${number}`;
    number += 1;
    const cuts = [0, ...one.cuts.map((cut) => Math.min(cut, one.args.length)), one.args.length];
    cuts.sort((a, b) => a - b);
    const queue = cuts
      .slice(1)
      .map((cut, at) =>
        call(index, id, at === 0 || one.repeatsName ? one.name : null, one.args.slice(cuts[at]!, cut)),
      );
    open.push(queue);
    next(queue);
  }
  for (const queue of open) while (queue.length > 0) next(queue);
  return chunks;
}

async function partsOf(chunks: NodeChunk[]) {
  const { message } = (await wholeObject('openaiChat', chunks)).choices[0];
  const { content } = await wholeObject('anthropicMessages', chunks);
  const { output } = await wholeObject('openaiResponses', chunks);
  const inMessages = content.filter(({ type }: { type: string }) => type === 'tool_use');
  const inResponses = output.filter(({ type }: { type: string }) => type === 'function_call');
  const inChat = (message.tool_calls ?? []).map(({ function: called }: CallDelta) => called);
  const written = (name: string, args: unknown) => `${name}(${JSON.stringify(args)})`;
  const all = [
    inMessages.map(({ name, input }: { name: string; input: unknown }) => written(name, input)),
    ...[inResponses, inChat].map((list) =>
      list.map(({ name, arguments: args }: { name: string; arguments: string }) =>
        written(name, JSON.parse(args)),
      ),
    ),
  ];
  expect(all[1]).toEqual(all[0]);
  expect(all[2]).toEqual(all[0]);
  return { calls: all[0], text: message.content ?? '' };
}

/** A call's deltas follow one another, with its name and id in the first alone, and nothing of another between them. */
function expectOrder(chunks: NodeChunk[]) {
  const ordered = new OrderedCalls((_, number) => `made-${number}`);
  let begun = -1;
  let isTextBehind = false;
  const ids = new Set<string>();
  for (const { delta } of chunks.flatMap((chunk) => ordered.take(chunk).choices)) {
    if (delta.content !== undefined) isTextBehind = true;
    for (const { index, id, function: called } of delta.tool_calls ?? []) {
      if (id !== undefined) {
        expect(index).toBe(begun + 1);
        expect(called.name).toBeTruthy();
        ids.add(id);
        begun = index;
        isTextBehind = false;
      } else {
        expect({ index, isTextBehind, name: called.name }).toEqual({ index: begun, isTextBehind: false });
      }
    }
  }
  expect(ids.size).toBe(begun + 1);
}
