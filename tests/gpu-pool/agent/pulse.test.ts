/** The agent's pulse: what it stands for, and when the agent sends a heartbeat instead. */
import { exportJWK, generateKeyPair } from 'jose';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { HeartbeatLoop, type HeartbeatOptions } from '../../../gpu-pool/agent/heartbeat.ts';
import type { NodeState } from '../../../gpu-pool/agent/node-state.ts';
import type { PulseSocket } from '../../../gpu-pool/agent/pulse.ts';
import {
  HEARTBEAT_CALL,
  HEARTBEAT_INTERVAL_MS,
  type Heartbeat,
  NO_LOAD,
  PULSE,
  PULSE_ANSWER,
  type Receipt,
} from '../../../gpu-pool/protocol/schemas.ts';

class FakeSocket implements PulseSocket {
  readonly sent: string[] = [];
  isClosed = false;
  answers = true;
  onopen: PulseSocket['onopen'] = null;
  onmessage: PulseSocket['onmessage'] = null;
  onclose: PulseSocket['onclose'] = null;
  onerror: PulseSocket['onerror'] = null;
  send = (text: unknown) => {
    this.sent.push(String(text));
    if (text === PULSE && this.answers) this.say(PULSE_ANSWER);
  };
  close = () => {
    this.isClosed = true;
  };
  open() {
    this.onopen?.call(this as unknown as WebSocket, new Event('open'));
  }
  say(data: string) {
    this.onmessage?.call(this as unknown as WebSocket, { data } as MessageEvent);
  }
  drop() {
    this.onclose?.call(this as unknown as WebSocket, {} as CloseEvent);
  }
  get pulses() {
    return this.sent.filter((text) => text === PULSE).length;
  }
}

let heartbeats: Heartbeat[];
let sockets: FakeSocket[];
let receipts: Receipt[];
let report: ReturnType<HeartbeatOptions['report']>;
let allows: boolean;
let acknowledges: boolean;
let loop: HeartbeatLoop;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  heartbeats = [];
  sockets = [];
  receipts = [];
  allows = true;
  acknowledges = true;
  const engine = { healthy: true, version: '1', model_path: 'm', weight_version: 'w' };
  report = { engine, load: NO_LOAD, in_flight: 0, draining: false };
  vi.stubGlobal('fetch', async (_: URL, { body }: { body: string }) => {
    const heartbeat = JSON.parse(body) as Heartbeat;
    heartbeats.push(heartbeat);
    const acknowledged = acknowledges ? heartbeat.receipts.map(({ seq }) => seq) : [];
    return Response.json({ directive: 'serve', acknowledged, ...(allows ? { pulse: true } : {}) });
  });
  const { privateKey } = await generateKeyPair('EdDSA', { extractable: true });
  const node = {
    node_id: 'node_1',
    edge_url: 'https://edge.test',
    private_key: await exportJWK(privateKey),
  };
  loop = new HeartbeatLoop({
    node: node as unknown as NodeState,
    intervalMs: HEARTBEAT_INTERVAL_MS,
    now: Date.now,
    random: () => 0.5,
    log: () => undefined,
    report: () => report,
    pending: (max) => receipts.slice(0, max),
    onAcknowledged: (seqs) => {
      receipts = receipts.filter(({ seq }) => !seqs.includes(seq));
    },
    onDirective: () => undefined,
    onEdgeKeys: () => undefined,
    onSold: () => undefined,
    connect: (url, token) => {
      expect([url.href, token.split('.').length]).toEqual(['wss://edge.test/fleet/pulse', 3]);
      sockets.push(new FakeSocket());
      return sockets.at(-1)!;
    },
  });
  loop.start();
  await vi.advanceTimersByTimeAsync(0);
  await heartbeatNo(1);
  sockets[0]?.open();
});

afterEach(() => {
  loop.stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Waits for what no timer brings, such as a signature, and lets no time of the test pass meanwhile. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until there are so many heartbeats, and the agent has taken the reply to the last. */
async function heartbeatNo(count: number): Promise<void> {
  await until(() => heartbeats.length >= count && vi.getTimerCount() > 0);
  expect(heartbeats).toHaveLength(count);
}

async function intervals(count: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(count * HEARTBEAT_INTERVAL_MS);
}

it('stands for fourteen of fifteen heartbeats of an idle node, and sends its load once', async () => {
  await intervals(14);
  expect(heartbeats).toHaveLength(1);
  expect(sockets[0]!.pulses).toBe(14);
  expect(sockets[0]!.sent.length).toBe(15);
  await intervals(1);
  await heartbeatNo(2);
});

it('carries a load that has changed', async () => {
  await intervals(1);
  report = { ...report, load: { ...NO_LOAD, running_requests: 3 }, in_flight: 3 };
  await intervals(1);
  const { load, in_flight } = report;
  expect(sockets[0]!.sent.slice(-2)).toEqual([JSON.stringify({ load, in_flight }), PULSE]);
  expect(heartbeats).toHaveLength(1);
});

it('gives way to a heartbeat when anything else changes, and when the edge calls for one', async () => {
  report = { ...report, engine: { ...report.engine, healthy: false } };
  await intervals(1);
  await heartbeatNo(2);
  await intervals(1);
  expect(heartbeats).toHaveLength(2);
  sockets[0]!.say(HEARTBEAT_CALL);
  await intervals(0.6);
  await heartbeatNo(3);
});

it('gives way to heartbeats when it is lost or no longer answered, and is opened again', async () => {
  sockets[0]!.drop();
  await intervals(0.6);
  await heartbeatNo(2);
  expect(sockets).toHaveLength(2);
  sockets[1]!.open();
  sockets[1]!.answers = false;
  await intervals(1);
  expect(heartbeats).toHaveLength(2);
  await intervals(1);
  await heartbeatNo(3);
  expect([sockets[1]!.isClosed, sockets.length]).toEqual([true, 3]);
});

it('ends when the edge allows none any more', async () => {
  allows = false;
  loop.sendSoon(0);
  await intervals(0.1);
  await heartbeatNo(2);
  await until(() => sockets[0]!.isClosed);
  await intervals(1);
  await heartbeatNo(3);
});

it('gives way to heartbeats until every receipt is acknowledged', async () => {
  acknowledges = false;
  receipts = [{ seq: 1 } as Receipt];
  loop.sendSoon();
  await intervals(0.2);
  await heartbeatNo(2);
  expect(heartbeats[1]!.receipts).toHaveLength(1);
  acknowledges = true;
  await intervals(1);
  await heartbeatNo(3);
  await until(() => receipts.length === 0);
  await intervals(2);
  expect(heartbeats).toHaveLength(3);
});
