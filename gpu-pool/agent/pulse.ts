/**
 * The agent's pulse: a WebSocket on which it shows, at each interval between two heartbeats, that it is there and that
 * nothing but its load has changed since the last one. The edge answers each sign of life, so a connection that leads nowhere
 * any more is noticed at the next.
 */
import { HEARTBEAT_CALL, type LoadReport, PULSE, PULSE_ANSWER } from '../protocol/schemas.ts';

/** A network that lets no WebSocket through is tried again this seldom; heartbeats go on meanwhile. */
const RETRY_MS = 60_000;

/** The part of a WebSocket that is used here. */
export type PulseSocket = Pick<WebSocket, 'send' | 'close' | 'onopen' | 'onmessage' | 'onclose' | 'onerror'>;

export interface PulseOptions {
  connect: () => PulseSocket;
  now: () => number;
  /** The edge has answered a sign of life. */
  onAnswer: () => void;
  /** A heartbeat is wanted: the edge calls for one, or has closed the connection. */
  onCall: () => void;
}

export class Pulse {
  readonly #options: PulseOptions;
  #socket: PulseSocket | null = null;
  #isOpen = false;
  #isAnswered = true;
  #notBeforeMs = 0;
  /** The load as last sent, as text. */
  #sent = '';

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  /** Opens the connection in the background, unless there is one. */
  open(): void {
    const { connect, now, onAnswer, onCall } = this.#options;
    if (this.#socket !== null || now() < this.#notBeforeMs) return;
    this.#notBeforeMs = now() + RETRY_MS;
    const socket = connect();
    this.#socket = socket;
    const isCurrent = () => this.#socket === socket;
    socket.onopen = () => {
      if (!isCurrent()) return;
      this.#isOpen = true;
      this.#notBeforeMs = 0;
    };
    socket.onmessage = ({ data }) => {
      if (!isCurrent()) return;
      if (data === HEARTBEAT_CALL) onCall();
      if (data !== PULSE_ANSWER) return;
      this.#isAnswered = true;
      onAnswer();
    };
    socket.onclose = () => {
      if (!isCurrent()) return;
      const wasOpen = this.#isOpen;
      this.close();
      if (wasOpen) onCall();
    };
    // a close follows
    socket.onerror = () => undefined;
  }

  /**
   * Shows that the node is there, and its load where that has changed.
   * @returns false when there is no connection, or the last sign was not answered: a heartbeat has to be sent instead
   */
  beat(load: LoadReport): boolean {
    if (!this.#isOpen || !this.#isAnswered) {
      this.close();
      return false;
    }
    const text = JSON.stringify(load);
    if (text !== this.#sent) this.#socket!.send(text);
    this.#sent = text;
    this.#isAnswered = false;
    this.#socket!.send(PULSE);
    return true;
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#isOpen = false;
    this.#isAnswered = true;
    this.#sent = '';
    socket?.close();
  }
}

/** Opens a connection that carries the node's token. Node's WebSocket takes headers where the web's takes protocols only. */
export function connectPulse(url: URL, token: string): PulseSocket {
  const options: object = { headers: { authorization: `Bearer ${token}` } };
  return new WebSocket(url, options as string[]);
}
