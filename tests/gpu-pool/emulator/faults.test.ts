/** Every scripted fault has its effect, and leaves nothing behind when it is spent. */
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FAULT_DESCRIPTIONS, type FaultKind } from '../../../gpu-pool/emulator/faults.ts';
import { readEngineLog } from '../../../gpu-pool/emulator/log.ts';
import type { Emulator } from '../../../gpu-pool/emulator/server.ts';
import { complete, emulate, type Json, lastUsage, post, stream, textOf, usages, user } from './client.ts';

const messages = user('Tell me more. [[reasoning=10 answer=30]]');
const request = { messages, rid: 'rid-1' };

/** The size of every write of this process's servers from now on; a busy reader may get several of them at once. */
function writtenSizes(): number[] {
  const sizes: number[] = [];
  const write = ServerResponse.prototype.write;
  const spy = vi.spyOn(ServerResponse.prototype, 'write').mockImplementation(function (
    this: ServerResponse,
    ...given: Parameters<typeof write>
  ) {
    sizes.push(given[0].length);
    return write.apply(this, given);
  } as typeof write);
  onTestFinished(() => spy.mockRestore());
  return sizes;
}

/** A check for the effect of each fault. It gets an emulator on which the fault is set once. */
const CHECKS: Record<FaultKind, (emulator: Emulator) => Promise<void>> = {
  async refuse({ url }) {
    await expect(fetch(`${url}/health`)).rejects.toThrow();
    await expect(post(url, request)).rejects.toThrow();
  },
  async reset_before_headers({ url, requests }) {
    await expect(post(url, request)).rejects.toThrow();
    expect(requests).toHaveLength(1);
  },
  async empty_200({ url }) {
    expect(await stream(url, request)).toMatchObject({ status: 200, raw: '', broken: true });
  },
  async frozen({ url, engine, faults }) {
    const timeOf = async () => {
      const { loads } = (await (await fetch(`${url}/v1/loads`)).json()) as { loads: { timestamp: number }[] };
      return loads[0]!.timestamp;
    };
    const before = await timeOf();
    await expect(post(url, request, { signal: AbortSignal.timeout(150) })).rejects.toThrow(/timeout/);
    expect([await timeOf(), engine.stats.promptTokens]).toEqual([before, 0]);
    expect((await fetch(`${url}/health`)).status).toBe(503);
    // It lasts until it is deleted.
    faults.clear();
    expect(await timeOf()).toBeGreaterThan(before);
  },
  async die_mid_stream({ url, engine }) {
    const streamed = await stream(url, request);
    expect(streamed).toMatchObject({ broken: true, done: false });
    expect(lastUsage(streamed).completion_tokens).toBe(3);
    await expect.poll(() => engine.stats.abortedRequests).toBe(1);
    expect(engine.stats.generationTokens).toBeLessThan(10);
  },
  async hang({ url, engine }) {
    await expect(post(url, request, { signal: AbortSignal.timeout(150) })).rejects.toThrow(/timeout/);
    expect(engine.stats.promptTokens).toBe(0);
  },
  async trickle({ url }) {
    const other = await emulate();
    const whole = await stream(other.url, request);
    const sizes = writtenSizes();
    const leaving = new AbortController();
    const response = await post(url, { ...request, stream: true }, { signal: leaving.signal });
    let received = 0;
    await expect(
      (async () => {
        for await (const part of response.body!) {
          received += part.length;
          if (received > 2) leaving.abort();
        }
      })(),
    ).rejects.toThrow();
    expect(received).toBeLessThan(whole.raw.length);
    expect(new Set(sizes)).toEqual(new Set([1]));
  },
  async split_bytes({ url }) {
    const sizes = writtenSizes();
    const { raw } = await stream(url, request);
    expect(new Set(sizes)).toEqual(new Set([1]));
    expect(raw).toMatch(/data: \[DONE\]\n\n$/);
  },
  async crlf({ url }) {
    const { raw, done } = await stream(url, request);
    expect(raw).toContain('}\r\n\r\ndata: [DONE]\r\n\r\n');
    expect(raw).not.toMatch(/[^\r]\n/);
    expect(done).toBe(true);
  },
  async malformed_frame({ url }) {
    const { raw, events, done } = await stream(url, request);
    const frames = raw.split('\n\n').filter((frame) => frame !== '');
    // One frame is not JSON, and the one after it is [DONE].
    expect(frames.length - events.length).toBe(2);
    expect(done).toBe(true);
  },
  async usage_missing({ url }) {
    expect((await stream(url, request)).raw).not.toContain('usage');
  },
  async usage_null({ url }) {
    const { raw, events } = await stream(url, request);
    expect(raw).not.toContain('prompt_tokens');
    expect(events.at(-1)).toMatchObject({ choices: [], usage: null });
  },
  async usage_shrinking({ url }) {
    const counts = usages(await stream(url, request)).map((usage) => usage.completion_tokens);
    expect(counts.slice(0, 4)).toEqual([1, 1, 3, 2]);
    expect(counts.at(-1)).toBe(20);
  },
  async usage_negative({ url }) {
    expect(lastUsage(await stream(url, request))).toMatchObject({
      completion_tokens: -40,
      reasoning_tokens: -10,
    });
  },
  async usage_huge({ url }) {
    expect(lastUsage(await stream(url, request)).completion_tokens).toBe(Number.MAX_SAFE_INTEGER);
  },
  async no_done({ url }) {
    expect(await stream(url, request)).toMatchObject({ done: false, broken: false });
  },
  async bytes_after_done({ url }) {
    const { raw } = await stream(url, request);
    expect(raw.split('data: [DONE]\n\n')[1]).toContain('late');
  },
  async status_429({ url }) {
    const response = await post(url, request);
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('2');
  },
  async status_503({ url }) {
    expect((await post(url, request)).status).toBe(503);
  },
  async queue_full_200({ url }) {
    const { status, events, done } = await stream(url, request);
    expect(status).toBe(200);
    expect(events[0]).toEqual({ error: expect.objectContaining({ code: 503 }) });
    expect(done).toBe(true);
  },
  async error_500_after_work({ url, engine }) {
    const response = await post(url, { ...request, stream: true });
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ object: 'error', type: 'InternalServerError', code: 500 });
    expect(engine.stats.generationTokens).toBe(40);
  },
  async html_200({ url }) {
    const response = await post(url, request);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(await response.text()).toMatch(/^<!doctype html>/);
  },
  async ignore_abort({ url, engine }) {
    const pending = complete(url, { messages: user('x [[reasoning=0 answer=20000]]'), rid: 'stubborn' });
    await expect.poll(() => engine.load.runningRequests, { interval: 1 }).toBe(1);
    await fetch(`${url}/abort_request`, { method: 'POST', body: '{"abort_all":true}' });
    expect((await pending).usage.completion_tokens).toBe(20_000);
  },
  async unhealthy({ url }) {
    const { status } = await fetch(`${url}/health`);
    expect(status).toBe(503);
  },
  async answer_in_reasoning({ url }) {
    const streamed = await stream(url, request);
    expect(textOf(streamed, 'content')).toBe('');
    expect(textOf(streamed, 'reasoning_content')).toContain('Here is the answer');
  },
};

