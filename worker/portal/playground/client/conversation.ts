/** The conversation: its exchanges, of which at most the last one runs. `onChange` is called after changes. */
import { ask, settledBill } from './ask.ts';
import type { Phrases } from './data.ts';
import { type Exchange, newExchange } from './exchange.ts';
import type { Fault } from './fault.ts';
import { bodyFor, type Settings } from './settings.ts';
import { Tokens } from './tokens.ts';

/** The shortest time between draws. Tokens arrive faster than people read, so a draw for each would only waste battery. */
const DRAW_EVERY_MS = 50;

export class Conversation {
  exchanges: readonly Exchange[] = [];
  onChange: () => void = () => {};
  readonly #phrases: Phrases;
  readonly #tokens: Tokens;
  #running: AbortController | null = null;
  #lastId = 0;
  #drawing: ReturnType<typeof setTimeout> | null = null;

  constructor(phrases: Phrases) {
    this.#phrases = phrases;
    this.#tokens = new Tokens(phrases);
  }

  get running(): boolean {
    return this.#running !== null;
  }

  stop(): void {
    this.#running?.abort();
  }

  clear(): void {
    this.stop();
    this.exchanges = [];
    this.#draw();
  }

  /** Asks the last question again; the new answer replaces the old one. */
  retry(settings: Settings): void {
    const last = this.exchanges.at(-1);
    if (!last || this.running) return;
    this.exchanges = this.exchanges.slice(0, -1);
    void this.send(last.question, settings);
  }

  async send(question: string, settings: Settings): Promise<void> {
    if (this.running) return;
    const body = bodyFor(settings, this.exchanges, question);
    this.#lastId += 1;
    const id = this.#lastId;
    const running = new AbortController();
    this.#running = running;
    this.exchanges = [...this.exchanges, newExchange(id, question)];
    this.#draw();
    const sentMs = performance.now();
    const listener = {
      began: (requestId: string | null) => this.#change(id, () => ({ requestId })),
      grew: (reasoning: string, answer: string) =>
        this.#change(id, (exchange) => ({
          reasoning: exchange.reasoning + reasoning,
          answer: exchange.answer + answer,
          ttftMs: exchange.ttftMs ?? performance.now() - sentMs,
        })),
      ended: (bill: Exchange['bill'], isCut: boolean) => this.#change(id, () => ({ bill, isCut })),
    };
    const end = (change: Partial<Exchange>) => {
      if (this.#running === running) this.#running = null;
      this.#change(id, () => change);
    };
    try {
      const askWith = (token: string) => ask(body, { token, signal: running.signal, listener });
      let token = await this.#token(settings);
      let fault = typeof token === 'string' ? await askWith(token) : token;
      if (isFault(fault) && fault.code === 'invalid_api_key') {
        // the token expired on the way, or the clocks of browser and server differ: one more try with a new one
        this.#tokens.drop();
        token = await this.#token(settings);
        fault = typeof token === 'string' ? await askWith(token) : token;
      }
      if (isFault(fault) && fault.code === 'token_cap_reached') this.#tokens.drop();
      if (fault === 'lost') fault = { message: this.#phrases.lost, code: 'lost', retryAfterS: null };
      end(fault === null ? { state: 'finished' } : { state: 'failed', fault });
    } catch {
      const fault = { message: this.#phrases.offline, code: 'offline', retryAfterS: null };
      end(running.signal.aborted ? { state: 'stopped' } : { state: 'failed', fault });
    }
    await this.#settle(id, settings);
  }

  async #settle(id: number, settings: Settings): Promise<void> {
    const requestId = this.exchanges.find((exchange) => exchange.id === id)?.requestId;
    const token = requestId ? await this.#token(settings) : null;
    const bill = requestId && typeof token === 'string' ? await settledBill(requestId, token) : null;
    this.#change(id, (exchange) => ({ isSettled: true, bill: bill ?? exchange.bill }));
  }

  async #token(settings: Settings): Promise<string | Fault> {
    const result = await this.#tokens.tokenFor(settings.keyId, Date.now());
    return result.ok ? result.token : result.fault;
  }

  /** Changes an exchange. Without effect if it was cleared in the meantime. */
  #change(id: number, change: (exchange: Exchange) => Partial<Exchange>): void {
    this.exchanges = this.exchanges.map((exchange) =>
      exchange.id === id ? { ...exchange, ...change(exchange) } : exchange,
    );
    this.#draw();
  }

  /** Calls `onChange` soon, once for all changes until then. */
  #draw(): void {
    this.#drawing ??= setTimeout(() => {
      this.#drawing = null;
      this.onChange();
    }, DRAW_EVERY_MS);
  }
}

function isFault(fault: Fault | 'lost' | null): fault is Fault {
  return fault !== null && fault !== 'lost';
}
