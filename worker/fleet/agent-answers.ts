/** Whether a node's agent answers at all. No client has a part in the question, so the answer is evidence of its own. */

/** A living agent answers within a round trip; a node that takes longer than this serves nobody. */
const ANSWER_MS_MAX = 2_000;

export async function agentAnswers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/healthz`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
