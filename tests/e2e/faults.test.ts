/** Kills edge, agents and engines (SIGKILL), and checks what must hold then and that all records agree. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalNode } from '../../gpu-pool/local/stack.ts';
import { operatorApi } from '../../gpu-pool/local/stack.ts';
import {
  api,
  balance,
  chatBody,
  eventsOf,
  eventually,
  expectLaws,
  type Local,
  runningAt,
  startLocal,
} from './local.ts';
import { readStoredState } from './stored-state.ts';

let local: Local;
let ids: Map<string, string>;
beforeAll(async () => {
  local = await startLocal({ settings: { TRIAL_GRANT_NANO_USD: '50000000000' } });
  ids = new Map(local.nodes.map(({ id, name }) => [name, id]));
});
afterAll(() => local.end());

const storedState = () => readStoredState(local.stateDir, local.nodes);

interface Streamed {
  status: number;
  events: string[];
  text: string;
  /** True when the connection broke before the body ended. */
  broken: boolean;
}

async function stream(content: string): Promise<Streamed> {
  let response: Response;
  try {
    response = await api(local, '/v1/chat/completions', {
      method: 'POST',
      body: chatBody(content, { stream: true }),
    });
  } catch {
    return { status: 0, events: [], text: '', broken: true };
  }
  let text = '';
  let broken = false;
  try {
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) text += decoder.decode(chunk, { stream: true });
  } catch {
    broken = true;
  }
  return { status: response.status, events: eventsOf(text), text, broken };
}

/** Runs a job `count` times, `width` at a time. */
async function inParallel<T>(count: number, width: number, job: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let i = next++; i < count; i = next++) results[i] = await job(i);
    }),
  );
  return results;
}

async function health(name: string): Promise<string | undefined> {
  const audit = await operatorApi<{ audit: { subject: string; action: string; actor: string }[] }>(
    local.stack.edge,
    'GET',
    '/audit?limit=200',
  );
  return audit.audit.find(({ subject, actor }) => subject === ids.get(name) && actor === 'pool')?.action;
}

describe('a node that is killed', () => {
  it('costs only the answers that had begun on it, returns, and leaves all records in agreement', async () => {
    const victim = local.stack.nodes[0]!;
    let killed = false;
    const results = await inParallel(200, 20, async (i) => {
      if (i === 60) {
        // the kill must interrupt several answers
        await eventually(async () => (await runningAt(victim)) >= 3);
        victim.agent.signal('SIGKILL');
        victim.engine.signal('SIGKILL');
        killed = true;
      }
      return {
        afterKill: killed,
        ...(await stream(`Request ${i}. [[reasoning=60 answer=${40 + (i % 7) * 20}]]`)),
      };
    });

    const whole = results.filter(({ events }) => events.at(-1) === '[DONE]');
    const cut = results.filter(({ events }) => events.at(-1) !== '[DONE]');
    expect(results.filter(({ status }) => status !== 200)).toEqual([]);
    for (const { events, broken } of cut) {
      expect(broken).toBe(false);
      expect(JSON.parse(events.at(-1)!)).toMatchObject({ error: { code: 'node_failed' } });
    }
    // requests that were not running at the kill were served by the other nodes
    expect(cut.length).toBeGreaterThan(0);
    expect(cut.length).toBeLessThanOrEqual(20);
    expect(whole.length + cut.length).toBe(200);
    expect(results.filter(({ afterKill }) => afterKill).length).toBeGreaterThan(20);
    expect(cut.filter(({ afterKill }) => afterKill)).toEqual([]);

    await victim.restartEngine();
    await victim.restartAgent();
    await eventually(async () => (await health(victim.name)) === 'node.up', 45_000);
    await eventually(async () => {
      const answers = await inParallel(20, 10, (i) =>
        stream(`Back? ${i} ${Math.random()} [[reasoning=5 answer=5]]`),
      );
      expect(answers.every(({ events }) => events.at(-1) === '[DONE]')).toBe(true);
      return (await storedState().engines.get(victim.name))!.size > 0 && (await hasServed(victim));
    });

    await expectLaws(local);
  });

  async function hasServed(node: LocalNode): Promise<boolean> {
    const seen = (await (await fetch(`${node.engine.ready}/emulator/requests`)).json()) as
      | unknown[]
      | { requests: unknown[] };
    return (Array.isArray(seen) ? seen : seen.requests).length > 0;
  }
});

describe('an edge that is killed', () => {
  it('loses and doubles no acknowledged charge, and its holds are settled from receipts', async () => {
    const acknowledged: { id: string; cost: number }[] = [];
    let killing: Promise<void> | null = null;
    const results = await inParallel(60, 12, async (i) => {
      if (i === 24) {
        killing = (async () => {
          local.stack.edge.signal('SIGKILL');
          await local.stack.edge.exited;
          await local.stack.restartEdge();
        })();
      }
      if (killing && i > 24) await killing;
      const answer = await stream(`Under fire ${i}. [[reasoning=100 answer=100]]`);
      const last = answer.events.at(-2);
      if (answer.events.at(-1) === '[DONE]' && last) {
        const { id, usage } = JSON.parse(last) as { id: string; usage: { cost_nano_usd: number } };
        acknowledged.push({ id, cost: usage.cost_nano_usd });
      }
      return answer;
    });
    expect(results.filter(({ events }) => events.at(-1) !== '[DONE]').length).toBeGreaterThan(0);
    expect(acknowledged.length).toBeGreaterThan(20);

    await expectLaws(local);
    const { accounts, engines } = storedState();
    const requests = accounts.flatMap(({ request = [] }) => request);
    const charges = new Map(requests.map((row) => [row.request_id, row.charge_nano_usd]));
    expect(charges.size).toBe(requests.length);
    for (const { id, cost } of acknowledged) expect(charges.get(id)).toBe(cost);
    const settled = requests.filter(({ ending }) => ending === 'settled_by_receipt');
    expect(settled.length).toBeGreaterThan(0);
    for (const { request_id, node_id, completion_tokens } of settled) {
      const name = [...ids].find(([, id]) => id === node_id)![0];
      expect(engines.get(name)!.get(request_id)!.completionTokens).toBe(completion_tokens);
    }
    expect((await balance(local)).held_balance).toBe('0.00');
  });
});

describe('a pool without nodes', () => {
  it('rejects at once with Retry-After, charges nothing, and serves again when nodes return', async () => {
    for (const { agent } of local.stack.nodes) agent.signal('SIGKILL');
    const before = await balance(local);
    const refused = await eventually(async () => {
      const response = await api(local, '/v1/chat/completions', {
        method: 'POST',
        body: chatBody('Anyone?'),
      });
      return response.status === 503 ? response : null;
    });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ error: { type: 'overloaded' } });
    // the repeated requests made the key busy: the credit that its lease holds is returned later
    await eventually(async () => (await balance(local)).held_balance === before.held_balance);
    expect(await balance(local)).toEqual(before);
    await Promise.all(local.stack.nodes.map((node) => node.restartAgent()));
    await eventually(
      async () => (await stream('Back. [[reasoning=5 answer=5]]')).events.at(-1) === '[DONE]',
      45_000,
    );
    await expectLaws(local);
  });
});
