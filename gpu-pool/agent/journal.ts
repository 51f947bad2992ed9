/**
 * The receipts of this node, safe on disk until the edge has them. The journal is append-only JSON lines, and
 * concurrent requests share writes and syncs. A request that was opened but never closed means that the agent died, and
 * becomes a 'lost' receipt.
 */
import { write as writeFile } from 'node:fs';
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeUsage, Receipt } from '../protocol/schemas.ts';
import { type JournalLine, type OpenedLine, replay } from './journal-replay.ts';

export const JOURNAL_FILE = 'receipts.jsonl';
/** The file is rewritten when it exceeds this size, and twice the size that the last compaction left. */
const COMPACT_AT_BYTES = 4 << 20;
/**
 * Receipts that come within this time share a write, and then, for as long again, a sync. Nobody waits for it: an answer
 * ends before its receipt is safe, and the heartbeat that reports it leaves later (heartbeat.ts).
 */
const SYNC_MS = 10;

interface Write {
  text: string;
  sync: boolean;
  /** Runs in the same turn as the write or its sync, so that a compaction right after it sees the result. */
  settled(error?: unknown): void;
}
type Progress = Extract<JournalLine, { type: 'progress' }>;

export class Journal {
  readonly #directory: string;
  readonly #compactAtBytes: number;
  readonly #now: () => number;
  #file: FileHandle;
  #bytes = 0;
  #bytesCompacted = 0;
  #nextSeq: number;
  #queue: Write[] = [];
  #writing: Promise<void> | null = null;
  /** Lines that are written, and wait to be safe. */
  #unsynced: Write[] = [];
  /** Runs while receipts wait to be written or synced. */
  #syncTimer: NodeJS.Timeout | undefined;
  #syncing: Promise<void> = Promise.resolve();
  #torn = false;
  #abandoned = false;
  readonly #open = new Map<number, { opened: OpenedLine; progress?: Progress }>();
  readonly #pending = new Map<number, Receipt>();
  /** Request ids whose tokens have not expired yet, each with that expiry. */
  readonly #requestIds: Map<string, number>;

  /** Replays the file, turns requests that were cut short into 'lost' receipts, and compacts. */
  static async open(
    directory: string,
    options: { now: () => number; compactAtBytes?: number },
  ): Promise<Journal> {
    const path = join(directory, JOURNAL_FILE);
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const journal = new Journal(directory, await open(path, 'a', 0o600), replay(text), options);
    await journal.#compact();
    return journal;
  }

  private constructor(
    directory: string,
    file: FileHandle,
    replayed: ReturnType<typeof replay>,
    options: { now: () => number; compactAtBytes?: number },
  ) {
    this.#directory = directory;
    this.#file = file;
    this.#now = options.now;
    this.#compactAtBytes = options.compactAtBytes ?? COMPACT_AT_BYTES;
    this.#nextSeq = replayed.nextSeq;
    this.#requestIds = replayed.requestIds;
    for (const receipt of replayed.receipts) this.#pending.set(receipt.seq, receipt);
  }

  get requestIds(): ReadonlyMap<string, number> {
    return this.#requestIds;
  }

  get unacknowledged(): number {
    return this.#pending.size;
  }

  /** Durable receipts that the edge has not acknowledged, oldest first. */
  pending(max: number): Receipt[] {
    const receipts: Receipt[] = [];
    for (const receipt of this.#pending.values()) {
      if (receipts.length === max) break;
      receipts.push(receipt);
    }
    return receipts;
  }

