/** The line formats of the journal, and the state that they add up to when read again after a restart. Pure. */
import * as z from 'zod';
import { NO_USAGE, NodeUsage, Receipt } from '../protocol/schemas.ts';

const Opened = z.object({
  type: z.literal('opened'),
  seq: z.int().min(0),
  request_id: z.string(),
  account_id: z.string(),
  model: z.string(),
  started_at_ms: z.int(),
  /** When the request's token expires; until then its id must not be used again. */
  expires_at_ms: z.int(),
  ticket: z.string().optional(),
});
export type OpenedLine = z.infer<typeof Opened>;

const Line = z.discriminatedUnion('type', [
  /** The first line of a compacted file. */
  z.object({
    type: z.literal('base'),
    next_seq: z.int().min(0),
    request_ids: z.array(z.tuple([z.string(), z.int()])),
  }),
  Opened,
  z.object({
    type: z.literal('progress'),
    seq: z.int().min(0),
    at_ms: z.int(),
    usage: NodeUsage,
    ttft_ms: z.int().nullable(),
  }),
  z.object({ type: z.literal('closed'), receipt: Receipt }),
  z.object({ type: z.literal('acknowledged'), seqs: z.array(z.int()) }),
]);
export type JournalLine = z.infer<typeof Line>;

export interface ReplayResult {
  nextSeq: number;
  /** Receipts that are not acknowledged, by seq; requests that were never closed are among them as 'lost'. */
  receipts: Receipt[];
  requestIds: Map<string, number>;
}

export function replay(text: string): ReplayResult {
  let nextSeq = 1;
  const open = new Map<number, OpenedLine>();
  const progress = new Map<number, Extract<JournalLine, { type: 'progress' }>>();
  const receipts = new Map<number, Receipt>();
  const requestIds = new Map<string, number>();
  for (const line of text.split('\n')) {
    const parsed = parse(line);
    if (parsed === null) continue;
    switch (parsed.type) {
      case 'base':
        nextSeq = Math.max(nextSeq, parsed.next_seq);
        for (const [id, expiresAtMs] of parsed.request_ids) requestIds.set(id, expiresAtMs);
        break;
      case 'opened':
        nextSeq = Math.max(nextSeq, parsed.seq + 1);
        open.set(parsed.seq, parsed);
        requestIds.set(parsed.request_id, parsed.expires_at_ms);
        break;
      case 'progress':
        progress.set(parsed.seq, parsed);
        break;
      case 'closed':
        nextSeq = Math.max(nextSeq, parsed.receipt.seq + 1);
        open.delete(parsed.receipt.seq);
        receipts.set(parsed.receipt.seq, parsed.receipt);
        break;
      case 'acknowledged':
        for (const seq of parsed.seqs) receipts.delete(seq);
        break;
    }
  }
  for (const [seq, opened] of open) receipts.set(seq, lostReceipt(opened, progress.get(seq)));
  return { nextSeq, receipts: [...receipts.values()].sort((a, b) => a.seq - b.seq), requestIds };
}

/** The receipt of a request during which the agent died: the last progress line is what can be proved. */
function lostReceipt(
  opened: OpenedLine,
  progress: Extract<JournalLine, { type: 'progress' }> | undefined,
): Receipt {
  return {
    seq: opened.seq,
    request_id: opened.request_id,
    account_id: opened.account_id,
    model: opened.model,
    started_at_ms: opened.started_at_ms,
    ended_at_ms: progress?.at_ms ?? opened.started_at_ms,
    ttft_ms: progress?.ttft_ms ?? null,
    outcome: 'lost',
    usage: progress?.usage ?? NO_USAGE,
    ticket: opened.ticket,
  };
}

/** A line that does not parse was torn by a crash: its request or receipt had not been promised to anyone. */
function parse(line: string): JournalLine | null {
  if (line === '') return null;
  try {
    return Line.safeParse(JSON.parse(line)).data ?? null;
  } catch {
    return null;
  }
}
