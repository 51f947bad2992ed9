/**
 * The engine's own log of what it generated, written before any of it reaches the wire. It is independent evidence
 * against which bills and receipts are checked. It holds counts, never text.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import type { FaultKind } from './faults.ts';

/** Lines of the file, one JSON object each. `t` is engine time in milliseconds; counts sum over choices. */
export type LogLine =
  | { t: number; start: string; prompt_tokens: number; cached_tokens: number }
  /** One line a step: rid → [completion tokens, reasoning tokens], cumulative. */
  | { t: number; step: Record<string, [number, number]> }
  /** Scripted faults that struck a request: the counts that the engine then reports may be wrong. */
  | { t: number; struck: string; faults: FaultKind[] }
  | {
      t: number;
      end: string;
      prompt_tokens: number;
      cached_tokens: number;
      completion_tokens: number;
      reasoning_tokens: number;
      finish: string;
    };

export interface EngineLog {
  write(line: LogLine): void;
  close(): void;
}

/**
 * Opens the log. Lines are appended synchronously: once a token is on the wire its line is with the kernel, and
 * SIGKILL cannot lose it.
 */
export function openEngineLog(path: string | undefined): EngineLog {
  if (path === undefined) return { write() {}, close() {} };
  const file = openSync(path, 'a+');
  const { size } = fstatSync(file);
  const last = Buffer.alloc(1);
  // A process that was killed in the middle of a line must not swallow the first line of this one.
  if (size > 0 && readSync(file, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a) writeSync(file, '\n');
  return {
    write: (line) => void writeSync(file, `${JSON.stringify(line)}\n`),
    close: () => closeSync(file),
  };
}

export interface LoggedRequest {
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  reasoningTokens: number;
  finished: boolean;
  /** stop, length or abort (joined by commas for several choices); null while it is not finished */
  finish: string | null;
  /** How often this rid was started; the counts are those of the last attempt. */
  attempts: number;
  /** Scripted faults that struck it. */
  faults: FaultKind[];
}

/** Reads a log, also one that was cut off in the middle of a line. */
export function readEngineLog(path: string): Map<string, LoggedRequest> {
  const requests = new Map<string, LoggedRequest>();
  for (const text of readFileSync(path, 'utf8').split('\n')) {
    const line = parseLine(text);
    if (!line) continue;
    if ('start' in line) {
      const previous = requests.get(line.start);
      const attempts = (previous?.attempts ?? 0) + 1;
      requests.set(line.start, {
        ...emptyEntry(),
        ...countsOf(line),
        attempts,
        faults: previous?.faults ?? [],
      });
    } else if ('struck' in line) {
      const previous = requests.get(line.struck) ?? { ...emptyEntry(), attempts: 0 };
      requests.set(line.struck, { ...previous, faults: [...previous.faults, ...line.faults] });
    } else if ('step' in line) {
      for (const [rid, [completionTokens, reasoningTokens]] of Object.entries(line.step)) {
        requests.set(rid, { ...(requests.get(rid) ?? emptyEntry()), completionTokens, reasoningTokens });
      }
    } else {
      // A request that was aborted while it waited has an end line and no start line.
      const previous = requests.get(line.end);
      const attempts =
        previous === undefined || previous.finished || previous.attempts === 0
          ? (previous?.attempts ?? 0) + 1
          : previous.attempts;
      requests.set(line.end, {
        ...countsOf(line),
        completionTokens: line.completion_tokens,
        reasoningTokens: line.reasoning_tokens,
        finished: true,
        finish: line.finish,
        attempts,
        faults: previous?.faults ?? [],
      });
    }
  }
  return requests;
}

function parseLine(text: string): LogLine | undefined {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return undefined;
  }
}

function countsOf(line: { prompt_tokens: number; cached_tokens: number }) {
  return { promptTokens: line.prompt_tokens, cachedTokens: line.cached_tokens };
}

function emptyEntry(): LoggedRequest {
  return {
    promptTokens: 0,
    cachedTokens: 0,
    completionTokens: 0,
    reasoningTokens: 0,
    finished: false,
    finish: null,
    attempts: 1,
    faults: [],
  };
}
