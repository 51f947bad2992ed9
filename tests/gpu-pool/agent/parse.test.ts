/**
 * Parsers of models' raw text: they give what SGLang's own give for a whole text (recorded by tests/engine/parsers, for two
 * versions), however the text is cut.
 */
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerParser } from '../../../gpu-pool/agent/parse/answer-parser.ts';
import { callGrammar, writesList } from '../../../gpu-pool/agent/parse/call-grammar.ts';
import type { Piece } from '../../../gpu-pool/agent/parse/piece.ts';

interface Answer {
  reasoning: string;
  content: string;
  calls: { name: string; arguments: string }[];
}

interface Case {
  name: string;
  reasoning: string | null;
  tools: string | null;
  thinking: boolean;
  text: string;
  engine: Answer;
}

interface Recorded {
  sglang: string;
  tools: { name: string; parameters: Record<string, unknown> }[];
  cases: Case[];
  grammars: {
    parser: string;
    choice: 'auto' | 'required' | 'named';
    strict: boolean;
    grammar: { kind: string; value: unknown } | null;
  }[];
}

function recorded(version: string): Recorded {
  const url = new URL(`../../engine/parsers/recorded-${version}.jsonl`, import.meta.url);
  const [head, ...rest] = readFileSync(url, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const of = (kind: string) => rest.filter((line) => kind in line).map((line) => line[kind]);
  return { ...head, cases: of('case'), grammars: of('grammar') };
}

const RECORDED = ['0.5.20', '0.5.23'].map(recorded);
const TOOLS = RECORDED[0]!.tools;
const CASES = RECORDED[0]!.cases;

type Format = Pick<Case, 'reasoning' | 'tools' | 'thinking'>;

function parserOf({ reasoning, tools, thinking }: Format, list = false) {
  const calls = tools === null ? null : { tools: TOOLS, priorCalls: 0, list };
  return new AnswerParser({ parsers: { reasoning, tools }, calls }, { thinking });
}

function joined(pieces: Piece[]): Answer {
  const answer: Answer = { reasoning: '', content: '', calls: [] };
  for (const piece of pieces) {
    if (piece.kind === 'call') answer.calls.push({ name: piece.name, arguments: '' });
    else if (piece.kind === 'arguments') answer.calls.at(-1)!.arguments += piece.text;
    else answer[piece.kind] += piece.text;
  }
  return answer;
}

/** An answer of which the text arrives in these parts. */
function parse(format: Format, parts: string[], { cut = false, list = false } = {}): Answer {
  const parser = parserOf(format, list);
  return joined([...parts.flatMap((part) => parser.feed(part)), ...parser.end({ cut })]);
}

/** Equal where texts of JSON mean the same; blanks around an answer's text beside calls are no difference. */
function comparable({ reasoning, content, calls }: Answer, { tools }: Format) {
  return {
    reasoning,
    content: tools === null ? content : content.trim(),
    calls: calls.map((call) => ({ name: call.name, arguments: meaning(call.arguments) })),
  };
}

function meaning(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return { cutOff: json };
  }
}

const SURE = { name: 'delete_all', arguments: '{"sure": true}' };

/** Where the engine's own result for a whole text is not what a caller should get; by the case's name. */
const EXCEPTIONS: {
  cases: RegExp;
  why: string;
  expected: (engine: Answer, text: string) => Partial<Answer>;
}[] = [
  {
    cases: /text before and after/,
    why: 'The engine drops text behind calls, which has been generated and is billed.',
    expected: () => ({ content: 'Let me look. \nDone.' }),
  },
  {
    cases: /text between/,
    why: 'The same, between two calls.',
    expected: () => ({ content: 'And now:' }),
  },
  {
    cases: /(?<!an )unknown tool/,
    why: 'The engine drops a call of a tool that the request does not have, and with it the whole answer.',
    expected: ({ calls }) => ({ calls: calls.length > 0 ? calls : [SURE] }),
  },
  {
    cases: /an unknown tool and a known one/,
    why: 'The same, beside another call.',
    expected: ({ calls }) => ({ calls: calls.length > 1 ? calls : [SURE, ...calls] }),
  },
  {
    cases: /tags in arguments$/,
    why: 'The engine takes <think> anywhere in a text for the beginning of a thought, in arguments, too.',
    expected: () => ({
      reasoning: '',
      content: '',
      calls: [
        {
          name: 'write_file',
          arguments: JSON.stringify({ path: 't.html', content: '<think>no</think> <b>x</b> </function' }),
        },
      ],
    }),
  },
  {
    cases: /names a tag/,
    why: 'The same in an answer; and a tag of calls that is only named ends the text for the engine.',
    expected: (engine, text) => ({
      reasoning: text.includes('Let me think.') ? engine.reasoning : '',
      content: text.slice(text.indexOf('Write')),
    }),
  },
];

