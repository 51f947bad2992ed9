/**
 * Collects every line that the agents' journals ever held. A journal drops acknowledged receipts when it is rewritten,
 * but the law checker needs them all as its second count, so the lines are copied while the agents run.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Receipt } from '../../gpu-pool/protocol/schemas.ts';
import { CANARY_SUBJECT } from '../../worker/domain/canary.ts';
import type { EnrolledNode } from './stored-state.ts';

export interface Opened {
  readonly seq: number;
  readonly request_id: string;
  readonly account_id: string;
  readonly started_at_ms: number;
}

export interface NodeJournal {
  /** Requests that were begun, by sequence number. */
  readonly opened: ReadonlyMap<number, Opened>;
  /** How they ended, by sequence number. */
  readonly receipts: ReadonlyMap<number, Receipt>;
}

type Line =
  | ({ type: 'opened' } & Opened)
  | { type: 'closed'; receipt: Receipt }
  | { type: 'base' | 'progress' | 'acknowledged' };

/** The interval at which the files are read. */
const READ_EVERY_MS = 500;

export class JournalKeeper {
  readonly #nodes: readonly (EnrolledNode & { readonly tail: Tail })[];
  readonly #timer: NodeJS.Timeout;

  constructor(stateDir: string, nodes: readonly EnrolledNode[]) {
    this.#nodes = nodes.map((node) => ({
      ...node,
      tail: new Tail(join(stateDir, node.name, 'receipts.jsonl')),
    }));
    this.#timer = setInterval(() => this.#readAll(), READ_EVERY_MS);
    this.#timer.unref();
  }

  /** Reads what is new. @returns the journals by node id */
  read(): Map<string, NodeJournal> {
    this.#readAll();
    return new Map(this.#nodes.map(({ id, tail }) => [id, { opened: tail.opened, receipts: tail.receipts }]));
  }

  close(): void {
    clearInterval(this.#timer);
    for (const { tail } of this.#nodes) tail.close();
  }

  #readAll(): void {
    for (const { tail } of this.#nodes) tail.readNew();
  }
}

/** Follows a file that is appended to and sometimes replaced, as `tail -F` does. */
class Tail {
  readonly opened = new Map<number, Opened>();
  readonly receipts = new Map<number, Receipt>();
  readonly #path: string;
  #file: number | null = null;
  #inode = 0;
  #offset = 0;
  #rest = '';

  constructor(path: string) {
    this.#path = path;
  }

  readNew(): void {
    // the old file, held open, still has what was written until it was replaced
    if (this.#file !== null) this.#read(this.#file);
    const found = statSync(this.#path, { throwIfNoEntry: false });
    if (!found || found.ino === this.#inode) return;
    this.close();
    this.#file = openSync(this.#path, 'r');
    this.#inode = fstatSync(this.#file).ino;
    this.#offset = 0;
    this.#rest = '';
    this.#read(this.#file);
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
    this.#inode = 0;
  }

  #read(file: number): void {
    const { size } = fstatSync(file);
    if (size <= this.#offset) return;
    const bytes = Buffer.alloc(size - this.#offset);
    this.#offset += readSync(file, bytes, 0, bytes.length, this.#offset);
    const lines = (this.#rest + bytes.toString()).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#keep(line);
  }

  #keep(text: string): void {
    const line = parse(text);
    if (line?.type === 'opened' && !isCanary(line)) this.opened.set(line.seq, line);
    if (line?.type === 'closed' && !isCanary(line.receipt)) this.receipts.set(line.receipt.seq, line.receipt);
  }
}

/** The edge's own canary requests belong to no account. */
function isCanary(line: { readonly account_id: string }): boolean {
  return line.account_id === CANARY_SUBJECT;
}

/** @returns null for a line that a kill cut off */
function parse(text: string): Line | null {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return null;
  }
}
