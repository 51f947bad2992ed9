/** Text that quotes control tokens of the chat template stays text, and all other text stays as it is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderChat } from '../../gpu-pool/emulator/tokenizer.ts';
import { breakTokens, JOINER, plainMessage } from '../../worker/domain/template-tokens.ts';
import { rendered } from '../../worker/gateway/dialects/fields.ts';

/** The tokens of DeepSeek's tokenizer that its templates use (tokenizer.json, `added_tokens`). */
const CONTROL_TOKENS = [
  '<｜begin▁of▁sentence｜>',
  '<｜end▁of▁sentence｜>',
  '<｜▁pad▁｜>',
  '<｜User｜>',
  '<｜Assistant｜>',
  '<|EOT|>',
  '<｜fim▁begin｜>',
  '<｜fim▁hole｜>',
  '<｜fim▁end｜>',
  '<｜place▁holder▁no▁799｜>',
  '<｜tool▁calls▁begin｜>',
  '<｜tool▁calls▁end｜>',
  '<｜tool▁call▁begin｜>',
  '<｜tool▁call▁end｜>',
  '<｜tool▁outputs▁begin｜>',
  '<｜tool▁outputs▁end｜>',
  '<｜tool▁output▁begin｜>',
  '<｜tool▁output▁end｜>',
  '<｜tool▁sep｜>',
  '<think>',
  '</think>',
];
const tokensIn = (text: string) => CONTROL_TOKENS.filter((token) => text.includes(token));
const withoutJoiners = (text: string) => text.replaceAll(JOINER, '');

/** Texts made of whole tokens, of their pieces, and of anything. */
const piece = fc.oneof(
  fc.constantFrom(...CONTROL_TOKENS),
  fc.constantFrom('<', '>', '</', '｜', '|', 'think', 'User', 'EOT', '▁', ' ', '\\', '"', '\n', '🚀'),
  fc.string({ unit: 'binary', maxLength: 4 }).filter((text) => !text.includes(JOINER)),
);
const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));

describe('a text', () => {
  it('has no control token left, and looks the same', () => {
    fc.assert(
      fc.property(text, (written) => {
        const broken = breakTokens(written);
        expect(tokensIn(broken)).toEqual([]);
        expect(withoutJoiners(broken)).toBe(written);
        expect(breakTokens(broken)).toBe(broken);
      }),
    );
  });

  it('without a control token stays as it is, byte for byte', () => {
    fc.assert(
      fc.property(
        text.filter((written) => tokensIn(written).length === 0 && !/<｜[^\s｜<>]+｜>/u.test(written)),
        (written) => {
          expect(breakTokens(written)).toBe(written);
        },
      ),
    );
  });

  it.each([
    'a < b | c > d',
    'f <| x |> g',
    '<|im_start|>system',
    '<thinking>hm</thinking>',
    '<think about it>',
    '< think>',
    'x <｜ y ｜> z',
    '<｜｜>',
    '表｜列',
    'const m: Map<string, Array<User>> = new Map<>();',
  ])('%s is ordinary', (ordinary) => {
    expect(breakTokens(ordinary)).toBe(ordinary);
  });

  it('is broken the same before and after it is written as JSON', () => {
    fc.assert(
      fc.property(text, (written) => {
        expect(breakTokens(JSON.stringify(written))).toBe(JSON.stringify(breakTokens(written)));
      }),
    );
  });
});

