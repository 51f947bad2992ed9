/**
 * The model's context and a node's count of the prompt: what is too long is refused and costs nothing, what was worked on is
 * billed as counted, and a count that the request cannot have is refused, with a finding that names the cause.
 */
import { eq } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { drift, nodeReceipt } from '../../../worker/db/schema.ts';
import { promptTokenBounds } from '../../../worker/domain/hold.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { rendered } from '../../../worker/gateway/rendered.ts';
import { R1_RULES } from '../../model-profiles.ts';
import { answer, type FakeNode, freshNetwork, stream } from '../fake-node.ts';
import { sendRaw } from '../raw-request.ts';
import { publish, receiptOf, usage } from '../wallet/fixtures.ts';
import { Customer, costOf, env, newModel } from './client.ts';

const network = freshNetwork();
const db = database(env);
const CONTEXT = 131_072;
const words = (count: number) => ({ messages: [{ role: 'user', content: 'a '.repeat(count) }] });

/** The answer of a new agent to a prompt that it has counted and that is too long. */
const tooLong = () =>
  Response.json(
    {
      error: {
        code: 'bad_request',
        message: 'The prompt is too long.',
        context: { prompt_tokens: 157_526, context_tokens: CONTEXT },
      },
    },
    { status: 400 },
  );

async function nodesOf(model: string): Promise<readonly { health: string }[]> {
  return (await env.POOL.getByName(model).snapshot()).nodes;
}

/** Sends the node's receipt of a request, as its heartbeat would. @returns the findings about the request */
async function findingsAfter(
  customer: Customer,
  { node, requestId }: { node: FakeNode; requestId: string },
  counted: ReturnType<typeof usage>,
  outcome: 'finished' | 'aborted' = 'aborted',
) {
  await customer.wallet.reconcile([receiptOf(requestId, node.id, counted, outcome)]);
  await publish(customer.wallet);
  const findings = await db.select().from(drift).where(eq(drift.requestId, requestId));
  const [receipt] = await db.select().from(nodeReceipt).where(eq(nodeReceipt.requestId, requestId));
  return { findings, reason: receipt?.writeOffReason };
}

describe('a prompt past the published context', () => {
  it.each([
    ['/v1/chat/completions', 'messages', (body: object) => body],
    ['/v1/messages', 'messages', (body: object) => ({ ...body, max_tokens: 5 })],
    ['/v1/responses', 'input', () => ({ input: 'a '.repeat(90_000) })],
    ['/v1/completions', 'prompt', () => ({ prompt: 'a '.repeat(90_000) })],
  ])(
    'is refused by the node that counted it, at %s, in the form of its dialect',
    async (path, param, bodyOf) => {
      for (const streamed of [true, false]) {
        const model = newModel();
        const nodes = [await network().add(model, tooLong), await network().add(model, tooLong)];
        const customer = await Customer.withCredit(usd(1));
        const body = JSON.stringify({ ...bodyOf(words(90_000)), model, stream: streamed });
        const { status, headers, error, text } = await sendRaw(customer, { path, body });
        expect(status).toBe(400);
        expect(error!.message).toContain('157526 tokens');
        expect(error!.message).toContain(String(CONTEXT));
        const openai = { type: 'invalid_request_error', code: 'context_length_exceeded', param };
        const anthropic = { type: 'error', error: { type: 'invalid_request_error' } };
        expect(JSON.parse(text)).toMatchObject(path === '/v1/messages' ? anthropic : { error: openai });
        expect(headers.get('x-should-retry')).toBe('false');
        expect(await customer.balance()).toMatchObject({ heldNanoUsd: 0, availableNanoUsd: usd(1) });
        // No other node would count less, and none is to blame.
        expect(nodes.flatMap(({ received }) => received)).toHaveLength(1);
        expect((await nodesOf(model)).every(({ health }) => health === 'up')).toBe(true);
      }
    },
  );

  it('tells the node the context and how much the bytes can be, so that it counts only what may be too long', async () => {
    const model = newModel();
    const node = await network().add(model, answer({ content: ['yes'] }));
    const customer = await Customer.withCredit(usd(1));
    const { messages } = words(10);
    await customer.ask({ model, messages });
    const { contentBytes } = rendered({ messages: messages as never }, R1_RULES);
    expect(node.received[0]!.claims).toMatchObject({
      context_tokens: CONTEXT,
      prompt_tokens_max: promptTokenBounds(contentBytes, 1).max,
    });
  });

  it.each([true, false])(
    'that a node of an older version serves all the same is refused at its first count (stream: %s)',
    async (streamed) => {
      const model = newModel();
      const node = await network().add(model, () => stream(answer({ prompt: 157_526, content: ['a', 'b'] })));
      const customer = await Customer.withCredit(usd(1));
      const { status, chunks, requestId, record } = await customer.ask({
        model,
        stream: streamed,
        ...words(90_000),
      });
      expect(status).toBe(400);
      expect(chunks[0]!.error).toMatchObject({ code: 'context_length_exceeded', param: 'messages' });
      expect(chunks[0]!.error!.message).toContain('157526');
      expect(node.aborts).toEqual([requestId]);
      expect(record).toMatchObject({ state: 'voided', ending: 'implausible', chargeNanoUsd: 0 });
      expect(await customer.balance()).toMatchObject({ heldNanoUsd: 0, availableNanoUsd: usd(1) });
      expect((await nodesOf(model))[0]!.health).toBe('up');
      const { findings, reason } = await findingsAfter(customer, { node, requestId }, usage(157_526, 0, 1));
      expect(findings).toMatchObject([{ kind: 'implausible', detail: { countedPrompt: 157_526 } }]);
      expect(reason).toBe('implausible');
    },
  );

  it('is served and billed to its last token', async () => {
    const model = newModel();
    await network().add(model, () => stream(answer({ prompt: CONTEXT, cached: 64, content: ['a'] })));
    const customer = await Customer.withCredit(usd(1));
    const { record } = await customer.ask({ model, ...words(90_000) });
    expect(record).toMatchObject({
      usage: { promptTokens: CONTEXT, cachedTokens: 64 },
      chargeNanoUsd: costOf(CONTEXT, 1, 64),
    });
  });
});

