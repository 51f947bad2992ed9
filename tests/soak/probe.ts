/** Whether the pool serves again once the faults are off. */
import { setTimeout as sleep } from 'node:timers/promises';
import { rawPost } from '../e2e/raw-client.ts';
import { witnessed } from '../e2e/witness.ts';

/** A node that was ejected gets its next chance within seconds; see worker/domain/routing/breaker.ts. */
const BACK_WITHIN_MS = 45_000;
const PROBES = 12;

/** Waits for a first answer, then asks for more, all of which must be whole. */
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
    return witnessed(answer).ending === 'whole';
  };
  for (const endMs = Date.now() + BACK_WITHIN_MS; Date.now() < endMs && !(await ask(0)); ) await sleep(500);
  const probes: { what: string; served: boolean }[] = [];
  for (let n = 1; n <= PROBES; n++) probes.push({ what: `probe ${n} at the end`, served: await ask(n) });
  return probes;
}
