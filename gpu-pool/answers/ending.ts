/**
 * How an answer ended, in the words of each dialect. Agents loop on it: they run the calls of an answer that ended with calls,
 * ask on after one that was cut off, and stop after one that ended.
 */
import type { FinishReason } from '../protocol/schemas.ts';

export interface Ending {
  readonly finish: FinishReason;
  /** With `stop`: the stop sequence that ended the answer. */
  readonly sequence?: string | undefined;
}

/**
 * The ending that a choice really has: one with calls ended with them, one without did not, whatever its engine says.
 * Reasons for which a model was cut off stay, also behind whole calls: it had more to say.
 */
export function trueEnding({ finish, sequence }: Ending, { hasCalls }: { hasCalls: boolean }): Ending {
  if (isCut(finish)) return { finish };
  if (hasCalls) return { finish: 'tool_calls' };
  return sequence === undefined ? { finish: 'stop' } : { finish: 'stop', sequence };
}

/** Whether the model had more to say. */
export function isCut(finish: FinishReason): boolean {
  return finish !== 'stop' && finish !== 'tool_calls';
}

/** Anthropic's words. @param ending null: credit ran out, or the engine gave no reason */
export function messageEnding(ending: Ending | null): { stop_reason: string; stop_sequence: string | null } {
  const { finish, sequence = null } = ending ?? { finish: 'length' as const };
  const isSequence = finish === 'stop' && sequence !== null;
  return {
    stop_reason: isSequence ? 'stop_sequence' : STOP_REASONS[finish],
    stop_sequence: isSequence ? sequence : null,
  };
}

const STOP_REASONS: Record<FinishReason, string> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
  content_filter: 'refusal',
  insufficient_system_resource: 'max_tokens',
};

/** Why a response of OpenAI's is incomplete; null: it is complete. @param finish null: as above */
export function incompleteReason(finish: FinishReason | null): 'max_output_tokens' | 'content_filter' | null {
  if (finish === 'content_filter') return finish;
  return isCut(finish ?? 'length') ? 'max_output_tokens' : null;
}
