/** Formats lines of a batch's output file and error file, in the format of OpenAI's Batch API. */
import type { BatchFault } from '../domain/batch-line.ts';

/** The result of a line that became a request. @param body JSON text, passed on unchanged */
export function answerLine(
  { customId, requestId }: { customId: string; requestId: string },
  { status, body }: { status: number; body: string },
): string {
  const custom = JSON.stringify(customId);
  const response = `{"status_code":${status},"request_id":"${requestId}","body":${body}}`;
  return `{"id":"batch_${requestId}","custom_id":${custom},"response":${response},"error":null}`;
}

/** The result of a line that never became a request. */
export function faultLine(id: string, customId: string | null, fault: BatchFault): string {
  return JSON.stringify({ id, custom_id: customId, response: null, error: fault });
}
