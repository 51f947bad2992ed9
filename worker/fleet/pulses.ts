/**
 * The pulses of a Pool's nodes: one WebSocket a node, on which the agent shows every two seconds that it is there. The
 * platform answers each sign of life by itself and keeps its time, so a thousand idle nodes hardly cost the Pool anything.
 */
import { HEARTBEAT_CALL, PULSE, PULSE_ANSWER } from '../../gpu-pool/protocol/constants.ts';
import type { LoadReport } from '../../gpu-pool/protocol/schemas.ts';

/** A report of the load has some 300 bytes; no honest one comes near this. */
const REPORT_CHARS_MAX = 2_048;
/** Code of a WebSocket that is closed because a message makes no sense (RFC 6455, 7.4.1). */
const INVALID_MESSAGE = 1007;

export class Pulses {
  readonly #state: DurableObjectState;
  /** The socket of each node: the newest where it has opened another. */
  readonly #sockets = new Map<string, WebSocket>();

  constructor(state: DurableObjectState) {
    this.#state = state;
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PULSE, PULSE_ANSWER));
    for (const socket of state.getWebSockets()) this.#sockets.set(state.getTags(socket)[0]!, socket);
  }

  get count(): number {
    return this.#sockets.size;
  }

  /** Opens a node's pulse in place of the one it had. */
  accept(nodeId: string): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    const former = this.#sockets.get(nodeId);
    this.#state.acceptWebSocket(server, [nodeId]);
    this.#sockets.set(nodeId, server);
    former?.close(1000, 'replaced');
    return new Response(null, { status: 101, webSocket: client });
  }

  /** The node whose pulse this is; null: it has another one since. */
  nodeOf(socket: WebSocket): string | null {
    const [nodeId] = this.#state.getTags(socket);
    return nodeId !== undefined && this.#sockets.get(nodeId) === socket ? nodeId : null;
  }

  /** When the node last showed that it is there; null: it has no pulse, or has shown nothing on it yet. */
  lastMs(nodeId: string): number | null {
    const socket = this.#sockets.get(nodeId);
    return (socket && this.#state.getWebSocketAutoResponseTimestamp(socket)?.getTime()) ?? null;
  }

  /** Calls for a heartbeat of each node, which comes within two seconds (gpu-pool/agent/heartbeat.ts). */
  call(nodeIds: Iterable<string> = this.#sockets.keys()): void {
    for (const nodeId of nodeIds) {
      const socket = this.#sockets.get(nodeId);
      // A socket that is closing takes nothing more; its node goes on with heartbeats.
      if (socket?.readyState === WebSocket.OPEN) socket.send(HEARTBEAT_CALL);
    }
  }

  closed(socket: WebSocket): void {
    const nodeId = this.nodeOf(socket);
    if (nodeId !== null) this.#sockets.delete(nodeId);
  }
}

/** Reads a report of the load, and closes the socket of one that makes no sense. */
export async function readLoad(socket: WebSocket, message: string | ArrayBuffer): Promise<LoadReport | null> {
  // The schemas take milliseconds to build, so an isolate that serves requests only does without them.
  const { LoadReport } = await import('../../gpu-pool/protocol/schemas.ts');
  const report = LoadReport.safeParse(jsonOf(message));
  if (report.success) return report.data;
  socket.close(INVALID_MESSAGE, 'not a report of the load');
  return null;
}

function jsonOf(message: string | ArrayBuffer): unknown {
  if (typeof message !== 'string' || message.length > REPORT_CHARS_MAX) return null;
  try {
    return JSON.parse(message);
  } catch {
    return null;
  }
}