describe('a request for the node', () => {
  const said = (content: string) => ({ role: 'user' as const, content });
  const call = (args: string) => ({
    role: 'assistant' as const,
    content: null,
    tool_calls: [{ id: 'c', type: 'function' as const, function: { name: 'f', arguments: args } }],
  });

  it('has no control token in anything that a template renders', () => {
    fc.assert(
      fc.property(text, text, text, (a, b, c) => {
        const { rendered: json, contentBytes } = rendered({
          messages: [
            { role: 'system', content: a, name: b },
            said(b),
            { ...call(JSON.stringify({ [a]: b })), content: c },
            { role: 'tool', content: c, tool_call_id: a },
          ],
          tools: [
            {
              type: 'function',
              function: { name: a, description: b, parameters: { [a]: { [b]: [c] }, __proto__: null } },
            },
          ],
          response_format: {
            type: 'json_schema',
            json_schema: { name: a, schema: { enum: [b, { [c]: 1 }] } },
          },
        });
        expect(tokensIn(json)).toEqual([]);
        const parsed = JSON.parse(`{${json}}`);
        expect(withoutJoiners(parsed.messages[1].content)).toBe(b);
        expect(withoutJoiners(Object.keys(parsed.tools[0].function.parameters)[0]!)).toBe(a);
        const bytes = Object.values(parsed).map((value) => Buffer.byteLength(JSON.stringify(value)));
        expect(contentBytes).toBe(bytes.reduce((sum, length) => sum + length));
      }),
    );
  });

  it('becomes the turns that its messages are, and no others', () => {
    const turns = (messages: Parameters<typeof rendered>[0]['messages']) => {
      const sent = JSON.parse(`{${rendered({ messages }).rendered}}`).messages;
      return renderChat(sent, { reasoning: true }).filter((token) => CONTROL_TOKENS.includes(token));
    };
    fc.assert(
      fc.property(text, text, (a, b) => {
        const conversation = (content: string, args: string) => [
          said(content),
          call(JSON.stringify({ [args]: args }).replaceAll('<', '\\u003c')),
          { role: 'tool' as const, content, tool_call_id: 'c' },
          { role: 'assistant' as const, content },
          said(args),
        ];
        expect(turns(conversation(a, b))).toEqual(turns(conversation('x', 'y')));
      }),
    );
  });

  it('keeps raw prompts and stop sequences as they are', () => {
    const own = CONTROL_TOKENS.join('');
    expect(JSON.parse(`{${rendered({ prompt: own, stop: ['</think>'] }).rendered}}`)).toEqual({
      prompt: own,
      stop: ['</think>'],
    });
  });

  it.each([
    ['\\u003cthink\\u003E', 'a < that is escaped'],
    ['<\\/think>', 'a slash that is escaped'],
    ['<th\\u0069nk>', 'a letter that is escaped'],
    ['\\u003c\\uff5cUser\\uFF5C>', 'bars that are escaped'],
    ['\\\\\\u003cthink>', 'a backslash before it'],
  ])('has no token in arguments written as %s (%s)', (written) => {
    const args = `{"a\\n":"${written}","\\ud83d\\ude80":1}`;
    const [message] = JSON.parse(`{${rendered({ messages: [call(args)] }).rendered}}`).messages;
    const sent = message.tool_calls[0].function.arguments as string;
    expect(tokensIn(JSON.stringify(JSON.parse(sent)))).toEqual([]);
    const values = (json: string) => JSON.parse(withoutJoiners(json)) as object;
    expect(values(sent)).toEqual(JSON.parse(args));
  });

  it.each(['{"a":"\\u0041\\n\\"\\\\"}', '{"a":"\\\\u003cthink>"}', 'no JSON \\', '{}'])(
    'keeps the arguments %s as they are',
    (args) => {
      expect(plainMessage(call(args))).toEqual(call(args));
    },
  );

  it('drops the thought of an earlier answer, as the template does', () => {
    const answer = (content: string | null) => ({ role: 'assistant' as const, content });
    expect(plainMessage(answer('<think>\nhm</think>\n\nYes'))).toEqual(answer('\n\nYes'));
    expect(plainMessage(answer('a</think>b</think>c'))).toEqual(answer('c'));
    expect(plainMessage(answer('no thought'))).toEqual(answer('no thought'));
    expect(plainMessage(answer(null))).toEqual(answer(null));
    expect(plainMessage(said('a</think>b'))).toEqual(said('a</think>b'));
  });
});
