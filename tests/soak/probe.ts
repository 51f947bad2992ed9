/** Probes whether the pool serves again after the faults have ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import { observedAnswer } from '../e2e/observed-answer.ts';
import { rawPost } from '../e2e/raw-client.ts';

/** Generous: an ejected node is tried again within seconds (worker/domain/routing/breaker.ts). */
const BACK_WITHIN_MS = 45_000;
const PROBES = 12;

/** Waits for a first whole answer, then sends the probes, all of which must be served. */
export async function probe({ url, key }: { url: string; key: string }) {
  const ask = async (n: number) => {
    const answer = await rawPost({
      url: `${url}/v1/chat/completions`,
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({
        model: 'deepseek-reasoner',
        stream: n % 2 === 0,
        messages: [{ role: 'user', content: `Back? ${n} [[reasoning=5 answer=5]]` }],
      }),
    });
    return observedAnswer(answer).ending === 'whole';
  };
  for (const endMs = Date.now() + BACK_WITHIN_MS; Date.now() < endMs && !(await ask(0)); ) await sleep(500);
  const probes: { what: string; served: boolean }[] = [];
  for (let n = 1; n <= PROBES; n++) probes.push({ what: `probe ${n} at the end`, served: await ask(n) });
  return probes;
}
