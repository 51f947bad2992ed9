/** Where a conversation's last answer was made: the Wallet tells it with the hold. */
import { runDurableObjectAlarm } from 'cloudflare:test';
import { expect, it, vi } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import { env, usage, walletWith } from './fixtures.ts';

const CONVERSATION = 3_735_928_559;
const KEEP_MS = 25 * 3_600_000;

async function talk(conversation: number) {
  const { wallet, admit, accountId } = await walletWith(nanoUsd(100_000_000));
  const about = { conversation };
  const home = async () => {
    const admitted = await admit(about);
    return admitted.ok ? admitted.home : expect.unreachable();
  };
  const answer = async (nodeId: string, promptTokens: number, requestId = newId('req', Date.now())) => {
    await admit({ requestId, ...about });
    const post = {
      requestId,
      nodeId,
      usage: usage(promptTokens, 0, 5),
      ending: 'finished',
      ttftMs: 1,
    } as const;
    await wallet.post({ ...post, ...about });
    return post;
  };
  return { wallet, home, answer, accountId, admit };
}

it('is nowhere before the first answer, then where the last one was', async () => {
  const { home, answer } = await talk(CONVERSATION);
  expect(await home()).toBeNull();
  await answer('node_a', 100);
  expect(await home()).toEqual({ nodeId: 'node_a', promptTokens: 100 });
  await answer('node_b', 170);
  expect(await home()).toEqual({ nodeId: 'node_b', promptTokens: 170 });
});

it('is kept for each conversation, and for none that was not named', async () => {
  const { home, answer, wallet, admit } = await talk(CONVERSATION);
  await answer('node_a', 100);
  const unnamed = await admit();
  expect(unnamed.ok && unnamed.home).toBeNull();
  await wallet.post({ ...(await answer('node_a', 100)), nodeId: 'node_c', conversation: 7 });
  expect(await home()).toEqual({ nodeId: 'node_a', promptTokens: 100 });
});

it('is the account’s own', async () => {
  const { answer } = await talk(CONVERSATION);
  await answer('node_a', 100);
  const { home } = await talk(CONVERSATION);
  expect(await home()).toBeNull();
});

it('is forgotten after a day, when no cache has it any more', async () => {
  const { home, answer, accountId } = await talk(CONVERSATION);
  await answer('node_a', 100);
  vi.useFakeTimers({ now: Date.now() + KEEP_MS, toFake: ['Date'] });
  await runDurableObjectAlarm(env.WALLET.getByName(accountId));
  expect(await home()).toBeNull();
});
