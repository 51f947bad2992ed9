/** Raw text: what the agent asks for, to take it apart itself. */
import { AnswerParser } from '../../../../gpu-pool/agent/parse/answer-parser.ts';
import { callGrammar, writesList } from '../../../../gpu-pool/agent/parse/call-grammar.ts';
import { knowsCalls } from '../../../../gpu-pool/agent/parse/formats.ts';
import { hasThinkTags } from '../../../../gpu-pool/protocol/constants.ts';
import { type Assumption, notApplicable, verdict } from '../assumption.ts';
import { choicesOf, type Streamed, textOf } from '../direct-engine.ts';
import { freshSalt, freshWord, user } from '../prompts.ts';
import type { Subject } from '../subject.ts';
import { WEATHER } from './tools.ts';

const REQUEST = 'gpu-pool/agent/sglang/request.ts';
const RAW = 'gpu-pool/agent/sglang/raw-answer.ts';

const QUESTION = () => user(`${freshWord()} What is the weather in Paris? [tool] [[reasoning=20]]`);

/** Asks with the prompt's tokens in place of its messages, as the agent does where there are tools. */
async function withTokens({ engine }: Subject, more: object) {
  const messages = QUESTION();
  const { tokens, count } = await engine.tokenize({ messages, tools: [WEATHER] });
  const streamed = await engine.stream({
    messages: user(''),
    input_ids: tokens,
    separate_reasoning: false,
    skip_special_tokens: false,
    max_tokens: 1_000,
    cache_salt: freshSalt(),
    ...more,
  });
  return { ...streamed, count };
}

function fieldsOf({ chunks }: Pick<Streamed, 'chunks'>): string {
  const deltas = choicesOf(chunks).map(({ delta }) => delta);
  const fields = [
    deltas.some((delta) => delta?.content) ? 'content' : [],
    deltas.some((delta) => delta?.reasoning_content) ? 'reasoning' : [],
    deltas.some((delta) => delta?.tool_calls?.length) ? 'calls' : [],
  ];
  return fields.flat().join(', ');
}

export const RAW_TEXT: readonly Assumption[] = [
  {
    id: 'raw/reasoning',
    says: 'with separate_reasoning false the thought stays in the content, with the tag that ends it',
    madeBy: [REQUEST, RAW],
    async check({ engine, reasons }) {
      if (!reasons) return notApplicable('the engine has no reasoning parser');
      const streamed = await engine.stream({
        messages: user(`${freshWord()} How many primes are below 10? [[reasoning=30 answer=20]]`),
        separate_reasoning: false,
        max_tokens: 1_500,
        cache_salt: freshSalt(),
      });
      const tags = textOf(streamed.chunks, 'content').split('</think>').length - 1;
      return verdict(
        'content with an end tag',
        `${fieldsOf(streamed)} with ${tags > 0 ? 'an' : 'no'} end tag`,
      );
    },
  },
  {
    id: 'raw/thought-counted',
    says: 'the engine counts reasoning from the first token on, whether or not it takes the text apart',
    madeBy: [RAW],
    async check({ engine, reasons }) {
      if (!reasons) return notApplicable('the engine has no reasoning parser');
      const { chunks } = await engine.stream({
        messages: user(`${freshWord()} Think. [[reasoning=30]]`),
        separate_reasoning: false,
        max_tokens: 5,
        cache_salt: freshSalt(),
      });
      const first = chunks.find(({ choices }) => choices?.some(({ delta }) => delta?.content));
      const count = first?.usage?.reasoning_tokens ?? 0;
      return verdict('more than 0', String(count), count > 0);
    },
  },
  {
    id: 'raw/tokens',
    says: 'a prompt as input_ids is the prompt of the messages and tools that were tokenized, and calls stay text',
    madeBy: [REQUEST, 'gpu-pool/agent/sglang/tokenize.ts'],
    async check(subject) {
      const { chunks, count } = await withTokens(subject, {});
      const prompt = chunks.find(({ usage }) => usage)?.usage?.prompt_tokens;
      const fields = fieldsOf({ chunks });
      return verdict(
        'the same prompt, content',
        `${prompt === count ? 'the same' : 'another'} prompt, ${fields}`,
      );
    },
  },
  {
    id: 'raw/grammar',
    says: 'a grammar of calls as response_format, behind the thought, makes the model call in its own format',
    madeBy: ['gpu-pool/agent/parse/call-grammar.ts'],
    async check(subject) {
      const { reasoning_parser: reasoning, tool_call_parser: tools } = subject.facts.settings;
      if (!knowsCalls(tools) || !hasThinkTags(reasoning))
        return notApplicable('the agent leaves this family to the engine');
      const { name, parameters } = WEATHER.function;
      const grammar = callGrammar(tools, {
        calls: 'must',
        tools: [{ name, parameters: { ...parameters }, strict: true }],
      });
      const { chunks } = await withTokens(subject, { response_format: grammar });
      const calls = { tools: [{ name, parameters }], priorCalls: 0, list: writesList(tools) };
      const parser = new AnswerParser(
        { parsers: { reasoning, tools }, calls },
        { thinking: subject.reasons },
      );
      const pieces = [...parser.feed(textOf(chunks, 'content')), ...parser.end({ cut: false })];
      const called = pieces.flatMap((piece) => (piece.kind === 'call' ? piece.name : []));
      const cut = choicesOf(chunks).some(({ finish_reason: finish }) => finish === 'length');
      if (called.length === 0 && cut) return notApplicable('no thought ended within its tokens');
      return verdict(name, [...new Set(called)].join(', ') || 'no call');
    },
  },
];
