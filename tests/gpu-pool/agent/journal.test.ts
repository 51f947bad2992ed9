/** The journal of receipts, over restarts, torn writes and compactions. */
import { appendFile, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { JOURNAL_FILE, Journal } from '../../../gpu-pool/agent/journal.ts';
import { replay } from '../../../gpu-pool/agent/journal-replay.ts';
import { Receipt } from '../../../gpu-pool/protocol/schemas.ts';
import { tempDir } from './helpers.ts';

const usage = { prompt_tokens: 5, cached_tokens: 0, completion_tokens: 3, reasoning_tokens: 1 };
const now = () => 10_000;

function request(id: string, expiresAtMs = 70_000) {
  return {
    request_id: id,
    account_id: 'acct_1',
    model: 'm',
    started_at_ms: 9_000,
    expires_at_ms: expiresAtMs,
  };
}

function receipt(seq: number): Receipt {
  return {
    seq,
    request_id: `req_${seq}`,
    account_id: 'acct_1',
    model: 'm',
    started_at_ms: 9_000,
    ended_at_ms: 9_900,
    ttft_ms: 100,
    outcome: 'finished',
    usage,
  };
}

describe('the journal', () => {
  it('keeps receipts until they are acknowledged, and never uses a seq twice', async () => {
    const directory = await tempDir();
    let journal = await Journal.open(directory, { now });
    const seqs = [await journal.opened(request('a')), await journal.opened(request('b'))];
    await Promise.all(seqs.map((seq) => journal.closed(receipt(seq))));
    expect(journal.pending(10).map(({ seq }) => seq)).toEqual(seqs);
    journal.acknowledged([seqs[0]!, 999]);
    await journal.close();

    journal = await Journal.open(directory, { now });
    expect(journal.pending(10)).toEqual([receipt(seqs[1]!)]);
    journal.acknowledged([seqs[1]!]);
    await journal.close();

    journal = await Journal.open(directory, { now });
    expect(journal.unacknowledged).toBe(0);
    await journal.close();
    // The compacted file now holds only the next seq.
    journal = await Journal.open(directory, { now });
    expect(await journal.opened(request('c'))).toBe(Math.max(...seqs) + 1);
    await journal.close();
  });

  it('reports a receipt only when it is safe on disk', async () => {
    const journal = await Journal.open(await tempDir(), { now });
    const seq = await journal.opened(request('a'));
    const safe = journal.closed(receipt(seq));
    expect(journal.pending(1)).toEqual([]);
    await safe;
    expect(journal.pending(1)).toEqual([receipt(seq)]);
    void journal.closed(receipt(await journal.opened(request('b'))));
    await journal.settled();
    expect(journal.unacknowledged).toBe(2);
    await journal.close();
  });

  it('keeps a receipt that was not safe yet when the file was rewritten', async () => {
    const directory = await tempDir();
    let journal = await Journal.open(directory, { now, compactAtBytes: 4_000 });
    for (let round = 0; round < 50; round += 1) {
      const seq = await journal.opened(request(`a${round}`));
      void journal.closed(receipt(seq));
      await journal.opened(request(`r${round}`));
    }
    await journal.close();
    journal = await Journal.open(directory, { now });
    const outcomes = journal.pending(1_000).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'finished')).toHaveLength(50);
    expect(outcomes.filter((outcome) => outcome === 'lost')).toHaveLength(50);
    await journal.close();
  });

  it('turns what was opened but never closed into a lost receipt with the last progress', async () => {
    const directory = await tempDir();
    let journal = await Journal.open(directory, { now });
    const noted = await journal.opened(request('noted'));
    const silent = await journal.opened(request('silent'));
    journal.progress(noted, { usage: { ...usage, completion_tokens: 2 }, ttft_ms: 50 });
    journal.progress(noted, { usage, ttft_ms: 50 });
    await journal.opened(request('later'));
    await journal.close();

    journal = await Journal.open(directory, { now });
    const [first, second, third] = journal.pending(10);
    expect(first).toMatchObject({
      seq: noted,
      request_id: 'noted',
      outcome: 'lost',
      usage,
      ttft_ms: 50,
      ended_at_ms: 10_000,
    });
    expect(second).toMatchObject({
      seq: silent,
      outcome: 'lost',
      usage: { completion_tokens: 0 },
      ttft_ms: null,
    });
    expect(third?.request_id).toBe('later');
    for (const each of journal.pending(10)) Receipt.parse(each);
    await journal.close();
    // A receipt becomes 'lost' only once.
    journal = await Journal.open(directory, { now });
    expect(journal.unacknowledged).toBe(3);
    await journal.close();
  });

  it('tolerates a torn last line and goes on after it', async () => {
    const directory = await tempDir();
    let journal = await Journal.open(directory, { now });
    const seq = await journal.opened(request('a'));
    await journal.closed(receipt(seq));
    await journal.close();
    await appendFile(join(directory, JOURNAL_FILE), '{"type":"opened","seq":77,"request_');

    journal = await Journal.open(directory, { now });
    expect(journal.pending(10)).toEqual([receipt(seq)]);
    const next = await journal.opened(request('b'));
    await journal.closed(receipt(next));
    await journal.close();
    journal = await Journal.open(directory, { now });
    expect(journal.pending(10).map(({ seq }) => seq)).toEqual([seq, next]);
    await journal.close();
  });

  it('survives being cut at every byte without losing an earlier receipt or reusing its seq', async () => {
    const directory = await tempDir();
    const path = join(directory, JOURNAL_FILE);
    const journal = await Journal.open(directory, { now });
    for (const id of ['a', 'b']) await journal.closed(receipt(await journal.opened(request(id))));
    await journal.close();
    const whole = await readFile(path, 'utf8');
    const firstClosed = whole.indexOf('\n', whole.indexOf('"closed"')) + 1;
    for (let end = firstClosed; end <= whole.length; end += 1) {
      const { receipts, nextSeq } = replay(whole.slice(0, end));
      expect(receipts[0]).toEqual(receipt(1));
      expect(nextSeq).toBeGreaterThan(receipts.length);
    }
  });

  it('is rewritten when it grows, with everything that still matters', async () => {
    const directory = await tempDir();
    let journal = await Journal.open(directory, { now, compactAtBytes: 4_000 });
    const running = await journal.opened(request('running'));
    journal.progress(running, { usage, ttft_ms: 1 });
    const kept: number[] = [];
    for (let i = 0; i < 300; i += 1) {
      const seq = await journal.opened(request(`r${i}`, i === 0 ? 70_000 : 1));
      await journal.closed(receipt(seq));
      if (i % 100 === 0) kept.push(seq);
      else journal.acknowledged([seq]);
    }
    await journal.close();
    expect((await stat(join(directory, JOURNAL_FILE))).size).toBeLessThan(16_000);

    journal = await Journal.open(directory, { now });
    expect(journal.pending(10).map(({ seq }) => seq)).toEqual([running, ...kept]);
    expect(journal.pending(1)[0]).toMatchObject({ outcome: 'lost', usage });
    expect([...journal.requestIds.keys()].sort()).toEqual(['r0', 'running']);
    expect(await journal.opened(request('next'))).toBe(302);
    await journal.close();
  });

  it('keeps a receipt that closes in the same write as a compaction', async () => {
    const directory = await tempDir();
    let journal = await Journal.open(directory, { now, compactAtBytes: 1 });
    const seqs = await Promise.all(Array.from({ length: 20 }, (_, i) => journal.opened(request(`r${i}`))));
    await Promise.all(seqs.map((seq) => journal.closed(receipt(seq))));
    await journal.abandon();
    journal = await Journal.open(directory, { now });
    expect(journal.pending(99).map(({ outcome }) => outcome)).toEqual(seqs.map(() => 'finished'));
    await journal.close();
  });

  it('writes nothing more once abandoned', async () => {
    const directory = await tempDir();
    const journal = await Journal.open(directory, { now });
    const seq = await journal.opened(request('a'));
    await journal.abandon();
    void journal.closed(receipt(seq));
    const again = await Journal.open(directory, { now });
    expect(again.pending(1)[0]?.outcome).toBe('lost');
    await again.close();
  });
});