  /** Resolves when the line has left the process: it then survives the agent's death. */
  async opened(request: Omit<OpenedLine, 'type' | 'seq'>): Promise<number> {
    const seq = this.#nextSeq++;
    const opened: OpenedLine = { type: 'opened', seq, ...request };
    this.#requestIds.set(request.request_id, request.expires_at_ms);
    this.#open.set(seq, { opened });
    await this.#append(opened, {
      onSettled: (error) => error !== undefined && this.#open.delete(seq),
    });
    return seq;
  }

  /** Records how far a request is; neither awaited nor synced. */
  progress(seq: number, facts: { usage: NodeUsage; ttft_ms: number | null }): void {
    const entry = this.#open.get(seq);
    if (!entry) return;
    entry.progress = { type: 'progress', seq, at_ms: this.#now(), ...facts };
    this.#append(entry.progress).catch(() => {});
  }

  /** Resolves when the receipt is on disk. It is due to the edge from then on, also when the disk fails. */
  closed(receipt: Receipt): Promise<void> {
    return this.#append(
      { type: 'closed', receipt },
      {
        sync: true,
        onSettled: () => {
          this.#open.delete(receipt.seq);
          this.#pending.set(receipt.seq, receipt);
        },
      },
    );
  }

  /** Forgets receipts that are safe at the edge. If this line is lost, they are only sent again. */
  acknowledged(seqs: number[]): void {
    const known = seqs.filter((seq) => this.#pending.delete(seq));
    if (known.length > 0) this.#append({ type: 'acknowledged', seqs: known }).catch(() => {});
  }

  /** Resolves when all receipts so far are due to the edge. */
  async settled(): Promise<void> {
    do {
      if (this.#queue.length > 0) this.#writing ??= this.#write();
      await this.#writing;
      await this.#sync();
    } while (this.#queue.length > 0 || this.#writing !== null);
  }

  async close(): Promise<void> {
    await this.settled();
    await this.#file.close();
  }

  /** Stops writing at once, as a killed process does. */
  async abandon(): Promise<void> {
    this.#abandoned = true;
    this.#queue = [];
    this.#unsynced = [];
    await this.close();
  }

  #append(
    line: JournalLine,
    options: { sync?: boolean; onSettled?(error?: unknown): void } = {},
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#abandoned) return;
      const settled = (error?: unknown) => {
        options.onSettled?.(error);
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#queue.push({ text: `${JSON.stringify(line)}\n`, sync: options.sync ?? false, settled });
      if (options.sync) this.#syncSoon();
      else this.#writing ??= this.#write();
    });
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0);
      // After a failed write the file may end in half a line.
      const text = `${this.#torn ? '\n' : ''}${batch.map((write) => write.text).join('')}`;
      let failure: unknown;
      try {
        this.#bytes += await append(this.#file, text);
      } catch (error) {
        failure = error;
      }
      this.#torn = failure !== undefined;
      for (const write of batch) {
        if (write.sync && failure === undefined) this.#unsynced.push(write);
        else write.settled(failure);
      }
      if (this.#unsynced.length > 0) this.#syncSoon();
      if (this.#bytes > this.#compactAtBytes && this.#bytes > 2 * this.#bytesCompacted) await this.#shrink();
    }
    this.#writing = null;
  }

  #syncSoon(): void {
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      if (this.#queue.length > 0) this.#writing ??= this.#write();
      void this.#sync();
    }, SYNC_MS);
  }

  /** Makes what is written safe, while further lines are written. */
  #sync(): Promise<void> {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    this.#syncing = this.#syncing.then(async () => {
      const lines = this.#unsynced.splice(0);
      if (lines.length === 0) return;
      const failure: unknown = await this.#file.datasync().catch((error: unknown) => error);
      for (const line of lines) line.settled(failure);
    });
    return this.#syncing;
  }

  async #shrink(): Promise<void> {
    // A compacted file has only receipts that are settled.
    await this.#sync();
    // A failed compaction leaves the old file in use and is retried after the file has doubled.
    await this.#compact().catch(() => {
      this.#bytesCompacted = this.#bytes;
    });
  }

  /** Rewrites the file with the lines that still matter: temporary file, fsync, rename, fsync of the directory. */
  async #compact(): Promise<void> {
    const nowMs = this.#now();
    for (const [id, expiresAtMs] of this.#requestIds) if (expiresAtMs < nowMs) this.#requestIds.delete(id);
    const lines: JournalLine[] = [
      { type: 'base', next_seq: this.#nextSeq, request_ids: [...this.#requestIds] },
      ...[...this.#pending.values()].map((receipt) => ({ type: 'closed' as const, receipt })),
      ...[...this.#open.values()].flatMap(({ opened, progress }) =>
        progress ? [opened, progress] : [opened],
      ),
    ];
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    const path = join(this.#directory, JOURNAL_FILE);
    const file = await open(`${path}.new`, 'w', 0o600);
    try {
      await file.appendFile(text);
      await file.sync();
      await rename(`${path}.new`, path);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file.close();
    this.#file = file;
    this.#bytes = Buffer.byteLength(text);
    this.#bytesCompacted = this.#bytes;
    const directory = await open(this.#directory, 'r');
    await directory.sync().finally(() => directory.close());
  }
}

/** Appends a text, by callbacks: of a promise for each step, it takes twice the CPU. @returns its bytes */
function append(file: FileHandle, text: string): Promise<number> {
  const bytes = Buffer.from(text);
  return new Promise((resolve, reject) => {
    const writeFrom = (at: number): void =>
      writeFile(file.fd, bytes, at, bytes.length - at, null, (error, written) => {
        if (error !== null) reject(error);
        else if (at + written < bytes.length) writeFrom(at + written);
        else resolve(bytes.length);
      });
    writeFrom(0);
  });
}
