/**
 * Reads SGLang's chat stream as NodeChunks: engine-only fields are dropped, nulls omitted, usage made cumulative,
 * finish reasons mapped. Pure: the caller supplies the bytes and keeps the deadlines.
 */
import * as z from 'zod';
import { FINISH_REASONS, type FinishReason, type NodeChunk, type NodeUsage } from '../../protocol/schemas.ts';
import type { AnswerFormat } from '../parse/answer-parser.ts';
import { THINK_END } from '../parse/thought.ts';
import type { RequestError } from '../request-error.ts';
import { type EngineChoice, readEngineChunk } from './engine-chunk.ts';
import { fromErrorEvent } from './engine-error.ts';
import { JsonAnswer, type Part } from './json-answer.ts';
import { OneCall } from './one-call.ts';
import { RawAnswer } from './raw-answer.ts';
import { StopStrings, type TextPiece } from './stop-strings.ts';
import { type UsageAnomaly, UsageMeter } from './usage.ts';

type Choice = NodeChunk['choices'][number];
type Delta = Choice['delta'];

export type ReadResult =
  /** `chunk` is null where the event brings nothing new. */
  { kind: 'chunk'; chunk: NodeChunk | null } | { kind: 'error'; error: RequestError } | { kind: 'malformed' };

/** The answer of a pass over the prompt; of its only choice nothing but the end is of interest. */
const PromptPass = z.object({
  choices: z.array(z.object({ finish_reason: z.string().nullish() })).min(1),
  usage: z.unknown().optional(),
});

export class StreamReader {
  readonly #meter: UsageMeter;
  readonly #choices: number;
  /** By choice, where the answer has to be JSON. */
  readonly #answers: JsonAnswer[] | null;
  /** By choice, where the request has stop strings. */
  readonly #stops: StopStrings[];
  /** By choice, where the answer ends behind its first call. */
  readonly #oneCall: OneCall[];
  readonly #stopped: number[] = [];
  readonly #onChoiceId: (choice: number, id: string) => void;
  readonly #newCallId: () => string;
  /** By choice, where the engine sends raw text. */
  #raw: RawAnswer[] = [];
  readonly #begun = new Set<number>();
  readonly #finished = new Set<number>();
  #usage: NodeUsage;
  #abortedByEngine = false;
  /** The raw text of the only choice, where its thought may have to be closed. */
  #text: string[] | null = null;
  /** The thought has been closed, and the engine has not gone on behind it. */
  #closing = false;

  /** `json`: the answer has to be JSON. `maxTokens` is the claim, over all choices. */
  constructor(options: {
    choices: number;
    maxTokens: number;
    json: boolean;
    /** Texts that end the answer. */
    stop: readonly string[];
    /** Whether each choice ends behind its first call. */
    oneCall?: boolean;
    /** A new id for a call that the agent finds in raw text. */
    newCallId(): string;
    /** Called with the id under which the engine knows a choice. */
    onChoiceId(choice: number, id: string): void;
    onAnomaly(kind: UsageAnomaly): void;
  }) {
    this.#meter = new UsageMeter(options);
    this.#choices = options.choices;
    const each = Array.from({ length: options.choices });
    this.#answers = options.json ? each.map(() => new JsonAnswer()) : null;
    this.#stops = options.stop.length === 0 ? [] : each.map(() => new StopStrings(options.stop));
    this.#oneCall = options.oneCall ? each.map(() => new OneCall()) : [];
    this.#onChoiceId = options.onChoiceId;
    this.#newCallId = options.newCallId;
    this.#usage = this.#meter.current();
  }

