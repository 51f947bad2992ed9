/** A conversation's home: the node that gave its last answer. The Wallet returns it with the hold. */
import { runDurableObjectAlarm } from 'cloudflare:test';
import { expect, it, vi } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import { env, usage, walletWith } from './fixtures.ts';

const CONVERSATION = 3_735_928_559;
const KEEP_MS = 25 * 3_600_000;

/** A Wallet, and calls that are all about one conversation. */
async function conversationWith(conversation: number) {
  const { wallet, admit, accountId } = await walletWith(nanoUsd(100_000_000));
  const named = { conversation };
  const home = async () => {
    const admitted = await admit(named);
    return admitted.ok ? admitted.home : expect.unreachable();
  };
  const answer = async (nodeId: string, promptTokens: number, requestId = newId('req', Date.now())) => {
    await admit({ requestId, ...named });
    const post = {
      requestId,
      nodeId,
      usage: usage(promptTokens, 0, 5),
      ending: 'finished',
      ttftMs: 1,
    } as const;
    await wallet.post({ ...post, ...named });
    return post;
  };
  return { wallet, home, answer, accountId, admit };
}

it('has no home before the first answer, then the node of the last one', async () => {
  const { home, answer } = await conversationWith(CONVERSATION);
  expect(await home()).toBeNull();
  await answer('node_a', 100);
  expect(await home()).toEqual({ nodeId: 'node_a', promptTokens: 100 });
  await answer('node_b', 170);
  expect(await home()).toEqual({ nodeId: 'node_b', promptTokens: 170 });
});

it('is kept per conversation, and not for a request that names none', async () => {
  const { home, answer, wallet, admit } = await conversationWith(CONVERSATION);
  await answer('node_a', 100);
  const unnamed = await admit();
  expect(unnamed.ok && unnamed.home).toBeNull();
  await wallet.post({ ...(await answer('node_a', 100)), nodeId: 'node_c', conversation: 7 });
  expect(await home()).toEqual({ nodeId: 'node_a', promptTokens: 100 });
});

it('belongs to one account', async () => {
  const { answer } = await conversationWith(CONVERSATION);
  await answer('node_a', 100);
  const { home } = await conversationWith(CONVERSATION);
  expect(await home()).toBeNull();
});

it('is forgotten after a day, when no node’s cache has the conversation any more', async () => {
  const { home, answer, accountId } = await conversationWith(CONVERSATION);
  await answer('node_a', 100);
  vi.useFakeTimers({ now: Date.now() + KEEP_MS, toFake: ['Date'] });
  await runDurableObjectAlarm(env.WALLET.getByName(accountId));
  expect(await home()).toBeNull();
});