describe('a count of the prompt', () => {
  const tools = [{ type: 'function' as const, function: { name: 'f', parameters: { enum: [1, 2, 3] } } }];
  const messages = [{ role: 'user' as const, content: 'hi' }];
  const { contentBytes, templateBytes } = rendered({ messages, tools }, R1_RULES);
  const bound = promptTokenBounds(contentBytes, 1, templateBytes).max;

  it('that tools make larger than the bytes sent is billed as counted', async () => {
    const model = newModel();
    const counted = promptTokenBounds(contentBytes, 1).max + 36;
    await network().add(model, () => stream(answer({ prompt: counted, content: ['a'] })));
    const customer = await Customer.withCredit(usd(1));
    const { record } = await customer.ask({ model, messages, tools });
    expect(record).toMatchObject({
      usage: { promptTokens: counted },
      chargeNanoUsd: costOf(counted, 1),
      ending: 'finished',
    });
  });

  it('that the request can just have is billed; one more is refused, and another node answers', async () => {
    const model = newModel();
    const most = await network().add(model, () => stream(answer({ prompt: bound, content: ['a'] })));
    const customer = await Customer.withCredit(usd(1));
    const { record } = await customer.ask({ model, messages, tools });
    expect(record!.usage.promptTokens).toBe(bound);

    most.script = () => stream(answer({ prompt: bound + 1, content: ['a'] }));
    const alone = await customer.ask({ model, messages, tools, stream: true });
    expect(alone.status).toBe(502);
    expect(alone.chunks[0]!.error).toMatchObject({ code: 'node_failed' });
    expect(alone.record).toMatchObject({ state: 'voided', ending: 'implausible', chargeNanoUsd: 0 });
    const given = { node: most, requestId: alone.requestId };
    const { findings, reason } = await findingsAfter(customer, given, usage(bound + 1, 0, 1));
    expect(findings).toMatchObject([{ kind: 'implausible', nodeId: most.id }]);
    expect(reason).toBe('implausible');
  });

  it('that is impossible does not reach the client of a whole answer: another node gives it', async () => {
    const model = newModel();
    const customer = await Customer.withCredit(usd(1));
    const script = () =>
      stream(answer({ prompt: network().calls.length === 1 ? bound + 1 : 20, content: ['a'] }));
    await network().add(model, script);
    await network().add(model, script);
    const { status, record } = await customer.ask({ model, messages, tools });
    expect([status, network().calls.filter((call) => call.endsWith('/v1/generate')).length]).toEqual([
      200, 2,
    ]);
    expect(record).toMatchObject({ ending: 'finished', usage: { promptTokens: 20 } });
    // The node that miscounted counts as failed: this account's requests avoid it for a while.
    const mistaken = network().calls[0]!;
    for (let turn = 0; turn < 12; turn++)
      await customer.ask({ model, messages: [{ role: 'user', content: `another opening ${turn}` }] });
    expect(network().calls.filter((made) => made === mistaken)).toHaveLength(1);
  });

  it('past what is held grows the hold, and ends the answer only where credit does', async () => {
    const model = newModel();
    await network().add(model, () => stream(answer({ prompt: bound, content: ['a', 'b', 'c'] })));
    const rich = await Customer.withCredit(nanoUsd(costOf(bound, 3)));
    const served = await rich.ask({ model, messages, tools });
    expect(served.record).toMatchObject({ ending: 'finished', chargeNanoUsd: costOf(bound, 3) });
    expect((await rich.balance()).availableNanoUsd).toBe(0);

    const poor = await Customer.withCredit(nanoUsd(costOf(bound - 1, 0)));
    const cut = await poor.ask({ model, messages, tools });
    expect(cut.status).toBe(402);
    expect(cut.record).toMatchObject({ ending: 'insufficient_balance', chargeNanoUsd: 0 });
  });
});
