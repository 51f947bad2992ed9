/**
 * Ids of stored responses and their items. The id of a response is the request's, with a secret behind it: what is stored can
 * be found and opened only with the id, which the caller has and we do not keep (seal.ts). Ids of items have the same
 * middle part, so that an item leads to its response.
 */
import { randomText, timeOfId } from '../../domain/ids.ts';

/** 120 bits: nobody guesses them, and every id stays below the 64 characters that OpenAI's clients allow. */
const SECRET_LENGTH = 24;
const RESPONSE_ID = /^resp_([0-9a-hjkmnp-tv-z]{50})$/;
const ITEM_ID = /^[a-z]{2,8}_([0-9a-hjkmnp-tv-z]{50})_(i?)\d{1,5}$/;

export function newStoredSecret(): string {
  return randomText(SECRET_LENGTH);
}

export function isStoredResponseId(id: string): boolean {
  return RESPONSE_ID.test(id);
}

/** The response that an item belongs to, as part of its input or output; null: no stored item has such an id. */
export function responseOfItem(id: string): { responseId: string; section: 'input' | 'output' } | null {
  const [, suffix, isInput] = ITEM_ID.exec(id) ?? [];
  return suffix === undefined
    ? null
    : { responseId: `resp_${suffix}`, section: isInput ? 'input' : 'output' };
}

const INPUT_PREFIX: Readonly<Record<string, string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  function_call_output: 'fco',
  custom_tool_call: 'ctc',
  custom_tool_call_output: 'ctco',
};

export function inputItemId(type: unknown, suffix: string, index: number): string {
  return `${INPUT_PREFIX[String(type)] ?? 'item'}_${suffix}_i${index}`;
}

/** When the request of a response was made (ms). */
export function storedIdTime(responseId: string): number {
  return timeOfId(responseId);
}
