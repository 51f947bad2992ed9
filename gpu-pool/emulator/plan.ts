/**
 * Plans the whole output of a choice before the first step, from the seed and the prompt. The scheduler only plays
 * it out, so speed and batching never change a text.
 */
import { callTokens, type PlannedCall } from './call-markup.ts';
import { jsonSample } from './json-sample.ts';
import { createRandom, hash32 } from './random.ts';
import type { ChatRequest } from './request.ts';
import { proseTokens } from './text.ts';
import { contentText, EOS, EOS_ID, PART_OF_A_CHARACTER, SILENT, THINK_END, tokenize } from './tokenizer.ts';

/** A token as the weights write it, special ones and the markup of tool calls included: parsers read it afterwards. */
export interface PlannedToken {
  text: string;
  /** Counted as reasoning; the token that closes a thought is. */
  reasoning: boolean;
  /** A part of a character, also the last one, whose text is the character. */
  isPart: boolean;
}

export interface Finish {
  type: 'stop' | 'length' | 'tool_calls' | 'abort';
  /** The stop string, or the id of the end token; null where the limit of length, an abort or, in a whole answer, a call ended it. */
  matched: string | number | null;
}

export interface ChoicePlan {
  tokens: PlannedToken[];
  finish: Finish;
}

/** The longest length that a marker may set, in tokens. */
const MARKED_TOKENS_MAX = 100_000;

/** Tokens of an answer that replace the generated ones, for tests; undefined leaves a request to the generator. */
export type Script = (request: ChatRequest, model: { reasoning: boolean }) => readonly string[] | undefined;

/** Plans one choice. The choices of a request differ; the cache key never matters. */
export function planChoice(
  request: ChatRequest,
  options: {
    /** The emulator's and the request's. */
    seed: string;
    choice: number;
    promptTokens: string[];
    /** The model thinks first. */
    reasoning: boolean;
    /** Tokens of its thought; null: as many as it likes. */
    budget: number | null;
    script?: Script;
  },
): ChoicePlan {
  const written = options.script?.(request, options) ?? generate(request, options);
  const { count, matched } = countToStop(written, request.stop);
  const cut = Math.min(count, request.maxTokens);
  const ended = cut === count && (matched !== null || written.at(-1) === EOS);
  return {
    tokens: countReasoning(written.slice(0, cut), request),
    finish: ended ? { type: 'stop', matched: matched ?? EOS_ID } : { type: 'length', matched: null },
  };
}

/** The engine counts all as reasoning up to and with the token that closes a thought (schedule_batch.py). */
function countReasoning(tokens: readonly string[], { text }: ChatRequest): PlannedToken[] {
  let reasoning = text === null;
  return tokens.map((token, at) => {
    const isPart = [token, tokens[at - 1]].includes(PART_OF_A_CHARACTER);
    const counted = { text: token, reasoning, isPart };
    if (token === THINK_END) reasoning = false;
    return counted;
  });
}

function generate(
  request: ChatRequest,
  {
    seed,
    choice,
    promptTokens,
    reasoning,
    budget,
  }: { seed: string; choice: number; promptTokens: string[]; reasoning: boolean; budget: number | null },
): string[] {
  const random = createRandom(`${seed}|${choice}|${hash32(promptTokens.join(''))}`);
  const lengths = chooseLengths(request, random);
  const whole = reasoning ? thinking(random, lengths.reasoning) : [];
  const isLong = budget !== null && whole.length > budget + 1;
  const thought = isLong ? [...whole.slice(0, budget), THINK_END] : whole;
  // a sample may have too many tokens to be arguments of one push
  return thought.concat(answer(request, { random, lengths }), EOS);
}

/** The tools that this request is to call, which may be none. */
function calledTools(request: ChatRequest, count: number) {
  const { tools, toolChoice } = request;
  if (tools.length === 0 || toolChoice === 'none') return [];
  if (typeof toolChoice === 'object') return tools.filter((tool) => tool.name === toolChoice.name);
  // A model that has received the results of its calls answers instead of calling again.
  const answered = request.messages.at(-1)?.role === 'tool';
  if (toolChoice !== 'required' && (answered || !lastUserText(request).includes('[tool]'))) return [];
  return Array.from({ length: count }, (_, at) => tools[at % tools.length]!);
}

/**
 * Chooses the lengths in tokens and the number of tool calls. For tests, `[[reasoning=50 answer=200 tools=2]]` in
 * the last user message sets them; each length counts its closing special token, so these come to 250.
 */
function chooseLengths(request: ChatRequest, random: () => number) {
  const drawn = { reasoning: 40 + Math.floor(random() ** 2 * 260), answer: 30 + Math.floor(random() * 220) };
  const marker = /\[\[((?:\s*(?:reasoning|answer|tools)=\d+)+)\s*\]\]/.exec(lastUserText(request));
  const marked = Object.fromEntries(
    [...(marker?.[1] ?? '').matchAll(/(\w+)=(\d+)/g)].map(([, name, count]) => [
      name,
      Math.min(Number(count), MARKED_TOKENS_MAX),
    ]),
  );
  return { tools: 1, ...drawn, ...marked };
}

function thinking(random: () => number, count: number): string[] {
  if (count === 0) return [];
  return [
    ...proseTokens(random, { count: count - 1, opening: 'Okay, let me think about this. ' }),
    THINK_END,
  ];
}

/** The answer without its end token. */
function answer(
  request: ChatRequest,
  { random, lengths }: { random: () => number; lengths: { answer: number; tools: number } },
): string[] {
  const tools = calledTools(request, lengths.tools);
  if (tools.length > 0) return callTokens(request.callMarkup, plannedCalls(tools, random), request.maxTokens);
  const { responseFormat } = request;
  if (responseFormat.type !== 'text') {
    const schema = responseFormat.type === 'json_schema' ? responseFormat.schema : ANY_OBJECT;
    return tokenize(jsonSample(schema, random));
  }
  const count = Math.max(0, lengths.answer - 1);
  return proseTokens(random, { count, opening: 'Here is the answer. ' });
}

const ANY_OBJECT = {
  type: 'object',
  properties: { answer: { type: 'string' }, score: { type: 'integer' }, done: { type: 'boolean' } },
};

function* plannedCalls(tools: ChatRequest['tools'], random: () => number): Generator<PlannedCall> {
  for (const { name, parameters } of tools)
    yield { name, arguments: argumentsOf(jsonSample(parameters ?? { type: 'object' }, random)) };
}

/** The arguments as a value, which each family of models writes in its own way. A pattern's text may have broken the JSON. */
function argumentsOf(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return {};
  }
}

/** How many tokens there are up to the one that completes the first stop string, and that string. */
function countToStop(
  tokens: readonly string[],
  stops: readonly string[],
): { count: number; matched: string | null } {
  if (stops.length === 0) return { count: tokens.length, matched: null };
  const longest = Math.max(...stops.map((stop) => stop.length));
  let text = '';
  for (const [at, token] of tokens.entries()) {
    const from = Math.max(0, text.length - longest + 1);
    text += SILENT.has(token) ? '' : token;
    const found = stops
      .map((stop) => ({ stop, position: text.indexOf(stop, from) }))
      .filter(({ position }) => position >= 0)
      .sort((a, b) => a.position - b.position)[0];
    if (found) return { count: at + 1, matched: found.stop };
  }
  return { count: tokens.length, matched: null };
}

function lastUserText(request: ChatRequest): string {
  return contentText(request.messages.findLast((message) => message.role === 'user')?.content);
}
