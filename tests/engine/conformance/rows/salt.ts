/** Isolation of accounts in the prefix cache. */
import { type Assumption, verdict } from '../assumption.ts';
import { totalOf } from '../direct-engine.ts';
import { freshSalt, freshWord, user } from '../prompts.ts';
import type { Subject } from '../subject.ts';

const SALT = 'worker/gateway/cache-salt.ts';

async function cachedOf({ engine }: Subject, prompt: string, keys: object): Promise<number> {
  const { chunks } = await engine.stream({ messages: user(prompt), max_tokens: 2, ...keys });
  return totalOf(chunks)?.prompt_tokens_details?.cached_tokens ?? 0;
}

const longPrompt = () => `${freshWord()} ${'Miners took a canary along in a cage. '.repeat(30)}`;

export const SALTS: readonly Assumption[] = [
  {
    id: 'salt/isolates',
    says: 'a prompt is found in the cache under its own salt, and under no other or none',
    madeBy: [SALT, 'gpu-pool/agent/sglang/request.ts', 'worker/domain/canary.ts'],
    async check(subject) {
      const [own, other] = [freshSalt(), freshSalt()];
      const prompt = longPrompt();
      const seen: number[] = [];
      for (const salt of [own, own, other]) seen.push(await cachedOf(subject, prompt, { cache_salt: salt }));
      const without = await cachedOf(subject, prompt, {});
      const [first = 0, second = 0, third = 0] = seen;
      return verdict(
        '0, many, 0, and at most the beginning of every prompt without a salt',
        `${first}, ${second}, ${third}, ${without}`,
        first === 0 && second > 60 && third === 0 && without < 16,
      );
    },
  },
  {
    id: 'salt/own-namespace',
    says: 'salt and extra key are two things: what one of each has cached is not found under a salt that is both',
    madeBy: [SALT, 'gpu-pool/emulator/request.ts'],
    async check(subject) {
      const [salt, key] = [freshSalt(), freshSalt()];
      const prompt = longPrompt();
      await cachedOf(subject, prompt, { cache_salt: salt, extra_key: key });
      const joined = await cachedOf(subject, prompt, { cache_salt: salt + key });
      return verdict('0 cached', `${joined} cached`);
    },
  },
];