/** Calls that were cut off: the engine drops them, or closes what was not complete; they are passed on as far as they came. */
const CUT = /cut off at|not closed/;

describe.each(RECORDED)('parsers of SGLang $sglang', ({ cases }) => {
  it.each(cases.filter(({ name }) => !CUT.test(name)))('agree on $name', (one) => {
    const exception = EXCEPTIONS.find(({ cases: names }) => names.test(one.name));
    const expected = { ...one.engine, ...exception?.expected(one.engine, one.text) };
    expect(comparable(parse(one, [one.text]), one)).toEqual(comparable(expected, one));
  });

  it.each(cases.filter(({ name }) => CUT.test(name)))(
    'agree on $name, as far as a call was written',
    (one) => {
      const cut = !/not closed/.test(one.name);
      const { calls, ...rest } = parse(one, [one.text], { cut });
      expect({ ...rest, content: rest.content.trim() }).toEqual({
        reasoning: one.engine.reasoning,
        content: one.engine.content.trim(),
      });
      const written = [{ city: 'Köln', days: 3 }, { city: 'Paris' }];
      expect(calls.map(({ name }) => name)).toEqual(calls.map(() => 'get_weather'));
      expect(calls.length).toBeGreaterThanOrEqual(one.engine.calls.length);
      for (const [at, call] of calls.entries()) {
        const whole = meaning(call.arguments);
        if (typeof whole === 'object' && whole !== null && 'cutOff' in whole)
          expect(JSON.stringify(written[at]).replaceAll(/[: ,]/g, '')).toContain(
            call.arguments.replaceAll(/[: ,]/g, ''),
          );
        else expect(whole).toEqual(written[at]);
      }
      // No call but the last can be incomplete.
      for (const call of calls.slice(0, -1)) expect(meaning(call.arguments)).not.toHaveProperty('cutOff');
    },
  );

  it.each(EXCEPTIONS)('differ where we say so: $why', ({ cases: names, expected }) => {
    const differing = cases.filter(
      (one) =>
        names.test(one.name) &&
        JSON.stringify(comparable({ ...one.engine, ...expected(one.engine, one.text) }, one)) !==
          JSON.stringify(comparable(one.engine, one)),
    );
    expect(differing.length).toBeGreaterThan(0);
  });
});

/** Fragments from which texts are made that begin tags, break them off, and nest them. */
const FRAGMENTS = [
  ...[
    '<think>',
    '</think>',
    '<think',
    '</thi',
    '<',
    '\n',
    ' ',
    '\n\n',
    'word',
    'é',
    '👩‍💻',
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
  ],
  ...[
    '<｜tool▁calls▁begin｜>',
    '<｜tool▁calls▁end｜>',
    '<｜tool▁call▁begin｜>',
    '<｜tool▁call▁end｜>',
    '<｜tool▁sep｜>',
  ],
  ...[
    'function',
    'get_weather',
    '\n```json\n',
    '\n```',
    '{"city": "Köln"}',
    '<｜tool▁call',
    'functions.get_weather:0',
    '3',
  ],
  ...[
    '<tool_call>',
    '</tool_call>',
    '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
    '{"name": "',
    '"arguments": ',
  ],
  ...[
    '<function=',
    'now>',
    '</function>',
    '<parameter=city>',
    '</parameter>',
    '<arg_key>city</arg_key>',
    '<arg_value>',
    '</arg_value>',
  ],
  ...[
    '<|tool_calls_section_begin|>',
    '<|tool_calls_section_end|>',
    '<|tool_call_begin|>',
    '<|tool_call_end|>',
    '<|tool_call_argument_begin|>',
  ],
  ...[
    '<｜DSML｜function_calls>',
    '<｜DSML｜invoke name="now">',
    '</｜DSML｜invoke>',
    '<｜DSML｜parameter name="a" string="true">',
    '</｜DSML｜parameter>',
  ],
];

const FORMATS: Format[] = [
  ...new Map(CASES.map((one) => [`${one.reasoning} ${one.tools}`, one])).values(),
].flatMap(({ reasoning, tools }) => [true, false].map((thinking) => ({ reasoning, tools, thinking })));