  /** Takes the choices apart itself, from the raw text that the engine was asked for; null: the engine has done it. */
  readAs(format: AnswerFormat | null): void {
    const options = { newCallId: this.#newCallId };
    // The engine finds no end of a thought behind one, and counts all as reasoning.
    if (format?.goesOnIn === 'answer') this.#meter.countNoReasoning();
    this.#raw =
      format === null
        ? []
        : Array.from({ length: this.#choices }, () => new RawAnswer({ format, ...options }));
  }

  /**
   * Reads the whole answer of a pass over the prompt, for its count of what was cached.
   * @returns whether the pass was completed
   */
  readPromptPass(answer: unknown): boolean {
    const parsed = PromptPass.safeParse(answer);
    if (!parsed.success || parsed.data.choices.some((choice) => choice.finish_reason === 'abort'))
      return false;
    this.#meter.readPromptPass(parsed.data.usage);
    return true;
  }

  /** Keeps the raw text of the only choice, so that the engine can go on from it. */
  keepText(): void {
    this.#text ??= [];
  }

  /** The raw text so far. */
  get text(): string {
    return (this.#text ?? []).join('');
  }

  /** Tokens of a choice so far, where they all are a thought that goes on; null: they are not. */
  openThought(choice: number): number | null {
    if (this.#finished.has(choice)) return null;
    const tokens = this.#meter.generatedOf(choice);
    const raw = this.#raw[choice];
    // Where the engine takes the answer apart, its count of reasoning stays behind once the thought has ended.
    const isOpen = raw === undefined ? this.#meter.reasoningOf(choice) === tokens : raw.thinking;
    return isOpen ? tokens : null;
  }

  /**
   * Closes the thought of the only choice. Until `goOn`, what the engine still sends is counted and passed on no more.
   * @param limit tokens that the thought may count
   */
  closeThought(limit: number): NodeChunk {
    this.#closing = true;
    this.#meter.closeThought(limit);
    this.#text?.push(THINK_END);
    const parts = this.#raw[0]?.feed(THINK_END, undefined, null) ?? [];
    return { choices: this.#pass(0, parts, null), usage: this.usage };
  }

  /** The engine has stopped: what is read from now on follows the closed thought. */
  goOn(): void {
    this.#closing = false;
    this.#meter.goOn();
  }

  get usage(): NodeUsage {
    return this.#meter.current();
  }

  /** Tokens that the engine generated past the claim. */
  get overrunTokens(): number {
    return this.#meter.overrunTokens;
  }

  /** Tokens of a thought past its budget. */
  get overBudgetTokens(): number {
    return this.#meter.overBudgetTokens;
  }

  /** Whether the engine has generated more than the claim allows. */
  get isPastClaim(): boolean {
    return this.#meter.isPastClaim;
  }

  /** Whether every choice has its finish reason: only a last usage can follow. */
  get complete(): boolean {
    return this.#finished.size === this.#choices;
  }

  /** Whether the engine sent `finish_reason: "abort"`. */
  get abortedByEngine(): boolean {
    return this.#abortedByEngine;
  }

  /** The choices that the agent has ended since the last call, at a stop string or behind a call; the engine still generates them. */
  takeStopped(): number[] {
    return this.#stopped.splice(0);
  }

  /** Whether the engine has begun every choice. */
  get allBegun(): boolean {
    return this.#begun.size === this.#choices;
  }

  read(data: string): ReadResult {
    const read = readEngineChunk(data);
    if (read === null) return { kind: 'malformed' };
    const { id, error, usage } = read;
    if (error !== undefined && error !== null) return { kind: 'error', error: fromErrorEvent(error) };
    const engineChoices = read.choices ?? [];
    if (engineChoices.some(({ index }) => index >= this.#choices)) return { kind: 'malformed' };
    if (engineChoices.length === 0 && usage === undefined) return { kind: 'chunk', chunk: null };

    for (const { index } of engineChoices) {
      this.#begun.add(index);
      if (id) this.#onChoiceId(index, id);
    }
    this.#meter.read(
      usage,
      engineChoices.map(({ index }) => index),
    );
    if (this.#closing) return { kind: 'chunk', chunk: null };
    const reported = usage !== undefined && usage !== null;
    const choices = engineChoices.flatMap((choice) => this.#choice(choice, reported));
    return { kind: 'chunk', chunk: this.#chunk(choices) };
  }

  /** Ends choices with the finish reason "length": those that are named, or every open one. */
  cutAtLimit(named?: readonly number[]): NodeChunk {
    const open = Array.from({ length: this.#choices }, (_, index) => index).filter(
      (index) => !this.#finished.has(index),
    );
    const choices = (named ?? open).flatMap((index) =>
      this.#pass(index, [], { reason: 'length', stopped: {} }),
    );
    return { choices, usage: this.usage };
  }

  #chunk(choices: Choice[]): NodeChunk | null {
    const usage = this.#meter.current();
    if (choices.length === 0 && !hasAdvanced(usage, this.#usage)) return null;
    this.#usage = usage;
    return { choices, usage };
  }

  #choice(choice: EngineChoice, reported: boolean): Choice[] {
    const { index } = choice;
    const delta = toDelta(choice.delta ?? { content: choice.text });
    const empty = isBare(delta);
    const finish = toFinish(choice.finish_reason);
    const logprobs = choice.logprobs ?? undefined;
    const matched = choice.matched_stop;
    const stopped = finish === 'stop' && typeof matched === 'string' ? { stop_sequence: matched } : {};
    if (!empty) this.#meter.delta(index, reported);
    if (this.#finished.has(index)) return [];
    if (finish === 'abort') this.#abortedByEngine = true;
    const ending = finish === 'abort' ? null : finish;
    const parts = empty && logprobs === undefined ? [] : this.#takenApart(index, { delta, logprobs });
    return this.#pass(
      index,
      this.#asJson(index, parts),
      ending === null ? null : { reason: ending, stopped },
    );
  }

  /** The parts of raw text; a part that the engine has taken apart itself stays as it is. */
  #takenApart(index: number, part: Part): Part[] {
    const { content = '', reasoning_content: reasoning, tool_calls: calls } = part.delta;
    const raw = this.#raw[index];
    if (raw === undefined || reasoning !== undefined || calls !== undefined) return [part];
    this.#text?.push(content);
    return raw.feed(content, part.logprobs, this.#meter.reasoningOf(index));
  }

  #asJson(index: number, parts: Part[]): Part[] {
    const answer = this.#answers?.[index];
    return answer === undefined ? parts : parts.flatMap((part) => answer.feed(part));
  }

  /** The text that was held back, at the end of a choice. */
  #rest(index: number, reason: FinishReason): Part[] {
    const rest = this.#raw[index]?.end({ cut: reason === 'length' }) ?? [];
    return [...this.#asJson(index, rest), ...(this.#answers?.[index]?.end(reason) ?? [])];
  }

  /** The part as far as a choice of one call has it. */
  #upToOneCall(index: number, part: Part): { part: Part; ended: boolean } {
    const oneCall = part.delta.tool_calls === undefined ? undefined : this.#oneCall[index];
    return oneCall?.feed(part) ?? { part, ended: false };
  }

  /** Passes parts on up to a stop string, or to the end of an only call, then the end of the choice where it has come. */
  #pass(
    index: number,
    parts: Part[],
    end: { reason: FinishReason; stopped: { stop_sequence?: string } } | null,
  ): Choice[] {
    const stops = this.#stops[index];
    // Nothing but text of its choice: nearly every event.
    if (end === null && stops === undefined && this.#oneCall.length === 0)
      return parts.filter((part) => !isEmpty(part)).map((part) => toChoice(index, part));
    const all = end === null ? parts : [...parts, ...this.#rest(index, end.reason)];
    const choices: Choice[] = [];
    /** Ends the choice, which the engine may still generate. */
    const stop = (ending: Pick<Choice, 'finish_reason' | 'stop_sequence'>): Choice[] => {
      this.#finished.add(index);
      this.#stopped.push(index);
      return [...choices, { index, delta: {}, ...ending }];
    };
    for (const whole of all) {
      const { part, ended } = this.#upToOneCall(index, whole);
      const { content } = part.delta;
      if (content === undefined || stops === undefined) {
        // Text that might have become a stop string comes before a call.
        const held = part.delta.tool_calls === undefined ? [] : (stops?.flush() ?? []);
        choices.push(...held.map((piece) => toContent(index, piece)));
        if (!isEmpty(part)) choices.push(toChoice(index, part));
        if (ended) return stop({ finish_reason: 'tool_calls' });
        continue;
      }
      const { pieces, matched } = stops.feed({ text: content, logprobs: part.logprobs });
      choices.push(...pieces.map((piece) => toContent(index, piece)));
      if (matched !== null) return stop({ finish_reason: 'stop', stop_sequence: matched });
    }
    if (end === null) return choices;
    this.#finished.add(index);
    const rest = (stops?.flush() ?? []).map((piece) => toContent(index, piece));
    const calls = end.reason === 'stop' && this.#raw[index]?.hasCalls;
    return [
      ...choices,
      ...rest,
      calls
        ? { index, delta: {}, finish_reason: 'tool_calls' }
        : { index, delta: {}, finish_reason: end.reason, ...end.stopped },
    ];
  }
}

function hasAdvanced(now: NodeUsage, before: NodeUsage): boolean {
  return (
    now.completion_tokens > before.completion_tokens ||
    now.prompt_tokens > before.prompt_tokens ||
    now.cached_tokens > before.cached_tokens ||
    now.reasoning_tokens > before.reasoning_tokens
  );
}

function isEmpty({ delta, logprobs }: Part): boolean {
  return isBare(delta) && logprobs === undefined;
}

/** Whether a delta has no field. */
function isBare({ content, reasoning_content, tool_calls }: Delta): boolean {
  return content === undefined && reasoning_content === undefined && tool_calls === undefined;
}

function toChoice(index: number, { delta, logprobs }: Part): Choice {
  const choice: Choice = { index, delta, finish_reason: null };
  if (logprobs !== undefined) choice.logprobs = logprobs;
  return choice;
}

function toContent(index: number, { text, logprobs }: TextPiece): Choice {
  return toChoice(index, { delta: { content: text }, logprobs });
}

/** Every delta of SGLang carries each field, null or empty: only fields with content are passed on. */
function toDelta(delta: EngineChoice['delta']): Delta {
  const calls = delta?.tool_calls?.map((call) => ({
    index: call.index ?? 0,
    ...(call.id ? { id: call.id, type: 'function' as const } : {}),
    function: {
      ...(call.function?.name ? { name: call.function.name } : {}),
      ...(call.function?.arguments ? { arguments: call.function.arguments } : {}),
    },
  }));
  const kept: Delta = {};
  if (delta?.content) kept.content = delta.content;
  if (delta?.reasoning_content) kept.reasoning_content = delta.reasoning_content;
  if (calls?.length) kept.tool_calls = calls;
  return kept;
}

/** Maps a finish reason. 'abort' exists in SGLang only; any other unknown reason counts as 'stop'. */
function toFinish(reason: string | null | undefined): FinishReason | 'abort' | null {
  if (reason === null || reason === undefined || reason === '') return null;
  if (reason === 'abort') return 'abort';
  return FINISH_REASONS.find((known) => known === reason) ?? 'stop';
}