const EXTRAS: Partial<Record<FaultKind, object>> = { trickle: { everyMs: 5 } };

describe('faults', () => {
  it.each(Object.keys(FAULT_DESCRIPTIONS) as FaultKind[])('%s strikes once and is gone', async (kind) => {
    const emulator = await emulate();
    const set = await fetch(`${emulator.url}/emulator/faults`, {
      method: 'POST',
      body: JSON.stringify({ kind, times: 1, ...EXTRAS[kind] }),
    });
    expect(set.status).toBe(201);
    await CHECKS[kind](emulator);
    expect(emulator.faults.list()).toEqual([]);
    expect((await fetch(`${emulator.url}/health`)).status).toBe(200);
    const after = await stream(emulator.url, { messages });
    expect(after).toMatchObject({ status: 200, done: true, broken: false });
    expect(lastUsage(after).completion_tokens).toBe(40);
  });

  it('stay until they are deleted when no times are given, and are listed', async () => {
    const { url, faults } = await emulate();
    faults.add({ kind: 'status_503' });
    for (let turn = 0; turn < 3; turn++) expect((await post(url, request)).status).toBe(503);
    const listed = (await (await fetch(`${url}/emulator/faults`)).json()) as Json;
    expect(listed.faults).toEqual([{ kind: 'status_503', timesLeft: null }]);
    expect((await fetch(`${url}/emulator/faults`, { method: 'DELETE' })).status).toBe(204);
    expect((await post(url, request)).status).toBe(200);
  });

  it('combine', async () => {
    const { url, faults } = await emulate();
    faults.add({ kind: 'crlf' });
    faults.add({ kind: 'split_bytes' });
    faults.add({ kind: 'no_done' });
    const { raw, done } = await stream(url, request);
    expect(raw).toContain('}\r\n\r\n');
    expect(done).toBe(false);
  });

  it('spoil answers without streaming too', async () => {
    const { url, faults } = await emulate();
    faults.add({ kind: 'usage_missing', times: 1 });
    expect(await complete(url, request)).not.toHaveProperty('usage');
    faults.add({ kind: 'usage_shrinking', times: 1 });
    expect((await complete(url, request)).usage.completion_tokens).toBe(20);
    faults.add({ kind: 'die_mid_stream', afterTokens: 5, times: 1 });
    await expect(post(url, request)).rejects.toThrow();
  });

  it('kill an answer even on its last token', async () => {
    const { url, faults } = await emulate();
    faults.add({ kind: 'die_mid_stream', afterTokens: 39 });
    expect(await stream(url, request)).toMatchObject({ broken: true, done: false });
  });

  it('are refused when they are invalid', async () => {
    const { url } = await emulate();
    for (const body of [{ kind: 'nonsense' }, { kind: 'hang', times: 0 }, { kind: 'hang', extra: 1 }, null]) {
      const init = { method: 'POST', body: JSON.stringify(body) };
      expect((await fetch(`${url}/emulator/faults`, init)).status).toBe(400);
    }
  });
});

