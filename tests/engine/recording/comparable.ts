/**
 * Answers made comparable between an engine and the emulator. Only this may differ, and only this is taken out:
 *
 * - ids and times, which are kept as far as they are told apart: the same id is the same name in both;
 * - the number of tokens of a prompt, since the emulator has no tokenizer of its own for the made vocabulary: it becomes
 *   the word `prompt`, and totals and cached tokens are written in terms of it;
 * - which of several choices was heard last, whose id the last frames have;
 * - the wording of other libraries: what pydantic, jsonschema and xgrammar say of a request that they refuse. The agent
 *   reads statuses only;
 * - the values of log-probabilities, and which tokens the alternatives are;
 * - how tokens are grouped into frames: a busy engine sends two tokens in one frame, and the choices of a request in any
 *   order. Adjacent frames of one choice and one kind are joined, each choice stands for itself, and what belongs to no
 *   choice follows.
 */
import type { Answer } from './exchange.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers of any shape are walked through
type Json = any;

export function comparable(answer: Answer): unknown {
  const { frames, ...rest } = answer;
  const names = new Map<string, string>();
  const plain = (value: Json): Json => withoutChance(value, names);
  return frames === undefined ? { ...rest, body: plain(rest.body) } : { ...rest, ...byChoice(frames, plain) };
}

/** The engine's description of itself: names and types, since it is another machine with other weights. */
export function shapeOf(value: Json): Json {
  if (Array.isArray(value))
    return value.length > 0 && typeof value[0] === 'object' ? [shapeOf(value[0])] : 'list';
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shapeOf(each)]));
}

/** The members of an object, in order, and their types: enough of five hundred arguments. */
export function typesOf(value: object): Record<string, string> {
  const entries = Object.entries(value).map(([name, each]): [string, string] => {
    if (each === null) return [name, 'null'];
    return [name, Array.isArray(each) ? 'array' : typeof each];
  });
  return Object.fromEntries(entries.sort());
}

/** Frames of each choice in order, and behind all of them the frames of none. */
function byChoice(frames: readonly Json[], plain: (value: Json) => Json) {
  const choices: Record<number, Json[]> = {};
  const rest: Json[] = [];
  let endsLast = true;
  for (const frame of frames) {
    const choice = frame?.choices?.[0];
    if (choice === undefined) {
      rest.push(frame);
      continue;
    }
    // Behind what belongs to no choice nothing of a choice may come.
    if (rest.length > 0) endsLast = false;
    const own = choices[choice.index] ?? [];
    choices[choice.index] = own;
    const last = own.at(-1);
    if (last !== undefined && canJoin(last, frame)) own[own.length - 1] = joined(last, frame);
    else own.push(frame);
  }
  const own = Object.keys(choices).map((index) => choices[Number(index)]!);
  const ids = new Set(own.flat().map(({ id }) => id));
  const ofSomeChoice = (frame: Json) => (ids.has(frame?.id) ? { ...frame, id: 'of a choice' } : frame);
  const anyEnd = (frame: Json) => (frame.choices[0].finish_reason === null ? frame : ofSomeChoice(frame));
  return {
    choices: own.map((each) => each.map(anyEnd).map(plain)),
    rest: rest.map(ofSomeChoice).map(plain),
    endsLast,
  };
}

/** Members of a delta that hold text. */
const TEXTS = ['content', 'reasoning_content', 'text'];

function textOf(frame: Json): { name: string; holder: Json } | null {
  const [choice] = frame.choices;
  const holder = choice.delta ?? choice;
  const name = TEXTS.find((each) => typeof holder[each] === 'string');
  const isPlain = choice.finish_reason === null && holder.role !== 'assistant' && !holder.tool_calls;
  return isPlain && name !== undefined ? { name, holder } : null;
}

function canJoin(left: Json, right: Json): boolean {
  const [one, other] = [textOf(left), textOf(right)];
  const shape = (frame: Json) =>
    JSON.stringify([Object.keys(frame), Object.keys(frame.choices[0].delta ?? {})]);
  // Log-probabilities of a token without text come with a frame of their own, or with the next.
  const isSilent = (frame: Json) =>
    frame.choices[0].logprobs !== null && frame.choices[0].finish_reason === null;
  if (one !== null && other === null && isSilent(right) && !right.choices[0].delta?.role) return true;
  return one !== null && one.name === other?.name && shape(left) === shape(right);
}

function joined(left: Json, right: Json): Json {
  const result = structuredClone(right);
  const [one, other] = [textOf(left)!, textOf(result)];
  if (other) other.holder[other.name] = one.holder[one.name] + other.holder[other.name];
  else result.choices[0].delta = left.choices[0].delta;
  const [before, after] = [left.choices[0].logprobs, result.choices[0].logprobs];
  if (before?.content && after?.content) after.content = [...before.content, ...after.content];
  else if (before && after)
    for (const name of Object.keys(after)) after[name] = [...before[name], ...after[name]];
  return result;
}

function withoutChance(value: Json, names: Map<string, string>, member = ''): Json {
  if (Array.isArray(value)) {
    if (member === 'top_logprobs') return value.length === 0 ? [] : [`${value.length} alternatives`];
    if (member === 'bytes') return 'bytes';
    return value.map((each) => withoutChance(each, names, member === 'token_logprobs' ? 'logprob' : member));
  }
  if (typeof value === 'object' && value !== null) {
    if ('prompt_tokens' in value) return usage(value);
    const entries = Object.entries(value).map(([name, each]) => [name, withoutChance(each, names, name)]);
    return Object.fromEntries(entries);
  }
  if (member === 'logprob' && typeof value === 'number') return 'logarithm';
  if (member === 'message' && typeof value === 'string') return ownWords(value);
  if (member === 'created' || member === 'timestamp') return typeof value;
  if (member === 'id' && typeof value === 'string') return nameOf(value, names);
  return value;
}

/** SGLang's part of a message. */
function ownWords(message: string): string {
  return message
    .replace(/^\d+ validation errors?:.*$/s, '(pydantic)')
    .replace(/\d+ tokens: \d+ tokens from/, '(total) tokens: (prompt) tokens from')
    .replace(/(?<=invalid 'parameters' schema: |Failed to compile json grammar: ).*$/s, '(schema)');
}

function nameOf(id: string, names: Map<string, string>): string {
  const kind = id.replaceAll(/[0-9a-f]{24,32}/g, (digits) => `(${digits.length} digits)`);
  if (!names.has(id)) names.set(id, `${kind} ${names.size}`);
  return names.get(id)!;
}

function usage(value: Json): Json {
  const { prompt_tokens: prompt, total_tokens: total, completion_tokens: completion } = value;
  const cached = value.prompt_tokens_details?.cached_tokens;
  return {
    ...value,
    prompt_tokens: 'prompt',
    total_tokens: total === prompt + completion ? 'prompt + completion' : total,
    ...(cached > 0
      ? {
          prompt_tokens_details: {
            ...value.prompt_tokens_details,
            cached_tokens: cached === prompt - 1 ? 'prompt - 1' : cached,
          },
        }
      : {}),
  };
}
