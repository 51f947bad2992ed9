/**
 * The agent's lines to the edge within an answer. They begin with a colon, which makes them comments of server-sent events. No
 * model can write one: its text is JSON within a line, whose line breaks are escaped.
 *
 * A mark says how far the answer has come: `: u <prompt>,<cached>,<completion>,<reasoning>,<events>,<ms>`, and a seventh
 * number while the answer waits for a larger hold. `: end {…}` is the last line.
 */
import { TOKENS_MAX } from '../protocol/constants.ts';
import type { NodeError, NodeUsage } from '../protocol/schemas.ts';
import type { Tail } from './formatter.ts';

export interface Mark {
  /** Usage of the part that has been written. While the answer waits, the prompt's counts are those of the part that waits. */
  readonly usage: NodeUsage;
  /** Events written so far; 0 in a whole answer. */
  readonly events: number;
  /** Milliseconds since the agent has taken the request. */
  readonly ms: number;
  /** The completion tokens that the held money does not pay for and that wait first in line; null: nothing waits. */
  readonly waiting: number | null;
}

/** How an answer ended, as its last line has it. */
export interface EndLine {
  /** aborted: the edge, or the node's own end, has stopped it. */
  readonly ended: 'finished' | 'aborted' | 'failed';
  readonly error?: NodeError['error'];
  /** Usage of all that the engine has generated, delivered or not. */
  readonly generated: NodeUsage;
  /** Empty when the answer failed. */
  readonly tail: Tail;
}

const MARK = ': u ';
const END = ': end ';
export const KEEP_ALIVE = ': keep-alive';

/** The line of a mark, without its line break. */
export function markLine({ usage, events, ms, waiting }: Mark): string {
  const { prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens } = usage;
  const counts = [prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, events, ms];
  return MARK + (waiting === null ? counts : [...counts, waiting]).join();
}

/** The last line, without its line break. */
export function endLine(end: EndLine): string {
  return END + JSON.stringify(end);
}

/** Reads a line from the agent; null: it says nothing, as a keep-alive. @throws RangeError when it breaks the protocol */
export function readLine(line: string): { mark: Mark } | { end: EndLine } | null {
  if (line.startsWith(MARK)) return { mark: readMark(line.slice(MARK.length)) };
  return line.startsWith(END) ? { end: readEnd(line.slice(END.length)) } : null;
}

function readMark(text: string): Mark {
  const counts = text.split(',').map((count) => (/^\d{1,15}$/.test(count) ? Number(count) : Number.NaN));
  const [prompt, cached, completion, reasoning, events, ms, waiting = null] = counts;
  if (counts.length < 6 || counts.length > 7 || counts.some(Number.isNaN)) violation('a mark');
  const usage = {
    prompt_tokens: prompt!,
    cached_tokens: cached!,
    completion_tokens: completion!,
    reasoning_tokens: reasoning!,
  };
  return { usage: sound(usage), events: events!, ms: ms!, waiting };
}

function readEnd(json: string): EndLine {
  let end: Partial<EndLine> | null = null;
  try {
    end = JSON.parse(json);
  } catch {}
  const { ended, error, generated, tail } = end ?? {};
  const isKnown = ended === 'finished' || ended === 'aborted' || ended === 'failed';
  const isWhole = isKnown && (ended === 'failed') === (error !== undefined);
  if (!isWhole || typeof tail !== 'object' || tail === null) return violation('an end');
  return { ended, ...(error && { error: readError(error) }), generated: sound(generated), tail };
}

function readError(error: Partial<NodeError['error']>): NodeError['error'] {
  if (typeof error.code !== 'string' || typeof error.message !== 'string') violation('an error');
  return error as NodeError['error'];
}

function sound(usage: NodeUsage | undefined): NodeUsage {
  const {
    prompt_tokens = -1,
    cached_tokens = -1,
    completion_tokens = -1,
    reasoning_tokens = -1,
  } = usage ?? {};
  const counts = { prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens };
  const areCounts = Object.values(counts).every(
    (count) => Number.isInteger(count) && count >= 0 && count <= TOKENS_MAX,
  );
  if (!areCounts || cached_tokens > prompt_tokens || reasoning_tokens > completion_tokens) violation('usage');
  return counts;
}

function violation(what: string): never {
  throw new RangeError(`${what} breaks the protocol`);
}

/**
 * A streamed answer without what the agent says to the edge: its marks, keep-alives and signs of life, each a block of events
 * that begins with a colon. @param text beginning at the beginning of a block
 */
export function withoutMarks(text: string): string {
  let kept = '';
  let at = 0;
  while (at < text.length) {
    const isOurs = text[at] === ':';
    if (isOurs) {
      const end = text.indexOf('\n\n', at);
      at = end < 0 ? text.length : end + 2;
      continue;
    }
    const next = text.indexOf('\n\n:', at);
    const end = next < 0 ? text.length : next + 2;
    kept += text.slice(at, end);
    at = end;
  }
  return kept;
}

/** The object of a whole answer, among the agent's lines; null: it is not there. */
export function objectLine(text: string): string | null {
  return text.split('\n').find((line) => line.startsWith('{')) ?? null;
}
