/**
 * The model of this node as the edge sells it, by which the engine is checked. It comes with the join token, with the
 * enrolment, and with a heartbeat's reply once it has changed; the state folder keeps it over a restart.
 */
import type { ModelProfile } from '../protocol/model-profile.ts';
import { JOINED_MODEL_PATH, JoinedModel, SoldModel } from '../protocol/schemas.ts';
import type { Log } from './log.ts';
import { readNodeState, writeNodeState } from './node-state.ts';
import type { EngineRequirements } from './sglang/faults.ts';

const TIMEOUT_MS = 15_000;

/** The part of what is sold that an engine is checked by. */
export type ModelRequirements = Pick<EngineRequirements, 'profile' | 'contextTokens'>;

export class HeldModel {
  readonly #stateDir: string;
  readonly #log: Log;
  readonly #onChange: () => void;
  #sold: SoldModel | undefined;
  /** Stands in while the edge has sent nothing, as one of an older version never does. */
  readonly #shipped: ModelProfile | undefined;
  #unreadable = false;

  constructor(options: {
    stateDir: string;
    log: Log;
    sold: SoldModel | undefined;
    shipped: ModelProfile | undefined;
    /** Called once another version is held. */
    onChange: () => void;
  }) {
    this.#stateDir = options.stateDir;
    this.#log = options.log;
    this.#sold = options.sold;
    this.#shipped = options.shipped;
    this.#onChange = options.onChange;
  }

  /** For the heartbeat; undefined: nothing is held. */
  get version(): string | undefined {
    return this.#sold?.version;
  }

  get profile(): ModelProfile | undefined {
    return this.#sold?.profile ?? this.#shipped;
  }

  get requirements(): ModelRequirements {
    return requirementsOf(this.#sold, this.#shipped);
  }

  /** Takes what a heartbeat's reply has of the model, and stores it. */
  async receive(message: unknown): Promise<void> {
    const received = SoldModel.safeParse(message);
    if (!received.success) {
      if (!this.#unreadable) this.#log('model_unreadable', { advice: UNREADABLE });
      this.#unreadable = true;
      return;
    }
    this.#unreadable = false;
    if (received.data.version === this.version) return;
    this.#sold = received.data;
    this.#log('model_changed', { version: received.data.version });
    this.#onChange();
    await this.#store(received.data).catch(() =>
      this.#log('model_not_stored', {
        advice: 'The state folder cannot be written: free space on its disk.',
      }),
    );
  }

  async #store(sold: SoldModel): Promise<void> {
    const saved = await readNodeState(this.#stateDir);
    if (saved !== null && !('unreadable' in saved)) await writeNodeState(this.#stateDir, { ...saved, sold });
  }
}

const UNREADABLE =
  'The edge describes this node’s model in a form that this agent does not know: update the agent.';

export function requirementsOf(
  sold: SoldModel | undefined,
  shipped: ModelProfile | undefined,
): ModelRequirements {
  return { profile: sold?.profile ?? shipped, contextTokens: sold?.context_tokens };
}

/**
 * The model that a join token's node has to be set up for, read without using the token up, so that an unfit engine does not cost
 * one. An edge of an older version does not tell.
 * @returns undefined where the edge did not say; the enrolment that follows finds out why
 */
export async function readJoinedModel(edgeUrl: string, joinToken: string): Promise<JoinedModel | undefined> {
  const response = await fetch(new URL(JOINED_MODEL_PATH, edgeUrl), {
    headers: { authorization: `Bearer ${joinToken}` },
    redirect: 'manual',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch(() => null);
  const body: unknown = await response?.json().catch(() => null);
  return response?.ok ? JoinedModel.safeParse(body).data : undefined;
}
