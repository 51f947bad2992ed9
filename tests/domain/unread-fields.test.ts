import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { joinNames, unreadFields } from '../../worker/domain/unread-fields.ts';

const Part = z.object({ type: z.literal('text'), text: z.string() });
const Body = z.object({
  model: z.string(),
  user: z.string().nullish(),
  options: z.object({ usage: z.boolean().nullish() }).nullish(),
  stop: z
    .union([z.string(), z.array(z.string())])
    .transform((stop) => [stop].flat())
    .nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  messages: z.array(
    z.discriminatedUnion('role', [
      z.object({
        role: z.enum(['user', 'system']),
        content: z.preprocess(
          (content) => (typeof content === 'string' ? [{ type: 'text', text: content }] : content),
          z.array(Part),
        ),
      }),
      z.object({ role: z.literal('tool'), content: z.string(), tool_call_id: z.string() }),
    ]),
  ),
});
const unread = unreadFields({
  schema: Body,
  unused: ['user'],
  alike: { store: [false], 'messages[].content[].cache_control': 'any' },
});
const messages = [{ role: 'user', content: 'x' }];

describe('the fields of a body that nothing reads', () => {
  it.each<[string, object, string[]]>([
    ['none', { model: 'm', messages, stop: ['a'], options: { usage: true } }, []],
    ['one the schema does not know', { messages, logit_bias: { 1: 2 } }, ['logit_bias']],
    ['one the schema checks and nothing uses', { messages, user: 'u' }, ['user']],
    ['one in an object', { messages, options: { usage: true, stats: true } }, ['options.stats']],
    [
      'one in items, once for all',
      {
        messages: [
          { role: 'user', content: 'a', audio: 'x' },
          { role: 'system', content: 'b', audio: 'y' },
        ],
      },
      ['messages[].audio'],
    ],
    [
      'one in items of items',
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'a', voice: 1 }] }] },
      ['messages[].content[].voice'],
    ],
    [
      'one that only another role has',
      { messages: [{ role: 'user', content: 'a', tool_call_id: 'call' }] },
      ['messages[].tool_call_id'],
    ],
    ['none in a record, which is read whole', { messages, metadata: { a: { b: 1 } } }, []],
    ['none that is null or empty', { messages, a: null, b: [], c: {} }, []],
    ['one that is false', { messages, a: false }, ['a']],
    ['none whose value asks for what happens anyway', { messages, store: false }, []],
    ['one whose value asks for something else', { messages, store: true }, ['store']],
    [
      'none of which every value does',
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'a', cache_control: { type: 'x' } }] }] },
      [],
    ],
  ])('are %s', (_, body, names) => {
    expect(unread(body)).toEqual(names);
  });

  it('are named in printable ASCII, without commas, each at most 64 characters long', () => {
    const body = JSON.parse(
      JSON.stringify({ 'a\r\nx-evil: 1': 1, 'b,c': 1, 'é\u2028': 1, ['z'.repeat(100)]: 1 }),
    ) as object;
    expect(unread(body)).toEqual(['a??x-evil:?1', 'b?c', '??', 'z'.repeat(64)]);
  });

  it('are at most 32, and then one that stands for all others', () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`field${i}`, 1]));
    const names = unread(many);
    expect(names).toHaveLength(33);
    expect(names.at(-1)).toBe('...');
    expect(joinNames(names, ['another'])).toEqual(names);
    expect(unread(Object.fromEntries(Object.entries(many).slice(0, 32)))).not.toContain('...');
  });

  it('are joined without naming one twice', () => {
    expect(joinNames(['a', 'b'], ['b', 'c'])).toEqual(['a', 'b', 'c']);
  });

  it('include the names of every object’s prototype', () => {
    const body = JSON.parse('{"__proto__": 1, "constructor": 1, "toString": 1}') as object;
    expect(unread(body)).toEqual(['__proto__', 'constructor', 'toString']);
  });
});
