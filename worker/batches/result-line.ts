/** Lines of a batch's output and of its errors, as OpenAI has them. */
import type { BatchFault } from '../domain/batch-line.ts';

/** @param body JSON text, passed on as it is */
export function answerLine(
  { customId, requestId }: { customId: string; requestId: string },
  { status, body }: { status: number; body: string },
): string {
  const custom = JSON.stringify(customId);
  const response = `{"status_code":${status},"request_id":"${requestId}","body":${body}}`;
  return `{"id":"batch_${requestId}","custom_id":${custom},"response":${response},"error":null}`;
}

/** A line that never became a request. */
export function faultLine(id: string, customId: string | null, fault: BatchFault): string {
  return JSON.stringify({ id, custom_id: customId, response: null, error: fault });
}
