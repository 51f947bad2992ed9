/** Rules of batches: which lines are valid, how files are split into parts, and how many slots of a pool are idle. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_LOAD } from '../../gpu-pool/protocol/schemas.ts';
import { parseLine } from '../../worker/domain/batch-line.ts';
import { linesOf, PART_BYTES, PartSplitter } from '../../worker/domain/file-parts.ts';
import type { NodeView } from '../../worker/domain/node.ts';
import { idleSlots } from '../../worker/domain/routing/idle-slots.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
const ENDPOINT = '/v1/chat/completions';

describe('a line', () => {
  const parse = (value: unknown) =>
    parseLine(utf8(typeof value === 'string' ? value : JSON.stringify(value)), 7, ENDPOINT);
  const good = { custom_id: 'a', method: 'POST', url: ENDPOINT, body: { model: 'm' } };

  it('is parsed into its custom id and its body', () => {
    expect(parse(good)).toEqual({ ok: true, line: { customId: 'a', body: { model: 'm' } } });
  });

  it.each([
    ['{', null, 'invalid_json', null],
    ['[1]', null, 'invalid_line', null],
    ['null', null, 'invalid_line', null],
    [{ ...good, custom_id: undefined }, null, 'invalid_line', 'custom_id'],
    [{ ...good, custom_id: 5 }, null, 'invalid_line', 'custom_id'],
    [{ ...good, custom_id: '' }, null, 'invalid_line', 'custom_id'],
    [{ ...good, custom_id: 'a\ud800' }, null, 'invalid_line', 'custom_id'],
    [{ ...good, method: 'GET' }, 'a', 'invalid_line', 'method'],
    [{ ...good, url: '/v1/embeddings' }, 'a', 'mismatched_url', 'url'],
    [{ ...good, body: [] }, 'a', 'invalid_line', 'body'],
    [{ ...good, body: { stream: true } }, 'a', 'invalid_line', 'body.stream'],
  ])('that is %j has a fault', (value, customId, code, param) => {
    expect(parse(value)).toMatchObject({ ok: false, customId, fault: { code, param, line: 7 } });
  });

  it('that is not UTF-8 is invalid JSON', () => {
    const bytes = new Uint8Array([123, 255, 125]);
    expect(parseLine(bytes, 1, ENDPOINT)).toMatchObject({ ok: false, fault: { code: 'invalid_json' } });
  });
});

describe('a file', () => {
  it('is split into parts of whole lines, however its bytes arrive', () => {
    const lines = fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 30 });
    fc.assert(
      fc.property(lines, fc.array(fc.integer({ min: 1, max: 60 })), (contents, cuts) => {
        // Lines are padded so that a few of them fill a part.
        const text = contents
          .map((line) => line.replaceAll(/[\r\n]/g, ' ').padEnd(PART_BYTES / 8, '.'))
          .join('\n');
        const bytes = utf8(text);
        const parts: Uint8Array[] = [];
        const splitter = new PartSplitter();
        let position = 0;
        for (const cut of [...cuts, 1_000]) {
          const next = Math.min(bytes.byteLength, position + cut * 50_000);
          const part = splitter.push(bytes.subarray(position, next));
          if (part instanceof Uint8Array) parts.push(part);
          position = next;
        }
        parts.push(splitter.end() ?? new Uint8Array());
        expect(Buffer.concat(parts).equals(Buffer.from(bytes.subarray(0, position)))).toBe(true);
        for (const part of parts.slice(0, -1)) expect(part.at(-1)).toBe(10);
      }),
      { numRuns: 15 },
    );
  });

  it('has too long a line when a full part holds no line end', () => {
    const splitter = new PartSplitter();
    expect(splitter.push(new Uint8Array(PART_BYTES))).toBeNull();
    expect(splitter.push(new Uint8Array(1))).toBe('line_too_long');
  });

  it('yields its lines without line ends, and no blank ones', () => {
    const part = utf8('{"a":1}\r\n\n  \n{"b":"é"}\n{"c":3}');
    const lines = [...linesOf(part)].map(({ start, end }) =>
      new TextDecoder().decode(part.subarray(start, end)),
    );
    expect(lines.map((line) => JSON.parse(line))).toEqual([{ a: 1 }, { b: 'é' }, { c: 3 }]);
  });
});

describe('idle slots', () => {
  const node = (load: Partial<typeof NO_LOAD>, over: Partial<NodeView> = {}): NodeView =>
    ({
      state: 'active',
      health: 'up',
      draining: false,
      share: 1,
      ...over,
      load: { ...NO_LOAD, max_running_requests: 100, capacity_tokens: 1_000, ...load },
    }) as NodeView;
  const slots = (...nodes: NodeView[]) => idleSlots({ atMs: 0, nodes });

  it('are three quarters of the requests that a node can run, less those it runs', () => {
    expect(slots(node({}))).toBe(75);
    expect(slots(node({ running_requests: 70 }), node({ running_requests: 90 }))).toBe(5);
  });

  it('are none when requests wait or the cache is nearly full', () => {
    expect(slots(node({ waiting_requests: 1 }))).toBe(0);
    expect(slots(node({ used_tokens: 751 }))).toBe(0);
  });

  it('are none at a node that is not serving, and fewer during a slow start', () => {
    expect(slots(node({}, { draining: true }), node({}, { health: 'ejected' }))).toBe(0);
    expect(slots(node({}, { share: 0.1 }))).toBe(7);
  });
});
