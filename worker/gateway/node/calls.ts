/** Calls to a node about a request that it is answering. */
import { ABORT_PATH, EXTEND_PATH } from '../../../gpu-pool/protocol/constants.ts';
import type { NodeView } from '../../domain/node.ts';

/** Timeout of a call. The end of an answer that ran out of credit, and text that waits for a larger hold, wait for one. */
const CALL_DEADLINE_MS = 3_000;

export class NodeCalls {
  readonly #url: string;
  readonly #headers: () => Promise<Record<string, string>>;

  /** @param headers with a fresh token: the one that began the request expires after a minute or two */
  constructor({ url }: NodeView, headers: () => Promise<Record<string, string>>) {
    this.#url = url;
    this.#headers = headers;
  }

  /** Asks the agent to stop the engine. @throws when the node is out of reach */
  async abort(): Promise<void> {
    const response = await this.#post(ABORT_PATH);
    await response.body?.cancel();
  }

  /**
   * Tells the agent what the request's hold pays for.
   * @returns the money that the answer keeps to: more than was said where it has cost that already; null: it has ended
   * @throws when the node is out of reach
   */
  async extend(heldNanoUsd: number): Promise<number | null> {
    const response = await this.#post(EXTEND_PATH, JSON.stringify({ held_nano_usd: heldNanoUsd }));
    if (!response.ok) {
      await response.body?.cancel();
      return null;
    }
    const { held_nano_usd: kept } = (await response.json()) as { held_nano_usd?: unknown };
    return typeof kept === 'number' ? kept : null;
  }

  async #post(path: string, body?: string): Promise<Response> {
    return fetch(this.#url + path, {
      method: 'POST',
      headers: await this.#headers(),
      ...(body !== undefined && { body }),
      redirect: 'manual',
      signal: AbortSignal.timeout(CALL_DEADLINE_MS),
    });
  }
}
