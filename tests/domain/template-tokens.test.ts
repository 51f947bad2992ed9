/** Text that quotes control tokens of the chat template stays text, and all other text stays as it is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderChat } from '../../gpu-pool/emulator/tokenizer.ts';
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';
import { breakTokens, JOINER, plainMessage, templateRules } from '../../worker/domain/template-tokens.ts';
import { rendered } from '../../worker/gateway/rendered.ts';
import { FAMILIES, profileWith, R1_RULES } from '../model-profiles.ts';

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
        const broken = breakTokens(written, R1_RULES);
        expect(tokensIn(broken)).toEqual([]);
        expect(withoutJoiners(broken)).toBe(written);
        expect(breakTokens(broken, R1_RULES)).toBe(broken);
      }),
    );
  });

  it('without a control token stays as it is, byte for byte', () => {
    fc.assert(
      fc.property(
        text.filter((written) => tokensIn(written).length === 0 && !/<｜[^\s<>"\\\\]+｜>/u.test(written)),
        (written) => {
          expect(breakTokens(written, R1_RULES)).toBe(written);
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
    expect(breakTokens(ordinary, R1_RULES)).toBe(ordinary);
  });

  it('is broken the same before and after it is written as JSON', () => {
    fc.assert(
      fc.property(text, (written) => {
        expect(breakTokens(JSON.stringify(written), R1_RULES)).toBe(
          JSON.stringify(breakTokens(written, R1_RULES)),
        );
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
        const { rendered: json, contentBytes } = rendered(
          {
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
          },
          R1_RULES,
        );
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
      const sent = JSON.parse(`{${rendered({ messages }, R1_RULES).rendered}}`).messages;
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
    expect(JSON.parse(`{${rendered({ prompt: own, stop: ['</think>'] }, R1_RULES).rendered}}`)).toEqual({
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
    const [message] = JSON.parse(`{${rendered({ messages: [call(args)] }, R1_RULES).rendered}}`).messages;
    const sent = message.tool_calls[0].function.arguments as string;
    expect(tokensIn(JSON.stringify(JSON.parse(sent)))).toEqual([]);
    const values = (json: string) => JSON.parse(withoutJoiners(json)) as object;
    expect(values(sent)).toEqual(JSON.parse(args));
  });

  it.each(['{"a":"\\u0041\\n\\"\\\\"}', '{"a":"\\\\u003cthink>"}', 'no JSON \\', '{}'])(
    'keeps the arguments %s as they are',
    (args) => {
      expect(plainMessage(call(args), R1_RULES, false)).toEqual(call(args));
    },
  );

  it('drops the thought of an earlier answer, as the template does', () => {
    const answer = (content: string | null) => ({ role: 'assistant' as const, content });
    expect(plainMessage(answer('<think>\nhm</think>\n\nYes'), R1_RULES, false)).toEqual(answer('\n\nYes'));
    expect(plainMessage(answer('a</think>b</think>c'), R1_RULES, false)).toEqual(answer('c'));
    expect(plainMessage(answer('no thought'), R1_RULES, false)).toEqual(answer('no thought'));
    expect(plainMessage(answer(null), R1_RULES, false)).toEqual(answer(null));
    expect(plainMessage(said('a</think>b'), R1_RULES, false)).toEqual(said('a</think>b'));
  });
});

describe.each(Object.entries(FAMILIES))('the tokens of %s', (_, controlTokens) => {
  const rules = templateRules(profileWith({ controlTokens: [...controlTokens] }));
  const literal = controlTokens.filter((token) => !token.includes('*'));
  const known = (written: string) => literal.filter((token) => written.includes(token));
  const anyPiece = fc.oneof(
    fc.constantFrom(...literal),
    fc.constantFrom('<', '>', '[', ']', '|', '"', '\\', '\n', '<|user|>', '1', ','),
    fc.string({ unit: 'binary', maxLength: 4 }).filter((written) => !written.includes(JOINER)),
  );
  const anyText = fc.array(anyPiece, { maxLength: 12 }).map((pieces) => pieces.join(''));

  it('are broken in every text, and nothing else of it changes', () => {
    fc.assert(
      fc.property(anyText, (written) => {
        const broken = breakTokens(written, rules);
        expect(known(broken)).toEqual([]);
        expect(withoutJoiners(broken)).toBe(written);
        expect(breakTokens(JSON.stringify(written), rules)).toBe(JSON.stringify(broken));
      }),
    );
  });

  it('leave the JSON around texts as it is, whatever it holds', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), anyText, (value, written) => {
        const json = JSON.stringify([value, { [written]: written }, [[1]], true, null]);
        expect(withoutJoiners(JSON.stringify(JSON.parse(breakTokens(json, rules))))).toBe(
          withoutJoiners(json),
        );
      }),
    );
  });
});

describe('the tokens of one model', () => {
  it('are ordinary text for another', () => {
    const qwen = templateRules(profileWith({ controlTokens: ['<|im_start|>'] }));
    expect(breakTokens('<｜User｜> <think>', qwen)).toBe('<｜User｜> <think>');
    expect(breakTokens('<|im_start|>', qwen)).not.toBe('<|im_start|>');
    expect(breakTokens('<|im_start|>', R1_RULES)).toBe('<|im_start|>');
    const none = templateRules(profileWith({ controlTokens: [] }));
    expect(breakTokens('<｜User｜>', none)).toBe('<｜User｜>');
  });

  it('span no two texts of a request', () => {
    const json = JSON.stringify(['<｜a', 'b｜>']);
    expect(breakTokens(json, R1_RULES)).toBe(json);
  });

  it.each(['**x', 'a', '<*|>', 'a b', 'a"b<', '\\n<', '[1]', '[*]', 'true', '-.5', `<${JOINER}>`])(
    '%j can be none, as it could break JSON or text at large',
    (token) => {
      expect(() => profileWith({ controlTokens: [token] })).toThrow();
    },
  );
});

describe('the thought of an earlier answer', () => {
  const tools = [{ type: 'function' as const, function: { name: 'f' } }];
  const answer = { role: 'assistant' as const, content: 'Yes', reasoning_content: 'Hm <｜User｜>' };
  const sent = (
    earlierReasoning: 'dropped' | 'with_tools' | 'kept',
    message: ChatMessage,
    withTools = false,
  ) => {
    const rules = templateRules(profileWith({ earlierReasoning }));
    const { rendered: json, contentBytes } = rendered(
      { messages: [message], ...(withTools && { tools }) },
      rules,
    );
    const body = JSON.parse(`{${json}}`) as { messages: ChatMessage[] };
    return { message: body.messages[0]!, contentBytes };
  };

  it('goes on where the profile wants it, with its tokens broken and its bytes counted', () => {
    const broken = { ...answer, reasoning_content: `Hm <${JOINER}｜User｜>` };
    const { reasoning_content: _, ...bare } = answer;
    expect(sent('dropped', answer, true).message).toEqual(bare);
    expect(sent('with_tools', answer).message).toEqual(bare);
    expect(sent('with_tools', answer, true).message).toEqual(broken);
    expect(sent('kept', answer).message).toEqual(broken);
    const counted = sent('kept', answer).contentBytes - sent('dropped', answer).contentBytes;
    expect(counted).toBe(
      Buffer.byteLength(`,"reasoning_content":${JSON.stringify(broken.reasoning_content)}`),
    );
  });

  it('is found in the text, where a client sent both as one', () => {
    const whole: ChatMessage = { role: 'assistant', content: '<think>\nHm</think>Yes' };
    expect(sent('kept', whole).message).toEqual({
      role: 'assistant',
      content: 'Yes',
      reasoning_content: '\nHm',
    });
    expect(sent('dropped', whole).message).toEqual({ role: 'assistant', content: 'Yes' });
    const both = { ...whole, reasoning_content: 'Given' };
    expect(sent('kept', both).message).toMatchObject({ content: 'Yes', reasoning_content: 'Given' });
  });

  it('is plain text for a template without its tag', () => {
    const rules = templateRules(profileWith({ controlTokens: ['<|im_start|>'] }));
    const message: ChatMessage = { role: 'assistant', content: 'a</think>b' };
    expect(plainMessage(message, rules, false)).toEqual(message);
  });
});
