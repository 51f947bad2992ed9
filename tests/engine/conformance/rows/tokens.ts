/** Counts of prompts: the engine's own beforehand, and the edge's bounds. */
import { countPrompt } from '../../../../gpu-pool/agent/sglang/tokenize.ts';
import type { GenerateRequest } from '../../../../gpu-pool/protocol/schemas.ts';
import { promptTokenBounds } from '../../../../worker/domain/hold.ts';
import { templateBytes } from '../../../../worker/domain/template-bytes.ts';
import { breakTokens, templateRules } from '../../../../worker/domain/template-tokens.ts';
import { type Assumption, notApplicable, verdict, withoutFaults } from '../assumption.ts';
import { TEXT_PATH, totalOf } from '../direct-engine.ts';
import { freshSalt } from '../prompts.ts';
import type { Subject } from '../subject.ts';
import { WEATHER } from './tools.ts';

const TOKENIZE = 'gpu-pool/agent/sglang/tokenize.ts';
const BOUNDS = ['worker/domain/hold.ts', 'worker/domain/template-bytes.ts'];

const user = (content: string) => ({ role: 'user' as const, content });
const DIGITS = {
  type: 'function',
  function: {
    name: 'f',
    parameters: {
      type: 'object',
      properties: {
        a: { enum: [1, 2, 3, 4, 5, 6, 7, 8, 9, 1e15, 1e300, 9007199254740991] },
        b: { enum: ['é', '😀', '\\"'] },
      },
    },
  },
};

const CONVERSATIONS: Record<string, Pick<GenerateRequest, 'messages' | 'tools' | 'tool_choice'>> = {
  'a word': { messages: [user('hi')] },
  'four turns': {
    messages: [
      { role: 'system', content: 'Be brief.' },
      user('One?'),
      { role: 'assistant', content: 'Two.' },
      user('Three?'),
    ],
  },
  'many scripts': { messages: [user('Grüße, 你好世界, مرحبا, 😀👩‍👩‍👧, \u0000\u001f x̷̢')] },
  blanks: { messages: [user(' \n\t'.repeat(200))] },
  'one tool': { messages: [user('hi')], tools: [WEATHER as never] },
  'four tools': {
    messages: [user('hi')],
    tools: [WEATHER, DIGITS, { type: 'function', function: { name: 'g' } }, WEATHER] as never,
  },
  digits: { messages: [user('hi')], tools: [DIGITS as never] },
  'a call and its result': {
    messages: [
      user('The weather?'),
      {
        role: 'assistant',
        content: '',
        tool_calls: [
          {
            id: 'c',
            type: 'function',
            function: { name: 'get_weather', arguments: '{"city":"Paris","n":[1,2,3,1e15]}' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'c', content: 'Sunny.' },
    ],
    tools: [WEATHER as never],
  },
};

const bytesOf = (value: unknown) =>
  Buffer.byteLength(typeof value === 'string' ? value : JSON.stringify(value));

/** The tokens of a prompt as an answer to it counts them. */
async function counted({ engine }: Subject, body: object, path?: string): Promise<number | undefined> {
  const { chunks } = await engine.stream({ ...body, max_tokens: 1, cache_salt: freshSalt() }, path);
  return totalOf(chunks)?.prompt_tokens;
}

export const TOKENS: readonly Assumption[] = [
  {
    id: 'tokens/count-chat',
    says: '/tokenize counts a conversation, with tools and calls, as its answer does',
    madeBy: [TOKENIZE, 'gpu-pool/agent/context-window.ts'],
    async check(subject) {
      const faults: string[] = [];
      for (const [name, body] of Object.entries(CONVERSATIONS)) {
        const before = await countPrompt(subject.engine.target, body, subject.facts.info.model_path);
        const served = await counted(subject, body);
        if (before !== served) faults.push(`${name}: ${before} and ${served}`);
      }
      return withoutFaults(`${Object.keys(CONVERSATIONS).length} equal`, faults);
    },
  },
  {
    id: 'tokens/count-text',
    says: '/tokenize counts a text as its completion does',
    madeBy: [TOKENIZE],
    async check(subject) {
      const body = { prompt: 'Once upon a time there was a canary.' };
      const before = await countPrompt(subject.engine.target, body, subject.facts.info.model_path);
      return verdict(String(before), String(await counted(subject, body, TEXT_PATH)));
    },
  },
  {
    id: 'tokens/bounds',
    says: 'no prompt has more tokens than its bytes and those that the template adds',
    madeBy: BOUNDS,
    async check(subject) {
      const faults: string[] = [];
      const shares: number[] = [];
      for (const [name, body] of Object.entries(CONVERSATIONS)) {
        const { messages = [], tools = [] } = body;
        const json = tools.length === 0 ? '' : JSON.stringify(tools);
        const added = templateBytes(
          messages,
          { count: tools.length, json },
          subject.shipped?.profile.templateBytes,
        );
        const { min, max } = promptTokenBounds(bytesOf(messages) + bytesOf(json), messages.length, added);
        const count = await countPrompt(subject.engine.target, body, subject.facts.info.model_path);
        shares.push((count ?? 0) / max);
        if (count === null || count > max) faults.push(`${name}: ${count} of at most ${max} (least ${min})`);
      }
      return withoutFaults(
        'within',
        faults,
        `within, at most ${Math.round(100 * Math.max(...shares))} % of the bound`,
      );
    },
  },
  {
    id: 'tokens/control',
    says: 'a control token that the edge has broken is none any more',
    madeBy: ['worker/domain/template-tokens.ts', 'gpu-pool/emulator/tokenizer.ts'],
    async check({ engine, shipped }) {
      if (shipped === undefined) return notApplicable('no shipped profile names its control tokens');
      const rules = templateRules(shipped.profile);
      const tokens = [
        '<｜User｜>',
        '<｜Assistant｜>',
        '<think>',
        '</think>',
        '<｜tool▁calls▁begin｜>',
        '<｜end▁of▁sentence｜>',
        '<|EOT|>',
      ];
      const idsOf = async (text: string) =>
        (await engine.tokenize({ prompt: text, add_special_tokens: false })).tokens;
      const marker = 'a';
      const around = await idsOf(marker);
      const faults: string[] = [];
      let known = 0;
      for (const token of tokens) {
        const raw = (await idsOf(token)).filter((id) => !around.includes(id));
        const broken = await idsOf(breakTokens(token, rules));
        if (raw.length !== 1) continue;
        known += 1;
        if (broken.includes(raw[0]!)) faults.push(`${token} is still a token`);
      }
      return withoutFaults(
        'all are broken',
        faults,
        known === 0 ? 'the tokenizer has none of them' : `${known} of its tokens are broken`,
      );
    },
  },
];