describe('command line', () => {
  it('prints where it listens, and its log survives SIGKILL', async () => {
    const log = join(mkdtempSync(join(tmpdir(), 'emulator-')), 'engine.jsonl');
    const main = join(import.meta.dirname, '../../../gpu-pool/emulator/main.ts');
    const args = ['--port', '0', '--profile', '8xmi300x', '--speed', '20', '--log', log, '--api-key', 'k'];
    args.push('--reasoning-parser', 'deepseek-r1');
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve) =>
      child.stdout.once('data', (data) => resolve(String(data))),
    );
    const { listening } = JSON.parse(line);
    const body = { messages: user('x [[reasoning=5 answer=9000]]'), rid: 'killed', stream: true };
    const options = { include_usage: true, continuous_usage_stats: true };
    const response = await post(
      listening,
      { ...body, stream_options: options },
      { headers: { authorization: 'Bearer k' } },
    );
    let raw = '';
    const reading = (async () => {
      for await (const part of response.body!) raw += Buffer.from(part).toString('latin1');
    })().catch(() => {});
    await expect.poll(() => raw.split('\n\n').length, { timeout: 60_000 }).toBeGreaterThan(20);
    child.kill('SIGKILL');
    await reading;
    const seen = [...raw.matchAll(/"completion_tokens":(\d+)/g)].map((match) => Number(match[1]));
    const logged = readEngineLog(log).get('killed')!;
    expect(logged.finished).toBe(false);
    expect(logged.completionTokens).toBeGreaterThanOrEqual(Math.max(...seen));
    expect(logged.completionTokens).toBeLessThan(9_000);
    expect(logged.reasoningTokens).toBe(5);
  });
});

it('logs which faults struck a request', async () => {
  const log = join(mkdtempSync(join(tmpdir(), 'emulator-')), 'log.jsonl');
  const { url, faults } = await emulate({ log });
  faults.add({ kind: 'usage_null', times: 1 });
  faults.add({ kind: 'no_done', times: 1 });
  await stream(url, request);
  await stream(url, { ...request, rid: 'rid-2' });
  const logged = readEngineLog(log);
  expect(logged.get('rid-1')).toMatchObject({
    faults: ['usage_null', 'no_done'],
    attempts: 1,
    finished: true,
  });
  expect(logged.get('rid-2')).toMatchObject({ faults: [], attempts: 1 });
});
