/**
 * Plans the whole output of a choice before the first step, from the seed and the prompt. The scheduler only plays
 * it out, so speed and batching never change a text.
 */
import { jsonSample } from './json-sample.ts';
import { createRandom, hash32 } from './random.ts';
import type { ChatRequest } from './request.ts';
import { proseTokens } from './text.ts';
import { contentText, EOS, EOS_ID, THINK_END, tokenize } from './tokenizer.ts';

export interface ToolDelta {
  index: number;
  id: string | null;
  name: string | null;
  arguments: string;
}

export interface PlannedToken {
  /** The token itself, as the prefix cache keeps it. */
  text: string;
  /** The text that the client sees of it: empty for special tokens and for text behind a stop string. */
  shown: string;
  reasoning: boolean;
  tool?: ToolDelta;
}

export interface Finish {
  type: 'stop' | 'length' | 'abort';
  /** The stop string, or the id of the end token; null when the length limit ended it. */
  matched: string | number | null;
}

export interface ChoicePlan {
  tokens: PlannedToken[];
  finish: Finish;
}

/** The longest length that a marker may set, in tokens. */
const MARKED_TOKENS_MAX = 100_000;

/** Plans one choice. The choices of a request differ; the cache key never matters. */
export function planChoice(
  request: ChatRequest,
  {
    seed,
    choice,
    promptTokens,
    reasoning,
  }: { seed: number; choice: number; promptTokens: string[]; reasoning: boolean },
): ChoicePlan {
  const random = createRandom(`${seed}|${request.seed ?? ''}|${choice}|${hash32(promptTokens.join(''))}`);
  const lengths = chooseLengths(request, random);
  const thought = reasoning ? thinking(random, lengths.reasoning) : [];
  // a sample may have too many tokens to be arguments of one push
  const tokens = thought.concat(answer(request, { random, lengths }), hidden(EOS));
  const stopped = cutAtStop(tokens, request.stop);
  if (tokens.length > request.maxTokens) {
    return { tokens: tokens.slice(0, request.maxTokens), finish: { type: 'length', matched: null } };
  }
  return { tokens, finish: { type: 'stop', matched: stopped ?? EOS_ID } };
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

function thinking(random: () => number, count: number): PlannedToken[] {
  if (count === 0) return [];
  const tokens = proseTokens(random, { count: count - 1, opening: 'Okay, let me think about this. ' });
  return [...tokens.map((text) => visible(text, true)), { ...hidden(THINK_END), reasoning: true }];
}

/** The answer without its end token. */
function answer(
  request: ChatRequest,
  { random, lengths }: { random: () => number; lengths: { answer: number; tools: number } },
): PlannedToken[] {
  const tools = calledTools(request, lengths.tools);
  if (tools.length > 0) return toolCalls(request, tools, random);
  const { responseFormat } = request;
  if (responseFormat.type !== 'text') {
    const schema = responseFormat.type === 'json_schema' ? responseFormat.schema : ANY_OBJECT;
    return tokenize(JSON.stringify(jsonSample(schema, random))).map((text) => visible(text, false));
  }
  const count = Math.max(0, lengths.answer - 1);
  return proseTokens(random, { count, opening: 'Here is the answer. ' }).map((text) => visible(text, false));
}

const ANY_OBJECT = {
  type: 'object',
  properties: { answer: { type: 'string' }, score: { type: 'integer' }, done: { type: 'boolean' } },
};

/** Calls until there are more tokens than may be sent: arguments can be long, and `tools=` can ask for many calls. */
function toolCalls(
  { maxTokens }: ChatRequest,
  tools: ChatRequest['tools'],
  random: () => number,
): PlannedToken[] {
  const calls: PlannedToken[][] = [];
  let planned = 0;
  for (const [index, tool] of tools.entries()) {
    if (planned > maxTokens) break;
    const call = toolCall(tool, { index, random });
    planned += call.length;
    calls.push(call);
  }
  return calls.flat();
}

function toolCall(
  tool: ChatRequest['tools'][number],
  { index, random }: { index: number; random: () => number },
): PlannedToken[] {
  const id = `call_${Array.from({ length: 24 }, () => Math.floor(random() * 16).toString(16)).join('')}`;
  const args = JSON.stringify(jsonSample(tool.parameters ?? { type: 'object' }, random));
  return [
    hidden('<｜tool▁call▁begin｜>'),
    { ...hidden(tool.name), tool: { index, id, name: tool.name, arguments: '' } },
    // Later deltas carry null for id and name (serving_chat.py, `_process_tool_call_stream`).
    ...tokenize(args).map((text) => ({
      ...hidden(text),
      tool: { index, id: null, name: null, arguments: text },
    })),
    hidden('<｜tool▁call▁end｜>'),
  ];
}

/**
 * Ends the output with the token that completes the first stop string and hides the string itself. Counted tokens
 * include it, shown text does not. Returns the stop string, or null where none occurs.
 */
function cutAtStop(tokens: PlannedToken[], stops: string[]): string | null {
  if (stops.length === 0) return null;
  const longest = Math.max(...stops.map((stop) => stop.length));
  let text = '';
  for (const [at, token] of tokens.entries()) {
    const from = Math.max(0, text.length - longest + 1);
    text += token.shown;
    const found = stops
      .map((stop) => ({ stop, position: text.indexOf(stop, from) }))
      .filter(({ position }) => position >= 0)
      .sort((a, b) => a.position - b.position)[0];
    if (!found) continue;
    tokens.length = at + 1;
    hideTail(tokens, text.length - found.position);
    return found.stop;
  }
  return null;
}

function hideTail(tokens: PlannedToken[], characters: number): void {
  let left = characters;
  for (let at = tokens.length - 1; left > 0; at--) {
    const token = tokens[at]!;
    const shown = token.shown.slice(0, Math.max(0, token.shown.length - left));
    left -= token.shown.length - shown.length;
    tokens[at] = { ...token, shown };
  }
}

function lastUserText(request: ChatRequest): string {
  return contentText(request.messages.findLast((message) => message.role === 'user')?.content);
}

function visible(text: string, reasoning: boolean): PlannedToken {
  return { text, shown: text, reasoning };
}

function hidden(text: string): PlannedToken {
  return { text, shown: '', reasoning: false };
}
