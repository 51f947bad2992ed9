/** The rules of batches: which lines can be run, how files are cut into parts, and how much of a pool is idle. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_LOAD } from '../../gpu-pool/protocol/schemas.ts';
import { readLine } from '../../worker/domain/batch-line.ts';
import { linesOf, PART_BYTES, PartCutter } from '../../worker/domain/file-parts.ts';
import type { NodeView } from '../../worker/domain/node.ts';
import { idlePlaces } from '../../worker/domain/routing/idle.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
const ENDPOINT = '/v1/chat/completions';

describe('a line', () => {
  const read = (value: unknown) =>
    readLine(utf8(typeof value === 'string' ? value : JSON.stringify(value)), 7, ENDPOINT);
  const good = { custom_id: 'a', method: 'POST', url: ENDPOINT, body: { model: 'm' } };

  it('is read into its custom id and its body', () => {
    expect(read(good)).toEqual({ ok: true, line: { customId: 'a', body: { model: 'm' } } });
  });

  it.each([
    ['{', null, 'invalid_json', null],
    ['[1]', null, 'invalid_line', null],
    ['null', null, 'invalid_line', null],
    [{ ...good, custom_id: undefined }, null, 'invalid_line', 'custom_id'],
    [{ ...good, custom_id: 5 }, null, 'invalid_line', 'custom_id'],
    [{ ...good, custom_id: '' }, null, 'invalid_line', 'custom_id'],
    [{ ...good, method: 'GET' }, 'a', 'invalid_line', 'method'],
    [{ ...good, url: '/v1/embeddings' }, 'a', 'mismatched_url', 'url'],
    [{ ...good, body: [] }, 'a', 'invalid_line', 'body'],
    [{ ...good, body: { stream: true } }, 'a', 'invalid_line', 'body.stream'],
  ])('that is %j says what is wrong', (value, customId, code, param) => {
    expect(read(value)).toMatchObject({ ok: false, customId, fault: { code, param, line: 7 } });
  });

  it('that is not UTF-8 is no JSON', () => {
    const bytes = new Uint8Array([123, 255, 125]);
    expect(readLine(bytes, 1, ENDPOINT)).toMatchObject({ ok: false, fault: { code: 'invalid_json' } });
  });
});

describe('a file', () => {
  it('is cut into parts of whole lines, however its bytes come', () => {
    const lines = fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 30 });
    fc.assert(
      fc.property(lines, fc.array(fc.integer({ min: 1, max: 60 })), (each, cuts) => {
        // padded, so that a few lines fill a part
        const text = each
          .map((line) => line.replaceAll(/[\r\n]/g, ' ').padEnd(PART_BYTES / 8, '.'))
          .join('\n');
        const bytes = utf8(text);
        const parts: Uint8Array[] = [];
        const cutter = new PartCutter();
        let at = 0;
        for (const cut of [...cuts, 1_000]) {
          const next = Math.min(bytes.byteLength, at + cut * 50_000);
          const part = cutter.push(bytes.subarray(at, next));
          if (part instanceof Uint8Array) parts.push(part);
          at = next;
        }
        parts.push(cutter.end() ?? new Uint8Array());
        expect(Buffer.concat(parts).equals(Buffer.from(bytes.subarray(0, at)))).toBe(true);
        for (const part of parts.slice(0, -1)) expect(part.at(-1)).toBe(10);
      }),
      { numRuns: 15 },
    );
  });

  it('has a line that is too long when a part holds no line end', () => {
    const cutter = new PartCutter();
    expect(cutter.push(new Uint8Array(PART_BYTES))).toBeNull();
    expect(cutter.push(new Uint8Array(1))).toBe('line_too_long');
  });

  it('gives its lines back without their ends, and no empty ones', () => {
    const part = utf8('{"a":1}\r\n\n  \n{"b":"é"}\n{"c":3}');
    const lines = [...linesOf(part)].map(({ start, end }) =>
      new TextDecoder().decode(part.subarray(start, end)),
    );
    expect(lines.map((line) => JSON.parse(line))).toEqual([{ a: 1 }, { b: 'é' }, { c: 3 }]);
  });
});

describe('idle places', () => {
  const node = (load: Partial<typeof NO_LOAD>, over: Partial<NodeView> = {}): NodeView =>
    ({
      state: 'active',
      health: 'up',
      draining: false,
      share: 1,
      ...over,
      load: { ...NO_LOAD, max_running_requests: 100, capacity_tokens: 1_000, ...load },
    }) as NodeView;
  const places = (...nodes: NodeView[]) => idlePlaces({ atMs: 0, nodes });

  it('are three quarters of what a node can run, less what it runs', () => {
    expect(places(node({}))).toBe(75);
    expect(places(node({ running_requests: 70 }), node({ running_requests: 90 }))).toBe(5);
  });

  it('are none where anybody waits or the cache is nearly full', () => {
    expect(places(node({ waiting_requests: 1 }))).toBe(0);
    expect(places(node({ used_tokens: 751 }))).toBe(0);
  });

  it('are none at a node that takes nobody, and fewer at one that warms up', () => {
    expect(places(node({}, { draining: true }), node({}, { health: 'ejected' }))).toBe(0);
    expect(places(node({}, { share: 0.1 }))).toBe(7);
  });
});
