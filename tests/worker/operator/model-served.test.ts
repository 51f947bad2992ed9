/** A model that no file of ours names is added through the console, and serves a streamed, billed, tool-calling request. */
import { afterEach, expect, it, vi } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { PRICE_NOTICE_MS } from '../../../worker/domain/price-change.ts';
import { profileWith } from '../../model-profiles.ts';
import { DONE, freshNetwork, stream, usageOf } from '../fake-node.ts';
import { Customer } from '../gateway/client.ts';
import { operatorBrowser } from '../portal/operator/console.ts';

const network = freshNetwork();
afterEach(() => vi.useRealTimers());

it('is sold a minute after it was added', async () => {
  const console = await operatorBrowser();
  const profile = profileWith({
    owner: 'nobody',
    repository: 'nobody/novel-1',
    controlTokens: ['<|novel|>'],
    sampling: { temperature: 0.6 },
  });
  const form = {
    id: 'novel-1',
    name: 'Novel',
    aliases: 'nobody/Novel-1',
    modelPaths: 'nobody/novel-1',
    revision: 'novel-1',
    license: 'MIT',
    contextTokens: '32768',
    outputTokensMax: '8192',
    outputTokensDefault: '4096',
    profile: JSON.stringify(profile),
    standardHit: '0.1',
    standardMiss: '0.5',
    standardOutput: '2',
    ...{ batchHit: '', batchMiss: '', batchOutput: '', source: 'test' },
  };
  expect((await console.post('/operator/models/new', form)).status).toBe(303);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + PRICE_NOTICE_MS + 1_000 });

  const call = { index: 0, id: 'c1', type: 'function' as const, function: { name: 'look', arguments: '{}' } };
  const node = await network().add('novel-1', () =>
    stream([
      {
        choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: 'tool_calls' }],
        usage: usageOf(20, 5),
      },
      DONE,
    ]),
  );
  const customer = await Customer.withCredit(usd(1));
  const answer = await customer.ask({
    model: 'Nobody/Novel-1',
    stream: true,
    messages: [{ role: 'user', content: 'Look <|novel|>' }],
    tools: [{ type: 'function', function: { name: 'look' } }],
  });
  expect([answer.status, answer.record?.state]).toEqual([200, 'posted']);
  expect(answer.text).toContain('"name":"look"');
  expect(answer.record?.chargeNanoUsd).toBe(20 * 500 + 5 * 2_000);
  const { request } = node.received[0]!;
  expect(request.temperature).toBe(0.6);
  expect(request.messages![0]!.content).not.toContain('<|novel|>');
});