function partsOf(text: string, cuts: number[]): string[] {
  const places = [...new Set(cuts.map((cut) => (text.length === 0 ? 0 : cut % text.length)))].sort(
    (a, b) => a - b,
  );
  return [0, ...places].map((place, at) => text.slice(place, places[at] ?? text.length));
}

describe('however a text is cut', () => {
  const cuts = fc.array(fc.nat(), { maxLength: 40 });

  it.each(CASES)('$name has one result', (one) => {
    const whole = parse(one, [one.text]);
    expect(parse(one, [...one.text])).toEqual(whole);
    expect(parse(one, one.text.split(/(?<=<[^<>]*>)|(?=<)/))).toEqual(whole);
    fc.assert(
      fc.property(cuts, (places) => {
        expect(parse(one, partsOf(one.text, places))).toEqual(whole);
      }),
      { numRuns: 10 },
    );
  });

  it.each(FORMATS)('a made-up text has one result: $reasoning, $tools, thinking $thinking', (format) => {
    const text = fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 25 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, cuts, fc.boolean(), (made, places, cut) => {
        const whole = parse(format, [made], { cut });
        expect(parse(format, partsOf(made, places), { cut })).toEqual(whole);
        expect(parse(format, made.split(''), { cut })).toEqual(whole);
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ['a name longer than any', 'x'.repeat(600)],
    ['a name that has the end tag', 'x</tool_call>'],
  ])('a call with %s has one result', (_, name) => {
    const text = `<tool_call>\n{"name": "${name}", "arguments": {"a": 1}}\n</tool_call> Done.`;
    const format = { reasoning: null, tools: 'qwen', thinking: false };
    const whole = parse(format, [text]);
    expect(parse(format, text.split(''))).toEqual(whole);
    expect(parse(format, partsOf(text, [100, 300, 550]))).toEqual(whole);
  });

  it.each([
    [true, 'reasoning'],
    [false, 'content'],
  ])('blanks before a tag are no more than some; more are text: thinking %s', (thinking, kind) => {
    const format = { reasoning: 'qwen3', tools: null, thinking };
    for (const [blanks, expected] of [
      [' '.repeat(64), 'reasoning'],
      [' '.repeat(65), kind],
    ] as const) {
      const text = `${blanks}<think>Hm.`;
      const whole = parse(format, [text]);
      expect(parse(format, text.split(''))).toEqual(whole);
      const field = expected as 'reasoning' | 'content';
      expect(whole[field]).toBe(blanks.length > 64 ? text : 'Hm.');
    }
  });

  it('a JSON list of calls has one result', () => {
    const format = { reasoning: 'glm45', tools: 'glm45', thinking: false };
    const text =
      ' [{"name": "now", "parameters": {}}, {"name": "get_weather", "parameters": {"city": "}]{"}}]';
    const expected = {
      reasoning: '',
      content: '',
      calls: [
        { name: 'now', arguments: '{}' },
        { name: 'get_weather', arguments: '{"city":"}]{"}' },
      ],
    };
    expect(parse(format, [text], { list: true })).toEqual(expected);
    expect(parse(format, text.split(''), { list: true })).toEqual(expected);
    // Text that is no list of calls is not lost.
    for (const other of ['Hello.', '[1, 2]', '{"a": 1}'])
      expect(parse(format, other.split(''), { list: true })).toMatchObject({ content: other, calls: [] });
  });
});

describe('text leaves as it comes', () => {
  const seen = (format: Format, text: string) => {
    const parser = parserOf(format);
    return joined([...text].flatMap((character) => parser.feed(character)));
  };

  it.each(FORMATS)('but for what may begin a tag: $reasoning, $tools, thinking $thinking', (format) => {
    const field = format.thinking && format.reasoning !== null ? 'reasoning' : 'content';
    expect(seen(format, 'Is 1 < 2?')[field]).toBe('Is 1 < 2?');
    expect(seen(format, 'So: <b')[field]).toBe('So: <b');
    if (format.tools !== null) expect(seen(format, 'Done.\n<')[field].trimEnd()).toBe('Done.');
  });

  it.each([
    ['deepseekv3', '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>write_file\n```json\n'],
    ['deepseekv31', '<｜tool▁call▁begin｜>write_file<｜tool▁sep｜>'],
    ['qwen', '<tool_call>\n{"name": "write_file", "arguments": '],
    [
      'kimi_k2',
      '<|tool_calls_section_begin|><|tool_call_begin|>functions.write_file:0<|tool_call_argument_begin|>',
    ],
  ])('as do arguments of %s', (tools, begin) => {
    const { calls } = seen({ reasoning: null, tools, thinking: false }, `${begin}{"path": "a`);
    expect(calls).toEqual([{ name: 'write_file', arguments: '{"path": "a' }]);
  });
});

describe('calls of Kimi', () => {
  it('go on with the ids of the conversation, and find the name that a model leaves out', () => {
    const calls = { tools: TOOLS, priorCalls: 2, list: false };
    const parser = new AnswerParser(
      { parsers: { reasoning: null, tools: 'kimi_k2' }, calls },
      { thinking: null },
    );
    const call = (id: string, json: string) =>
      `<|tool_call_begin|>${id}<|tool_call_argument_begin|>${json}<|tool_call_end|>`;
    const pieces = parser.feed(call('functions.now:7', '{}') + call('8', '{"city": "Köln"}'));
    expect(pieces.filter(({ kind }) => kind === 'call')).toEqual([
      { kind: 'call', name: 'now', id: 'functions.now:2' },
      { kind: 'call', name: 'get_weather', id: 'functions.get_weather:3' },
    ]);
  });
});

describe('arguments that are no JSON', () => {
  const value = (tools: string, key: string, text: string) => {
    const body =
      tools === 'glm45'
        ? `configure\n<arg_key>${key}</arg_key>\n<arg_value>${text}</arg_value>\n`
        : `\n<function=configure>\n<parameter=${key}>\n${text}\n</parameter>\n</function>\n`;
    const { calls } = parse({ reasoning: null, tools, thinking: false }, [`<tool_call>${body}</tool_call>`]);
    return calls[0]?.arguments;
  };

  it.each([
    [
      'options',
      "{'a': True, 'b': [None, 1.5, 'x\\'y']}",
      '{"options": {"a": true, "b": [null, 1.5, "x\'y"]}}',
    ],
    ['flags', '("a", "b",)', '{"flags": ["a", "b"]}'],
    ['ratio', '12345678901234567890', '{"ratio": 12345678901234567890}'],
    ['options', 'no dictionary', '{"options": "no dictionary"}'],
  ])('become JSON as their schema wants it: %s', (key, text, expected) => {
    expect(value('qwen3_coder', key, text)).toBe(expected);
    expect(value('glm45', key, text)).toBe(expected);
  });
});

describe.each(RECORDED)('grammars of calls in SGLang $sglang', ({ grammars, tools }) => {
  it.each(grammars)('are ours: $parser, $choice, strict $strict', ({ parser, choice, strict, grammar }) => {
    const named = choice === 'named' ? tools.filter(({ name }) => name === 'get_weather') : tools;
    const calls = ({ auto: 'may', required: 'must', named: 'must_this' } as const)[choice];
    const ours = callGrammar(parser, { calls, tools: named.map((tool) => ({ ...tool, strict })) });
    if (grammar === null) return expect(ours).toBeNull();
    if (grammar.kind === 'json_schema') {
      expect(writesList(parser)).toBe(true);
      return expect(ours).toEqual({
        type: 'json_schema',
        json_schema: { name: 'calls', schema: grammar.value },
      });
    }
    expect(ours).toEqual(asWeSendIt(grammar.value, { named: choice === 'named' }));
  });
});

/**
 * The engine's grammar without what differs on purpose: tags of thoughts are free text for it where its reasoning parser
 * runs (`strip_structural_tag_excludes`); a named tool is the only one; `any_order` has its default; and of two equal ways
 * to demand a call, that of 0.5.20 is sent.
 */
function asWeSendIt(value: unknown, { named }: { named: boolean }): unknown {
  const grammar = structuredClone(value) as Record<string, unknown> & { structures?: { begin: string }[] };
  if (named && grammar.structures)
    grammar.structures = grammar.structures.filter(({ begin }) => begin.includes('get_weather'));
  const { format } = grammar as { format?: Record<string, unknown> };
  if (format?.type === 'triggered_tags' && format.at_least_one === true) {
    const { tags } = format;
    grammar.format = {
      type: 'tags_with_separator',
      tags,
      separator: '',
      at_least_one: true,
      stop_after_first: false,
    };
  }
  return JSON.parse(JSON.stringify(grammar), (key, inner: unknown) => {
    if (key === 'any_order') return undefined;
    if (key === 'excludes') return (inner as string[]).filter((text) => !/think>/.test(text));
    return inner;
  });
}
